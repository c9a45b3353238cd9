# SPDX-License-Identifier: Apache-2.0
"""Where the other half of the face is: texel to mirrored texel, from the shape of the rest mesh alone."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from interchange.mesh import Mesh

Floats = npt.NDArray[np.floating]
_CANDIDATES = 12  # faces near a point among which the closest is sought


def mirror_uvs(mesh: Mesh, faces: npt.NDArray, weights: Floats, object_index: int) -> tuple[Floats, Floats]:
    """The mirror points of surface points, given as faces (N,) and barycentric weights (N, 3), across the plane x = 0.

    Returns uv (N, 2) of the closest point of the same object to the mirrored rest position, and the distance (N,) in
    metres between both, large where the head is not symmetric.
    """
    rest = np.asarray(mesh.rest_vertices, np.float64)
    own = np.flatnonzero(mesh.face_object == object_index)
    corners = rest[mesh.faces[own]]
    points = np.einsum("nc,nca->na", weights, rest[mesh.faces[faces]]) * [-1.0, 1.0, 1.0]
    count = min(_CANDIDATES, len(own))
    near = cKDTree(corners.mean(1)).query(points, k=count, workers=-1)[1].reshape(len(points), count)
    chosen, at, distance = np.zeros(len(points), np.intp), np.empty((len(points), 3)), np.empty(len(points))
    _closest(corners, points, near, chosen, at, distance)
    return np.einsum("nc,nca->na", at, mesh.face_uvs[own[chosen]]), distance


@numba.njit(cache=True, nogil=True)
def _closest(corners, points, near, chosen, at, distance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for i in range(len(points)):
        best = np.inf
        for f in near[i]:
            d, v, w = _closest_on_triangle(corners[f], points[i])
            if d < best:
                best, chosen[i] = d, f
                at[i, 0], at[i, 1], at[i, 2] = 1 - v - w, v, w
        distance[i] = np.sqrt(best)


@numba.njit(cache=True, nogil=True)
def _dot(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@numba.njit(cache=True, nogil=True)
def _minus(a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@numba.njit(cache=True, nogil=True)
def _closest_on_triangle(triangle, p):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Squared distance from p to a triangle, and the second and third barycentric weight of the closest point."""
    ab, ac = _minus(triangle[1], triangle[0]), _minus(triangle[2], triangle[0])
    ap = _minus(p, triangle[0])
    d00, d01, d11 = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac)
    d20, d21 = _dot(ap, ab), _dot(ap, ac)
    volume = d00 * d11 - d01 * d01
    if volume > 1e-30:
        v, w = (d11 * d20 - d01 * d21) / volume, (d00 * d21 - d01 * d20) / volume
        if v >= 0 and w >= 0 and v + w <= 1:
            return _squared(ap, ab, ac, v, w), v, w
    # Outside: the closest point lies on one of the three edges.
    t = _along(d20, d00)
    best, v, w = _squared(ap, ab, ac, t, 0.0), t, 0.0
    t = _along(d21, d11)
    d = _squared(ap, ab, ac, 0.0, t)
    if d < best:
        best, v, w = d, 0.0, t
    t = _along(d21 - d20 - d01 + d00, d00 - 2 * d01 + d11)
    d = _squared(ap, ab, ac, 1 - t, t)
    if d < best:
        best, v, w = d, 1 - t, t
    return best, v, w


@numba.njit(cache=True, nogil=True)
def _along(projection, length):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return min(max(projection / length, 0.0), 1.0) if length > 1e-30 else 0.0


@numba.njit(cache=True, nogil=True)
def _squared(ap, ab, ac, v, w):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    x = v * ab[0] + w * ac[0] - ap[0]
    y = v * ab[1] + w * ac[1] - ap[1]
    z = v * ab[2] + w * ac[2] - ap[2]
    return x * x + y * y + z * z
