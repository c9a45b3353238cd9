# SPDX-License-Identifier: Apache-2.0
"""Training views as the loss kernels want them, the CPU's and CUDA's: cropped to the subject, planar, premultiplied."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from .buffers import aligned_zeros
from .layout import TILE, camera_numbers, padded
from .rasterizer import finite_for_camera, sized_for_camera

Array = npt.NDArray[np.float32]
Box = npt.NDArray[np.int64]  # (4,) x0, y0, x1, y1 in pixels; x0 and x1 multiples of TILE

SSIM_REACH = 5


@attrs.define(eq=False)
class PreparedView:
    """One target image with its camera, opaque to callers except for the camera.

    Blurs are for the CPU engine alone.
    """

    camera: Camera
    numbers: Array  # (32,) of layout.camera_numbers
    region: Box  # where the target is not empty, and the reach of SSIM around it
    target: Array  # 4 planes over the region, flattened: premultiplied colour, alpha
    weights: Array  # padded plane of pixel weights, flattened; empty: all 1
    blurs: Array  # 6 planes over the region, for `blurred_for`; or none
    blurred_for: tuple[float, float, float] | None = None
    depth: Array | None = None  # padded planes, flattened: depth times alpha, weight (0 where there is no depth)

    @property
    def nbytes(self) -> int:
        """Memory that the view holds."""
        depth = 0 if self.depth is None else self.depth.nbytes
        return self.target.nbytes + self.weights.nbytes + self.blurs.nbytes + depth


def grown_box(box: Box, reach: int, width: int, height: int) -> Box:
    """`box` with `reach` pixels around, within the frame, its columns rounded outwards to whole tiles."""
    if box[0] >= box[2] or box[1] >= box[3]:
        return np.zeros(4, np.int64)
    x0 = max(0, int(box[0]) - reach) // TILE * TILE
    x1 = min(padded(width), padded(int(box[2]) + reach))
    return np.array([x0, max(0, int(box[1]) - reach), x1, min(height, int(box[3]) + reach)], np.int64)


def joined_box(a: Box, b: Box) -> Box:
    """The smallest box around both; an empty one does not count."""
    if a[0] >= a[2] or a[1] >= a[3]:
        return b.copy()
    if b[0] >= b[2] or b[1] >= b[3]:
        return a.copy()
    return np.array([min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])], np.int64)


def _depth_planes(camera: Camera, depth: Any, coverage: Array, weights: Array) -> Array:
    height, width = coverage.shape
    values = sized_for_camera("depth", depth, coverage.shape)
    known = np.isfinite(values) & (values > 0)
    planes = aligned_zeros((2, padded(height), padded(width)))
    planes[0, :height, :width] = np.where(known, values, 0) * coverage
    planes[1, :height, :width] = known * (weights.reshape(planes.shape[1:])[:height, :width] if weights.size else 1)
    return planes.reshape(2, -1)


def prepare_view(
    camera: Camera, rgb_premultiplied: Any, alpha: Any = None, pixel_weights: Any = None, depth: Any = None,
    blurred: bool = True,
) -> PreparedView:  # fmt: skip
    """Crop the target to the subject; arguments and errors as in `CpuEngine.prepare_view`, `blurred`: with room for
    blurs."""
    width, height = camera.width, camera.height
    rgb = finite_for_camera("image", rgb_premultiplied, (height, width, 3))
    if alpha is None:
        coverage = np.ones((height, width), np.float32)
    else:
        coverage = finite_for_camera("alpha", alpha, (height, width))
    occupied = coverage != 0
    for channel in range(3):  # many times faster than along an axis of three
        occupied |= rgb[..., channel] != 0
    rows, columns = np.flatnonzero(occupied.any(axis=1)), np.flatnonzero(occupied.any(axis=0))
    region = np.zeros(4, np.int64)
    if len(rows):
        subject = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.int64)
        region = grown_box(subject, SSIM_REACH, width, height)
    x0, y0, x1, y1 = (int(value) for value in region)
    target = aligned_zeros((4, y1 - y0, x1 - x0))
    right = min(x1, width)  # the region's last columns may lie in the padding of the last tile
    target[:3, :, : right - x0] = rgb[y0:y1, x0:right].transpose(2, 0, 1)
    target[3, :, : right - x0] = coverage[y0:y1, x0:right]
    weights = np.zeros(0, np.float32)
    if pixel_weights is not None:
        plane = aligned_zeros((padded(height), padded(width)))
        plane[:height, :width] = finite_for_camera("weights", pixel_weights, (height, width))
        weights = plane.ravel()
    blurs = aligned_zeros(6 * (y1 - y0) * (x1 - x0) if blurred else 0)
    planes = None if depth is None else _depth_planes(camera, depth, coverage, weights)
    return PreparedView(camera, camera_numbers(camera), region, target.ravel(), weights, blurs, depth=planes)
