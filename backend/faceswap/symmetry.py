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
    chosen, at, distance = np.empty(len(points), np.intp), np.empty((len(points), 3)), np.empty(len(points))
    _closest(corners, points, near, chosen, at, distance)
    return np.einsum("nc,nca->na", at, mesh.face_uvs[own[chosen]]), distance


@numba.njit(cache=True, nogil=True)
def _closest(corners, points, near, chosen, at, distance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    weights = np.empty(3)
    for i in range(len(points)):
        best = np.inf
        for f in near[i]:
            d = _closest_on_triangle(corners[f, 0], corners[f, 1], corners[f, 2], points[i], weights)
            if d < best:
                best, chosen[i] = d, f
                at[i] = weights
        distance[i] = np.sqrt(best)


@numba.njit(cache=True, nogil=True)
def _closest_on_triangle(a, b, c, p, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Squared distance from p to a triangle; `weights` become the barycentrics of the closest point."""
    ab, ac, ap = b - a, c - a, p - a
    d00, d01, d11 = (ab * ab).sum(), (ab * ac).sum(), (ac * ac).sum()
    d20, d21 = (ap * ab).sum(), (ap * ac).sum()
    volume = d00 * d11 - d01 * d01
    v, w = -1.0, -1.0
    if volume > 1e-30:
        v, w = (d11 * d20 - d01 * d21) / volume, (d00 * d21 - d01 * d20) / volume
    if v >= 0 and w >= 0 and v + w <= 1:
        weights[0], weights[1], weights[2] = 1 - v - w, v, w
        q = a + v * ab + w * ac - p
        return (q * q).sum()
    best = np.inf
    corners = (a, b, c)
    for i in range(3):
        s, e = corners[i], corners[(i + 1) % 3]
        along = e - s
        length = (along * along).sum()
        t = 0.0
        if length > 1e-30:
            t = min(max((along * (p - s)).sum() / length, 0.0), 1.0)
        q = s + t * along - p
        d = (q * q).sum()
        if d < best:
            best = d
            weights[i], weights[(i + 1) % 3], weights[(i + 2) % 3] = 1 - t, t, 0.0
    return best
