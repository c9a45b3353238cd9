# SPDX-License-Identifier: Apache-2.0
"""Splat parameters as the kernels read them: one planar float32 block, splats in Morton order, padded."""

from __future__ import annotations

import math
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.splats import SplatCloud

from .buffers import aligned_copy, aligned_zeros

Array = npt.NDArray[np.float32]

ROW_MEAN = 0
ROW_QUAT = 3
ROW_LOG_SCALE = 7
ROW_OPACITY = 10
ROW_SH = 11
"""First rows of the block: mean (3), quat_wxyz (4), log_scale (3), opacity_logit (1), then SH: row 11 + 3 k + c."""

PADDING = 16
"""The number of columns is a multiple of this, whatever the vector width, so that files and tests agree."""

_INVISIBLE_LOGIT = -100.0


def morton_order(points: npt.NDArray[Any]) -> npt.NDArray[np.int64]:  # (N, 3)
    """(N,) indices that walk the points along a Z-order curve (10 bits an axis); NaN points come first."""
    if len(points) == 0:
        return np.zeros(0, np.int64)
    usable = np.isfinite(points).all(axis=1)
    finite = points.T if usable.all() else points[usable].T if usable.any() else np.zeros((3, 1), points.dtype)
    low, high = (np.array([extreme(axis) for axis in finite]) for extreme in (np.min, np.max))
    span = max(float((high - low).max()), 1e-12)
    cells = np.where(usable, (points.T - low[:, None]) / span * 1023, 0).astype(np.int64)
    x, y, z = _spread(cells)
    # Sorting numbers is many times faster than sorting indices by them.
    keys = (x | y << 1 | z << 2) << 32 | np.arange(len(points))
    keys.sort()
    return np.asarray(keys & 0xFFFFFFFF)


def _spread(cells: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same numbers of 10 bits with two zeros between each two bits."""
    for shift, kept in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        cells = (cells | cells << shift) & kept
    return cells


@attrs.define(eq=False)
class SplatParameters:
    """`count` splats as a (11 + 3 K, padded count) float32 block; see the ROW_ constants for its rows.

    `order[i]` is the index, in the cloud that came in, of the splat in column i. Columns past `count` are invisible
    and never change.
    """

    block: Array  # (11 + 3 K, P) C-contiguous
    count: int
    order: npt.NDArray[np.int64]  # (count,)
    antialiased: bool = False  # every engine multiplies opacities by the compensation of layout.MIN_COMPENSATION

    @classmethod
    def from_cloud(cls, cloud: SplatCloud, sh_degree: int | None = None) -> SplatParameters:
        """Take over a cloud; `sh_degree` adds zero bands or drops bands. An antialiased cloud stays one."""
        degree = cloud.degree if sh_degree is None else sh_degree
        if degree not in (0, 1, 2, 3):
            raise InputError(f"SH degree {degree} does not exist here.", "Use 0, 1, 2 or 3.")
        count, coefficients = len(cloud), (degree + 1) ** 2
        order = morton_order(cloud.means)
        padded = max(PADDING, -(-count // PADDING) * PADDING)
        block = aligned_zeros((ROW_SH + 3 * coefficients, padded))
        block[ROW_QUAT, count:] = 1
        block[ROW_OPACITY, count:] = _INVISIBLE_LOGIT
        block[ROW_MEAN:ROW_QUAT, :count] = cloud.means[order].T
        block[ROW_QUAT:ROW_LOG_SCALE, :count] = cloud.quats_wxyz[order].T
        block[ROW_LOG_SCALE:ROW_OPACITY, :count] = cloud.log_scales[order].T
        block[ROW_OPACITY, :count] = cloud.opacity_logits[order]
        shared = min(coefficients, cloud.sh.shape[1])
        block[ROW_SH : ROW_SH + 3 * shared, :count] = cloud.sh[order, :shared].reshape(count, 3 * shared).T
        return cls(block, count, order, cloud.antialiased)

    def to_cloud(self) -> SplatCloud:
        """The splats in the order of the cloud that came in, quaternions normalised."""
        columns = np.empty_like(self.order)
        columns[self.order] = np.arange(self.count)
        block = self.block[:, columns]
        quats = block[ROW_QUAT:ROW_LOG_SCALE].T
        norms = np.linalg.norm(quats, axis=1, keepdims=True)
        return SplatCloud(
            means=block[ROW_MEAN:ROW_QUAT].T,
            log_scales=block[ROW_LOG_SCALE:ROW_OPACITY].T,
            quats_wxyz=np.where(norms > 0, quats / np.where(norms > 0, norms, 1), [1, 0, 0, 0]),
            opacity_logits=block[ROW_OPACITY],
            sh=block[ROW_SH:].T.reshape(self.count, (len(block) - ROW_SH) // 3, 3),
            antialiased=self.antialiased,
        )

    @property
    def sh_degree(self) -> int:
        """0..3."""
        return math.isqrt((len(self.block) - ROW_SH) // 3) - 1

    def copy(self) -> SplatParameters:
        """A deep copy."""
        return SplatParameters(aligned_copy(self.block), self.count, self.order.copy(), self.antialiased)

    def with_sh_degree(self, degree: int) -> SplatParameters:
        """The same splats with zero bands added or the highest bands dropped."""
        rows = ROW_SH + 3 * (degree + 1) ** 2
        block = aligned_zeros((rows, self.block.shape[1]))
        shared = min(rows, len(self.block))
        block[:shared] = self.block[:shared]
        return SplatParameters(block, self.count, self.order.copy(), self.antialiased)

    def learning_rates(
        self, means: float, quats: float, log_scales: float, opacity_logits: float, sh_base: float,
        sh_rest: float | None = None,
    ) -> Array:  # fmt: skip
        """(11 + 3 K,) one rate a row; `sh_rest` defaults to sh_base / 20, as all 3DGS trainers have it."""
        rates = np.full(len(self.block), sh_base / 20 if sh_rest is None else sh_rest, np.float32)
        rates[ROW_MEAN:ROW_QUAT] = means
        rates[ROW_QUAT:ROW_LOG_SCALE] = quats
        rates[ROW_LOG_SCALE:ROW_OPACITY] = log_scales
        rates[ROW_OPACITY] = opacity_logits
        rates[ROW_SH : ROW_SH + 3] = sh_base
        return rates


@attrs.define(eq=False)
class AdamState:
    """First and second moments of Adam, blocks of the same shape as the parameters; save both to resume a fit."""

    first: Array  # (11 + 3 K, P)
    second: Array  # (11 + 3 K, P)

    @classmethod
    def like(cls, parameters: SplatParameters) -> AdamState:
        """Zero moments."""
        return cls(aligned_zeros(parameters.block.shape), aligned_zeros(parameters.block.shape))

    def with_sh_degree(self, degree: int) -> AdamState:
        """Moments for `SplatParameters.with_sh_degree(degree)`."""
        rows = ROW_SH + 3 * (degree + 1) ** 2
        blocks = []
        for old in (self.first, self.second):
            new = aligned_zeros((rows, old.shape[1]))
            shared = min(rows, len(old))
            new[:shared] = old[:shared]
            blocks.append(new)
        return AdamState(*blocks)
