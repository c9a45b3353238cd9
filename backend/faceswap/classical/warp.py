# SPDX-License-Identifier: Apache-2.0
"""Pulling a picture into another by points: an affine map for each triangle between them, from goal to start.

Unlike a thin-plate spline it cannot fold, and never leaves the triangle: what it paints is what lies between three
visible points. (A spline painted hair on foreheads seen from above, where many points are hidden.)
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]


def affine_by_triangle(
    goal: Floats, start: Floats, triangles: npt.NDArray[np.intp], triangle: npt.NDArray[np.int32], at: Floats
) -> npt.NDArray[np.float64]:
    """Where the points `at` (M, 2) of the goal picture lie in the start picture, (M, 2).

    goal, start: (N, 2) the control points in both. triangles: (T, 3) of them. triangle: (M,) in which each point is.
    """
    corners = np.concatenate([goal[triangles], np.ones((len(triangles), 3, 1))], axis=2)  # (T, 3, 3)
    used = np.unique(triangle)
    maps = np.zeros((len(triangles), 3, 2))
    maps[used] = np.linalg.solve(corners[used], start[triangles[used]])
    homogeneous = np.concatenate([at, np.ones((len(at), 1))], axis=1)
    return np.einsum("mi,mij->mj", homogeneous, maps[triangle])


def shrunk(image: Floats, scale: float) -> npt.NDArray[np.float32]:  # (H, W, C)
    """The picture at `scale` < 1 of its size, every pixel an average; as it is from 0.9 on."""
    if scale > 0.9:
        return np.asarray(image, np.float32)
    size = tuple(max(8, round(n * scale)) for n in image.shape[1::-1])
    small = cv2.resize(np.asarray(image, np.float32), size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(*small.shape[:2], -1)
