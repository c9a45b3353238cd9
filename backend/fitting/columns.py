# SPDX-License-Identifier: Apache-2.0
"""A state's splats as plain arrays that may be cut, copied and joined, and the way back into the kernels' layout."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.buffers import aligned_zeros
from backend.kernels.parameters import (
    PADDING,
    ROW_LOG_SCALE,
    ROW_MEAN,
    ROW_OPACITY,
    ROW_QUAT,
    ROW_SH,
    AdamState,
    SplatParameters,
    morton_order,
)  # fmt: skip

from .state import FitState

Array = npt.NDArray[np.float32]
_INVISIBLE_LOGIT = -100.0


@attrs.frozen(eq=False)
class Arranged:
    """Splats for `Session.rearrange`."""

    parameters: SplatParameters  # without colours, which the session takes from the sources
    adam: AdamState  # zero, for the session to fill
    source: npt.NDArray[np.int32]  # (P,)
    rested: npt.NDArray[np.bool_]  # (P,)


@attrs.define(eq=False)
class Columns:
    """N splats, without padding, all arrays in the same order. Colours and moments stay where the session has them."""

    block: Array  # (11, N), see the ROW_ constants
    source: npt.NDArray[np.int32]  # (N,) column of the session that colours and moments come from
    rested: npt.NDArray[np.bool_]  # (N,) True: the moments begin anew
    face: npt.NDArray[np.int32]  # (N,)
    barycentric: Array  # (N, 3)

    @classmethod
    def of(cls, state: FitState) -> Columns:
        """Copies, in the order of the parameters' columns (which statistics have, too). `pull_shapes` first."""
        count, order = state.parameters.count, state.parameters.order
        return cls(
            state.parameters.block[:ROW_SH, :count].copy(), np.arange(count, dtype=np.int32), np.zeros(count, bool),
            state.face[order], state.barycentric[order],
        )  # fmt: skip

    def __len__(self) -> int:
        return self.block.shape[1]

    @property
    def opacities(self) -> Array:
        """(N,) 0..1."""
        return np.asarray(1 / (1 + np.exp(-self.block[ROW_OPACITY].astype(np.float64))), np.float32)

    def take(self, chosen: npt.NDArray) -> Columns:  # (M,) indices or (N,) bool
        """Those splats, in that order; each keeps its place on the mesh."""
        return Columns(
            self.block[:, chosen], self.source[chosen], self.rested[chosen], self.face[chosen],
            self.barycentric[chosen],
        )  # fmt: skip

    def rest(self, which: npt.NDArray) -> None:
        """Let Adam's moments of these splats begin anew."""
        self.rested[which] = True

    def joined(self, other: Columns) -> Columns:
        """These, then the others."""
        return Columns(
            np.concatenate([self.block, other.block], axis=1), np.concatenate([self.source, other.source]),
            np.concatenate([self.rested, other.rested]), np.concatenate([self.face, other.face]),
            np.concatenate([self.barycentric, other.barycentric]),
        )  # fmt: skip

    def offsets(self, rng: np.random.Generator, scale: float = 1.0) -> Array:
        """(3, N) random draws from each splat's own Gaussian, its width times `scale`, about zero."""
        draws = rng.standard_normal((3, len(self))) * scale * np.exp(self.block[ROW_LOG_SCALE:ROW_OPACITY])
        return np.asarray(np.einsum("rcn,cn->rn", rotations(self.block[ROW_QUAT:ROW_LOG_SCALE]), draws), np.float32)

    def put_into(self, state: FitState) -> Arranged:
        """The kernels' layout: Morton order, padded. `state.face` and `barycentric` follow; the rest is the session's.

        The cloud's order is from now on that of these columns.
        """
        count = len(self)
        order = morton_order(self.block[ROW_MEAN:ROW_QUAT].T)
        width = max(PADDING, -(-count // PADDING) * PADDING)
        rows = len(state.parameters.block)
        block, first, second = (aligned_zeros((rows, width)) for _ in range(3))
        block[:ROW_SH, :count] = self.block[:, order]
        block[ROW_QUAT, count:] = 1
        block[ROW_OPACITY, count:] = _INVISIBLE_LOGIT
        source, rested = np.full(width, -1, np.int32), np.zeros(width, bool)
        source[:count], rested[:count] = self.source[order], self.rested[order]
        state.face, state.barycentric = self.face, self.barycentric
        parameters = SplatParameters(block, count, order, state.parameters.antialiased)
        return Arranged(parameters, AdamState(first, second), source, rested)


def rotations(quats: Array) -> npt.NDArray[np.float64]:  # (4, N) wxyz, of any length
    """(3, 3, N) rotation matrices; the identity for a quaternion of length zero."""
    quats = quats.astype(np.float64)
    length = np.linalg.norm(quats, axis=0)
    w, x, y, z = np.where(length > 0, quats / np.where(length > 0, length, 1), np.array([[1.0], [0], [0], [0]]))
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip
