# SPDX-License-Identifier: Apache-2.0
"""A texture seen as a list of texels, each a point of the head's surface: where meshes and images meet."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from backend.kernels.mesh_rasterization import rasterize_uv
from interchange.errors import InputError
from interchange.mesh import Mesh

Floats = npt.NDArray[Any]
_NEIGHBOURS = 0.7  # share of the neighbours in a round of smoothing


@attrs.frozen(eq=False)
class Atlas:
    """The texels of one object's texture that lie on its UV islands, T of them.

    height, width: of the texture, row 0 = top (v = 1). rows, columns: (T,). faces: (T,) indices into the mesh's faces.
    weights: (T, 3) barycentric. nearest_row, nearest_column: (H, W) the nearest texel on an island, for everything
    between them.
    """

    height: int
    width: int
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    faces: npt.NDArray[np.intp]
    weights: npt.NDArray[np.float32]
    nearest_row: npt.NDArray[np.int32]
    nearest_column: npt.NDArray[np.int32]

    def part(self, chosen: npt.NDArray[np.bool_]) -> Atlas:  # (T,)
        """The same texture with fewer texels."""
        lists = (self.rows[chosen], self.columns[chosen], self.faces[chosen], self.weights[chosen])
        return Atlas(self.height, self.width, *lists, self.nearest_row, self.nearest_column)

    def of_vertices(self, mesh: Mesh, values: Floats) -> npt.NDArray[np.float32]:  # (V,) or (V, C)
        """Values given at the mesh's vertices, at the texels: (T,) or (T, C)."""
        corners = np.asarray(values, np.float32)[mesh.faces[self.faces]]
        return np.einsum("tc,tc...->t...", self.weights, corners).astype(np.float32)

    def of_image(self, image: Floats) -> Floats:  # (H, W, ...)
        """The texels of an image."""
        return image[self.rows, self.columns]

    def to_image(self, values: Floats) -> Floats:  # (T, ...)
        """Texels as an image (H, W, ...), continued past the islands' edges by the nearest texel's value."""
        image = np.zeros((self.height, self.width, *values.shape[1:]), values.dtype)
        image[self.rows, self.columns] = values
        return image[self.nearest_row, self.nearest_column]

    def positions(self) -> npt.NDArray[np.float64]:
        """(T, 2) x, y of the texels' centres in the image, +0.5 convention."""
        return np.stack([self.columns + 0.5, self.rows + 0.5], axis=1)


def build_atlas(mesh: Mesh, object_index: int, height: int, width: int) -> Atlas:
    """Lay out the faces of one object. Raises InputError when it has no usable UVs."""
    own = np.flatnonzero(mesh.face_object == object_index)
    uvs = mesh.face_uvs[own]
    if not len(own) or not np.isfinite(uvs).all() or np.ptp(uvs.reshape(-1, 2), axis=0).min() < 1e-4:
        raise InputError("The head's mesh has no UVs, so its skin cannot be replaced.", "Unwrap it in Blender.")
    raster = rasterize_uv(uvs, width, height)
    covered = raster.covered
    if not covered.any():
        raise InputError("The head's UVs lie outside the texture (0 to 1).", "Move them into the first tile.")
    rows, columns = np.nonzero(covered)
    where = ndimage.distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return Atlas(
        height, width, rows, columns, own[raster.face[covered]], raster.weights[covered], where[0], where[1]
    )


def vertex_normals(vertices: Floats, faces: npt.NDArray) -> npt.NDArray[np.float64]:  # (V, 3), (F, 3)
    """(V, 3) unit normals, faces weighted by their area; zero for vertices without a face."""
    vertices = np.asarray(vertices, np.float64)
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(cross[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-20)


def smooth_normals(normals: Floats, faces: npt.NDArray, rounds: int) -> npt.NDArray[np.float64]:  # (V, 3), (F, 3)
    """(V, 3) unit normals, averaged with their neighbours' as often as told."""
    count = len(normals)
    start, end = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    edges = sparse.coo_matrix((np.ones(2 * len(start)), (np.r_[start, end], np.r_[end, start])), (count, count)).tocsr()
    edges.data[:] = 1  # an edge of two faces counts once
    share = sparse.diags(1 / np.maximum(np.asarray(edges.sum(1)).ravel(), 1))
    result = np.asarray(normals, np.float64)
    for _ in range(rounds):
        result = _NEIGHBOURS * (share @ (edges @ result)) + (1 - _NEIGHBOURS) * result
    return result / np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-20)
