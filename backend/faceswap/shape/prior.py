# SPDX-License-Identifier: Apache-2.0
"""How two people's faces differ before any photo is seen: a Gaussian process over the target's rest surface.

After Luethi, Gerig, Jud, Vetter, "Gaussian Process Morphable Models", PAMI 2018: instead of modes learned from scans
the prior is a kernel. Neighbours move together (a broad and a fine scale), the two halves mostly alike (the
symmetrised kernel of their section 3.3), and far from the landmarks nothing moves. Points are in the avatar's own
axes, mirror plane x = 0; lengths are in units of the face's size (diagonal of its landmarks' box).
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

Floats = npt.NDArray[Any]

SPREAD = 0.01
"""Standard deviation of a point's offset along one axis. Measured between sample avatars: 0.9 to 1.4 % of the face."""
_SCALES = ((0.7, 0.4), (0.3, 0.12))  # share of the variance, length over which it falls to 1 / sqrt(e)
_SYMMETRIC = 0.85  # correlation of mirrored points
_MIRROR = np.array([-1.0, 1.0, 1.0])
_REACH = (0.15, 0.6)  # distance to the nearest landmark over which offsets fade out, in units of the face's size
_CHUNK = 4096


@attrs.frozen(eq=False)
class ShapePrior:
    """The process seen at `anchors` (L, 3). size: of the face, metres."""

    anchors: Floats
    size: float

    def covariance(self) -> npt.NDArray[np.float64]:
        """(3 L, 3 L) of the anchors' offsets in metres, axes fastest; a breath of noise keeps it invertible."""
        same, mirrored = self._kernels(self.anchors)
        blocks = np.einsum("ij,kl->ikjl", same, np.eye(3)) + np.einsum("ij,kl->ikjl", mirrored, np.diag(_MIRROR))
        count = 3 * len(self.anchors)
        return blocks.reshape(count, count) + 1e-6 * (SPREAD * self.size) ** 2 * np.eye(count)

    def spread_to(self, points: Floats, offsets: Floats) -> npt.NDArray[np.float64]:  # (V, 3), (L, 3)
        """(V, 3) mean of the process at `points` given the anchors' offsets: smooth, exact at the anchors, and faded
        out towards neck and skull, which the landmarks say nothing about."""
        loads = np.linalg.solve(self.covariance(), offsets.ravel()).reshape(-1, 3)
        result = np.empty((len(points), 3))
        for first in range(0, len(points), _CHUNK):
            same, mirrored = self._kernels(points[first : first + _CHUNK])
            result[first : first + _CHUNK] = same @ loads + mirrored @ (loads * _MIRROR)
        return result * self.reach(points)[:, None]

    def reach(self, points: Floats) -> npt.NDArray[np.float64]:
        """(V,) 1 near the landmarks, 0 far away."""
        near, far = _REACH
        distance = cKDTree(self.anchors).query(points)[0] / self.size
        amount = np.clip((far - distance) / (far - near), 0, 1)
        return amount * amount * (3 - 2 * amount)

    def _kernels(self, points: Floats) -> tuple[Floats, Floats]:
        """(P, L) covariances with the anchors and with their mirror images, per axis."""
        scale = (SPREAD * self.size) ** 2 / (1 + _SYMMETRIC)
        return scale * self._falloff(points, self.anchors), scale * _SYMMETRIC * self._falloff(
            points, self.anchors * _MIRROR
        )

    def _falloff(self, points: Floats, anchors: Floats) -> Floats:
        squared = cdist(points, anchors, "sqeuclidean") / self.size**2
        return sum(share * np.exp(-squared / (2 * length**2)) for share, length in _SCALES)
