# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes as arrays, at rest and as they are shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._interchange import errors

Array = npt.NDArray[Any]

_MOST_OPEN = 0.1  # share of a shell's edges that lie on a border


def read(item: Any) -> tuple[Array, Array]:
    """Vertices and normals (V, 3) in the world, of the mesh at rest: no modifiers, no shape keys but the basis.

    Raises InputError in edit mode, when Blender keeps the newest vertices to itself.
    """
    if item.mode == "EDIT":
        raise errors.InputError(f"{item.name!r} is being edited.", "Leave edit mode first (Tab).")
    matrix = np.array(item.matrix_world)
    points = get(item.data.vertices, "co", 3) @ matrix[:3, :3].T + matrix[:3, 3]
    normals = get(item.data.vertex_normals, "vector", 3) @ np.linalg.pinv(matrix[:3, :3])
    return points, normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)


def shown(item: Any, depsgraph: Any) -> Array:
    """(V, 3) where the mesh's own vertices are shown in the viewport, posed and subdivided, in the object's axes.

    Raises InputError if a modifier has taken some of them away.
    """
    data = item.evaluated_get(depsgraph).data
    count = len(item.data.vertices)
    if len(data.vertices) < count:
        raise errors.InputError(
            f"A modifier on {item.name!r} takes vertices away in the viewport.", "Turn it off while placing landmarks."
        )
    return get(data.vertices, "co", 3)[:count]


def get(items: Any, name: str, width: int, kind: type = np.float32) -> Array:
    """(n, width) of one attribute of a bpy collection."""
    flat: Array = np.empty(len(items) * width, kind)
    items.foreach_get(name, flat)
    return flat.reshape(-1, width)


def upright(item: Any) -> Array:
    """(4, 4) the object's matrix without its scale."""
    matrix = np.array(item.matrix_world)
    left, _, right = np.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = left @ right
    return matrix


def uv_area(data: Any, layer: Any) -> float:
    """Area that a UV map covers, of the unit square; overlapping faces count twice."""
    data.calc_loop_triangles()
    corners = get(layer.uv, "vector", 2)[get(data.loop_triangles, "loops", 3, np.int32)]
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return float(np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2)


def is_inside_out(data: Any) -> bool:
    """True if the faces of a mesh enclose a negative volume, as seen from its middle (which open shells need).

    Strips and cards, as hair is made of, have no inside and never count.
    """
    edge = get(data.loops, "edge_index", 1, np.int32)[:, 0]
    if (np.bincount(edge, minlength=len(data.edges)) == 1).mean() > _MOST_OPEN:
        return False
    data.calc_loop_triangles()
    corners = get(data.vertices, "co", 3).astype(np.float64)[get(data.loop_triangles, "vertices", 3, np.int32)]
    corners = corners - corners.reshape(-1, 3).mean(axis=0)
    volume = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum()
    size = np.abs(corners).max(initial=0) ** 3
    return bool(volume < -1e-4 * size)


def mixed_winding(data: Any) -> float:
    """Share of the edges between two faces that both faces run along in the same direction, as no clean mesh does."""
    starts, totals = get(data.polygons, "loop_start", 1, np.int32)[:, 0], get(data.polygons, "loop_total", 1, np.int32)
    corner = get(data.loops, "vertex_index", 1, np.int32)[:, 0]
    edge = get(data.loops, "edge_index", 1, np.int32)[:, 0]
    after = np.arange(len(corner)) + 1
    after[starts + totals[:, 0] - 1] = starts  # polygons' loops lie one after another
    forward = corner < corner[after]
    faces = np.bincount(edge, minlength=len(data.edges))
    along = np.bincount(edge, weights=forward, minlength=len(data.edges))
    shared = faces == 2
    return float((along[shared] != 1).mean()) if shared.any() else 0.0
