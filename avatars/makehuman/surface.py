# SPDX-License-Identifier: Apache-2.0
"""Small mesh geometry."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..painting.raster import triangulate

Float = npt.NDArray[np.floating]


def vertex_normals(points: Float, faces: list[list[int]]) -> Float:  # (V, 3)
    """Unit normals (V, 3), area weighted."""
    triangles, _ = triangulate(faces)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, triangles[:, k], normal)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
