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


class HeadSurface:
    """A dense sampling of a mesh for nearest-point questions."""

    def __init__(self, points: Float, normals: Float, triangles: npt.NDArray, rng: np.random.Generator) -> None:
        a, b, c = (points[triangles[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        where = np.searchsorted(np.cumsum(area) / area.sum(), (np.arange(5000) + 0.5) / 5000)
        corner = triangles[np.minimum(where, len(triangles) - 1)]
        weight = rng.dirichlet((1, 1, 1), len(corner))[..., None]
        self._points = (points[corner] * weight).sum(axis=1).astype(np.float32)
        normal = (normals[corner] * weight).sum(axis=1)
        self._normals = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        self._squared = (self._points**2).sum(axis=1)

    def nearest(self, queries: Float) -> tuple[Float, Float, Float]:  # (n, 3)
        """Nearest sample, its normal (n, 3) each, and the height of the query over its tangent plane (n,)."""
        found = np.empty(len(queries), np.int64)
        for start in range(0, len(queries), 512):
            block = queries[start : start + 512].astype(np.float32)
            found[start : start + 512] = (self._squared - 2 * block @ self._points.T).argmin(axis=1)
        point, normal = self._points[found], self._normals[found]
        return point, normal, ((queries - point) * normal).sum(axis=1)
