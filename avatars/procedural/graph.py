# SPDX-License-Identifier: Apache-2.0
"""Small tools on a mesh's edge graph: neighbour tables, harmonic fill-in, smoothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Faces = list[tuple[int, ...]]


def edges_of(faces: Faces) -> npt.NDArray[np.int64]:
    """Unique undirected edges (E, 2) of polygons."""
    pairs = [(f[k], f[(k + 1) % len(f)]) for f in faces for k in range(len(f))]
    return np.unique(np.sort(np.array(pairs, dtype=np.int64), axis=1), axis=0)


class Graph:
    """Edges with weights, and sums over neighbours."""

    def __init__(self, count: int, edges: npt.NDArray[np.int64], weights: Float | None = None) -> None:
        self.count = count
        self.ends = np.concatenate([edges, edges[:, ::-1]])
        single = np.ones(len(edges)) if weights is None else weights
        self.weights = np.concatenate([single, single])
        self.degree = np.maximum(np.bincount(self.ends[:, 0], self.weights, count), 1e-12)

    def neighbour_sum(self, values: Float) -> Float:
        """Weighted sum over neighbours of (count, K) values."""
        taken = values[self.ends[:, 1]] * self.weights[:, None]
        return np.stack([np.bincount(self.ends[:, 0], taken[:, k], self.count) for k in range(values.shape[1])], axis=1)

    def smooth(self, values: Float, steps: int, amount: float | Float = 0.5) -> Float:
        """Laplacian smoothing of (count, K) values; `amount` 0..1 may be per vertex (count, 1)."""
        for _ in range(steps):
            values = values + amount * (self.neighbour_sum(values) / self.degree[:, None] - values)
        return values

    def harmonic(self, fixed: npt.NDArray[np.bool_], values: Float, steps: int = 250) -> Float:
        """Fill the free vertices so that each is the weighted mean of its neighbours (conjugate gradients).

        fixed: (count,) bool. values: (count, K), used where fixed. Vertices of parts without a fixed vertex get 0.
        """
        free = ~fixed
        solution = np.where(fixed[:, None], values, 0.0)
        residual = np.where(free[:, None], self.neighbour_sum(solution), 0.0)
        direction = residual / self.degree[:, None]
        step = np.where(free[:, None], direction, 0.0)
        rho = (residual * step).sum(axis=0)
        start = np.maximum(rho, 1e-30)
        for _ in range(steps):
            product = np.where(free[:, None], self.degree[:, None] * step - self.neighbour_sum(step), 0.0)
            alpha = rho / np.maximum((step * product).sum(axis=0), 1e-30)
            solution = solution + alpha * step
            residual = residual - alpha * product
            scaled = residual / self.degree[:, None]
            fresh = (residual * scaled).sum(axis=0)
            if np.all(fresh < 1e-10 * start):
                break
            step = scaled + fresh / np.maximum(rho, 1e-30) * step
            rho = fresh
        return solution


def vertex_normals(vertices: Float, triangles: npt.NDArray[np.int64]) -> Float:
    """Area-weighted unit vertex normals (V, 3) of triangles (F, 3)."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.stack([sum(np.bincount(triangles[:, k], face[:, axis], len(vertices)) for k in range(3))
                      for axis in range(3)], axis=1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def design_normals(vertices: Float, triangles: npt.NDArray[np.int64]) -> Float:
    """`vertex_normals` for points in design space, which is left-handed (f points against Blender's y)."""
    return -vertex_normals(vertices, triangles)


def triangulate(faces: Faces) -> npt.NDArray[np.int64]:
    """Fans (F, 3) of polygons."""
    return np.array([(f[0], f[k], f[k + 1]) for f in faces for k in range(1, len(f) - 1)], dtype=np.int64)
