# SPDX-License-Identifier: Apache-2.0
"""Which points a view sees, and their colours there: one pass over the points, without the interpreter's lock, so that
threads can take views side by side.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from ..jit import kernel

MIN_COSINE = 0.2
"""Flatter views of a surface smear its colour."""
COVERED = 0.1
"""Alpha below which a pixel shows nothing of a point."""

_NO_NORMALS = np.zeros((0, 3))
_NO_DEPTH = np.zeros((0, 0), np.float32)
_NO_COLOURS = np.zeros((0, 0, 3), np.float32)


@kernel
def _cosine(point: Any, normal: Any, position: Any) -> Any:
    dx, dy, dz = position[0] - point[0], position[1] - point[1], position[2] - point[2]
    length = max(math.sqrt(dx * dx + dy * dy + dz * dz), 1e-12)
    return abs(dx * normal[0] + dy * normal[1] + dz * normal[2]) / length


@kernel
def _sample(rgb: Any, alpha: Any, x: Any, y: Any, colour: Any) -> Any:
    """Bilinear colour without premultiplication into `colour`; returns the bilinear alpha. Edges go on outside."""
    height, width = alpha.shape
    x, y = min(max(x - 0.5, 0.0), width - 1.0), min(max(y - 0.5, 0.0), height - 1.0)
    column, row = min(int(x), max(width - 2, 0)), min(int(y), max(height - 2, 0))
    right, below = min(column + 1, width - 1), min(row + 1, height - 1)
    fx, fy = x - column, y - row
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    coverage = a * alpha[row, column] + b * alpha[row, right] + c * alpha[below, column] + d * alpha[below, right]
    for channel in range(3):
        value = a * rgb[row, column, channel] + b * rgb[row, right, channel]
        value += c * rgb[below, column, channel] + d * rgb[below, right, channel]
        colour[channel] = value / max(coverage, 1e-3)
    return coverage


@kernel
def _look_up(
    points: Any, normals: Any, world_to_camera: Any, K: Any, position: Any, rgb: Any, alpha: Any, depth: Any,
    wants_colour: bool, index: Any, uv: Any, colour: Any, coverage: Any, cosine: Any,
) -> int:  # fmt: skip
    """Fill the arrays with what is seen; returns how many points are."""
    height, width = alpha.shape
    M, found = world_to_camera, 0
    for i in range(len(points)):
        p = points[i]
        z = M[2, 0] * p[0] + M[2, 1] * p[1] + M[2, 2] * p[2] + M[2, 3]
        if not z > 1e-6:
            continue
        cx = M[0, 0] * p[0] + M[0, 1] * p[1] + M[0, 2] * p[2] + M[0, 3]
        cy = M[1, 0] * p[0] + M[1, 1] * p[1] + M[1, 2] * p[2] + M[1, 3]
        x = (K[0, 0] * cx + K[0, 1] * cy + K[0, 2] * z) / z
        y = (K[1, 1] * cy + K[1, 2] * z) / z
        if not (x >= 0 and y >= 0 and x < width and y < height):
            continue
        row, column = int(y), int(x)
        if not alpha[row, column] > COVERED:
            continue
        slope = 1.0
        if len(normals) > 0:
            slope = _cosine(p, normals[i], position)
            if not slope > MIN_COSINE:
                continue
        if depth.size > 0:
            tangent = math.sqrt(max(1 - slope * slope, 0.0)) / slope
            # Half a pixel's diagonal along the slope.
            slack = z / K[0, 0] * (0.5 + 0.75 * tangent) + 1e-3 * z
            if not z < depth[row, column] + slack:
                continue
        index[found], uv[found, 0], uv[found, 1], cosine[found] = i, x, y, slope
        if wants_colour:
            coverage[found] = _sample(rgb, alpha, x, y, colour[found])
        found += 1
    return found


def look_up(
    points: npt.NDArray[np.floating],  # (N, 3) in the camera's world
    normals: npt.NDArray[np.floating] | None,  # (N, 3) unit, zero: never seen; None: points without a surface
    camera: Camera,
    alpha: npt.NDArray[np.float32],  # (H, W)
    depth: npt.NDArray[np.float32] | None,  # (H, W) planar metres, 0 where nothing is
    rgb: npt.NDArray[np.float32] | None = None,  # (H, W, 3) premultiplied; None: no colours are wanted
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float32], npt.NDArray[np.float32],
           npt.NDArray[np.float32]]:  # fmt: skip
    """The points that a view sees: in frame, covered, not edge-on, not behind the depth map.

    Returns their indices (n,) in ascending order, uv (n, 2) in pixels, straight colour (n, 3), coverage (n,), and
    |cosine| (n,) between normal and direction of view (1 without normals). Colour and coverage are empty if not wanted.
    """
    count = len(points)
    index, uv = np.empty(count, np.int32), np.empty((count, 2))
    wanted = 0 if rgb is None else count  # large arrays that nobody fills still cost threads a wait for each other
    colour, coverage = np.empty((wanted, 3), np.float32), np.empty(wanted, np.float32)
    cosine = np.empty(count, np.float32)
    picture = _NO_COLOURS if rgb is None else np.ascontiguousarray(rgb, np.float32)
    found = _look_up(
        np.ascontiguousarray(points, np.float64),
        _NO_NORMALS if normals is None else np.ascontiguousarray(normals, np.float64),
        camera.world_to_camera[:3].copy(), camera.K.copy(), camera.position.copy(), picture,
        np.ascontiguousarray(alpha, np.float32),
        _NO_DEPTH if depth is None else np.ascontiguousarray(depth, np.float32), rgb is not None,
        index, uv, colour, coverage, cosine,
    )  # fmt: skip
    return index[:found], uv[:found], colour[:found], coverage[:found], cosine[:found]
