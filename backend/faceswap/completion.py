# SPDX-License-Identifier: Apache-2.0
"""Filling what no photo shows: first by the mirrored half, then by a membrane between known parts.

The membrane is the smoothest surface through what is known (screened Laplace equation). It is solved on the mesh's
vertices, not on the texture's grid, so it crosses UV seams and does not care how the texture is stretched.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from interchange.mesh import Mesh

from .atlas import Atlas
from .sampling import sample_linear
from .symmetry import mirror_uvs

Floats = npt.NDArray[np.floating]
_ASYMMETRIC = 0.01  # metres off the mirrored surface where the mirror says nothing more


def complete_by_symmetry(
    colour: Floats, trust: Floats, mesh: Mesh, atlas: Atlas, object_index: int, wanted: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:  # (T, 3), (T,), ..., (T,)
    """Fill texels of little trust (those `wanted`) from their mirror texels. Returns colour and trust after that."""
    colour, trust = colour.astype(np.float32).copy(), trust.astype(np.float32).copy()
    weak = np.flatnonzero(wanted & (trust < 0.999))
    if not len(weak):
        return colour, trust
    uv, distance = mirror_uvs(mesh, atlas.faces[weak], atlas.weights[weak], object_index)
    texels = np.stack([uv[:, 0] * atlas.width, (1 - uv[:, 1]) * atlas.height], axis=1)
    weighted = np.concatenate([colour * trust[:, None], trust[:, None]], axis=1)
    image = np.zeros((atlas.height, atlas.width, 4), np.float32)
    image[atlas.rows, atlas.columns] = weighted
    found = sample_linear(image, texels)
    other_trust = found[:, 3] * np.clip(1 - distance / _ASYMMETRIC, 0, 1)
    other = found[:, :3] / np.maximum(found[:, 3:], 1e-6)
    added = (1 - trust[weak]) * other_trust
    total = trust[weak] + added
    share = (added / np.maximum(total, 1e-6))[:, None]
    colour[weak] = colour[weak] * (1 - share) + other * share
    trust[weak] = total
    return colour, trust


def membrane(
    values: Floats, trust: Floats, mesh: Mesh, atlas: Atlas, object_index: int, stiffness: float = 0.02
) -> npt.NDArray[np.float32]:  # (T, C), (T,)
    """(T, C) smooth values that follow `values` where trust is high and bridge the rest; 0 far from anything known."""
    faces = mesh.faces[mesh.face_object == object_index]
    used, local = np.unique(faces, return_inverse=True)
    local = local.reshape(faces.shape)
    index_of = np.full(len(mesh.vertices), -1, np.intp)
    index_of[used] = np.arange(len(used))
    corner_vertex = index_of[mesh.faces[atlas.faces]]
    amount = atlas.weights * trust[:, None]
    gathered = np.bincount(corner_vertex.ravel(), amount.ravel(), len(used))
    average = np.stack(
        [
            np.bincount(corner_vertex.ravel(), (amount * values[:, c : c + 1]).ravel(), len(used))
            for c in range(values.shape[1])
        ],
        axis=1,
    ) / np.maximum(gathered, 1e-9)[:, None]  # fmt: skip
    seen = np.bincount(corner_vertex.ravel(), atlas.weights.ravel(), len(used))
    confidence = np.clip(gathered / np.maximum(seen, 1e-9), 0, 1)
    graph = laplacian(local, mesh.rest_vertices[used])
    system = sparse.diags(confidence + 1e-6) + stiffness * graph
    solved = splu(sparse.csc_matrix(system)).solve(confidence[:, None] * average)
    return np.einsum("tc,tcv->tv", atlas.weights, solved[corner_vertex]).astype(np.float32)


def laplacian(faces: npt.NDArray, vertices: Floats) -> sparse.csr_matrix:
    """Graph Laplacian with weights that fall with edge length, scaled to a mean weight of 1 an edge."""
    count = len(vertices)
    start, end = faces.astype(np.int64).ravel(), np.roll(faces, -1, axis=1).astype(np.int64).ravel()
    i, j = np.divmod(np.unique(np.minimum(start, end) * count + np.maximum(start, end)), count)  # every edge once
    length = np.linalg.norm(vertices[i] - vertices[j], axis=1)
    weight = 1 / np.maximum(length, 0.1 * np.median(length))
    weight /= weight.mean()
    adjacency = sparse.coo_matrix((np.r_[weight, weight], (np.r_[i, j], np.r_[j, i])), (count, count)).tocsr()
    return sparse.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency
