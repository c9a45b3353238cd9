# SPDX-License-Identifier: Apache-2.0
"""A rest offset on a posed mesh: turned with the bones, added to the expression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.capture import Bone
from interchange.mesh import Mesh

from ..atlas import vertex_normals

Floats = npt.NDArray[Any]


def moved_mesh(mesh: Mesh, offset: Floats, bones: Sequence[Bone]) -> Mesh:  # (V, 3) rest, the avatar's own axes
    """The mesh with `offset` added to its rest shape; the pose and the expression stay what they are.

    posed = sum of weight x (posed x rest^-1) x (rest + expression), so a rest offset appears turned by the weighted
    linear parts; vertices that no bone holds turn as the rest of the mesh does on average.
    """
    offset = np.asarray(offset, np.float64)
    turned = np.einsum("vij,vj->vi", _linear_parts(mesh, bones), offset)
    vertices = mesh.vertices + turned
    still = (offset == 0).all(axis=1)
    normals = mesh.normals + (
        vertex_normals(vertices, mesh.faces) - vertex_normals(np.asarray(mesh.vertices, np.float64), mesh.faces)
    )
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return attrs.evolve(
        mesh,
        vertices=np.where(still[:, None], mesh.vertices, vertices),
        rest_vertices=mesh.rest_vertices + offset,
        normals=np.where(still[:, None], mesh.normals, normals),
    )


def _linear_parts(mesh: Mesh, bones: Sequence[Bone]) -> npt.NDArray[np.float64]:
    """(V, 3, 3) from rest directions in the avatar's own axes to the world."""
    loose = _best_turn(mesh)
    if not bones:
        return np.broadcast_to(loose, (len(mesh.vertices), 3, 3))
    each = np.stack([(np.array(b.posed) @ np.linalg.inv(np.array(b.rest)))[:3, :3] for b in bones])
    weights = np.asarray(mesh.bone_weight, np.float64)
    mixed = np.einsum("vk,vkij->vij", weights, each[np.clip(mesh.bone_index, 0, len(each) - 1)])
    held = weights.sum(axis=1)
    return mixed + np.maximum(1 - held, 0)[:, None, None] * loose


def _best_turn(mesh: Mesh) -> npt.NDArray[np.float64]:
    """(3, 3) rotation that takes the rest shape to the posed one best (Kabsch 1976)."""
    rest, posed = (np.asarray(v, np.float64) for v in (mesh.rest_vertices, mesh.vertices))
    left, _, right = np.linalg.svd((posed - posed.mean(0)).T @ (rest - rest.mean(0)))
    sign = np.sign(np.linalg.det(left @ right))
    return left @ np.diag([1.0, 1.0, sign]) @ right
