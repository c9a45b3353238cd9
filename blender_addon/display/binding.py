# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle of the avatar in the file each splat hangs on.

The fit wrote on which triangle of the *captured* mesh each splat was born. That mesh has the render's subdivision; what
Blender evaluates has the viewport's, and may have none. So splats are bound to triangles of the base mesh: its vertices
are the first ones of every subdivided mesh, on the limit surface at any level, and where the level is 0 the node group
smooths. Everything that moves the evaluated mesh moves the splats: bones, shape keys, lattices, other modifiers.
(Blending bones by weight would know only the first two.) Parts whose modifiers add geometry otherwise (Solidify,
Mirror) are bound to their evaluated triangles instead.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from .._interchange import cameras, capture, errors

Array = npt.NDArray[Any]

REGIONS = ("other", "face", "skin", "eye", "hair", "mouth", "lashes", "lips", "brows")
"""What `bind_region` counts: interchange.mesh.Region, then the two soft regions of the face."""
_MOST_LEVELS = 6
_DAMAGE = (OSError, KeyError, ValueError, TypeError, EOFError)


@attrs.frozen
class BoundPart:
    """An object that splats hang on. coarse: vertices of its mesh without the captured subdivision, -1 if it had none.

    needed: vertices that the evaluated mesh must at least have.
    """

    name: str
    coarse: int
    needed: int


@attrs.define(eq=False)
class Binding:
    """Per splat: which part, three vertices of its evaluated mesh, and where they were when it was captured."""

    parts: list[BoundPart]
    part: Array  # (N,) index into parts, -1: hangs on nothing
    vertices: Array  # (N, 3) of the part's evaluated mesh
    corners: Array  # (N, 3, 3) captured, splat frame
    region: Array  # (N,) index into REGIONS
    notes: list[str]  # sentences for the artist


def read_birth(path: Path, count: int) -> tuple[Array, Array, str]:
    """(N,) faces (-1: none), (N, 3) barycentric coordinates and the pose's name from binding.npz.

    Raises InputError if the file is damaged or belongs to another number of splats.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            face, barycentric = archive["face"].astype(np.int64), archive["barycentric"].astype(np.float64)
            pose = str(archive["pose"]) if "pose" in archive else ""
    except _DAMAGE as error:
        raise errors.InputError(f"The binding {path} cannot be read ({error}).", "Fit the double again.") from error
    if face.shape != (count,) or barycentric.shape != (count, 3):
        raise errors.InputError(
            f"The binding {path} is of {len(face)} splats, the double has {count}.", "Fit the double again."
        )
    return face, barycentric, pose


def bind(captured: capture.Capture, face: Array, barycentric: Array, pose: str, means: Array) -> Binding:
    """Hang splats (means (N, 3), splat frame) on the avatar's objects in the open file, looked up by their names.

    Raises InputError if no part of the avatar is there, or none is as it was captured.
    """
    described = next((p for p in captured.poses if p.name == pose), None)
    mesh = captured.load_mesh(described)
    if face.max(initial=-1) >= len(mesh.faces):
        raise errors.InputError("The double was not fitted to this capture.", "Give the capture that it came from.")
    face, barycentric = face.copy(), barycentric.copy()
    lost = face < 0
    if lost.any():
        face[lost], barycentric[lost] = _nearest(mesh, means[lost])
    points = np.einsum("ni,nij->nj", barycentric, mesh.vertices[mesh.faces[face]].astype(np.float64))
    result = Binding(
        [], np.full(len(face), -1, np.int32), np.zeros((len(face), 3), np.int32), np.zeros((len(face), 3, 3)),
        _regions(mesh, face, barycentric), [],
    )  # fmt: skip
    starts = _first_vertices(mesh, len(captured.objects))
    for number, described_part in enumerate(captured.objects):
        mine = np.flatnonzero(mesh.face_object[face] == number)
        if len(mine):
            _bind_part(result, captured, mesh, described_part, starts[number : number + 2], mine, face, points)
    if not result.parts:
        raise errors.InputError(" ".join(result.notes), "Open the file that the avatar was captured from.")
    result.corners = result.corners @ cameras.SPLAT_FROM_BLENDER.T
    flat = np.linalg.norm(_across(result.corners), axis=1) < 1e-14
    result.part[flat] = -1
    return result


def _bind_part(
    result: Binding, captured: capture.Capture, mesh: Any, described: Any, span: Array, mine: Array, face: Array,
    points: Array,
) -> None:  # fmt: skip
    item = find_part(captured.name, described.name)
    if item is None:
        result.notes.append(f"The avatar's part {described.name!r} is not in this file.")
        return
    start, end = (int(v) for v in span)
    triangles = slice(described.first_face, described.first_face + described.face_count)
    own = mesh.faces[triangles] - start
    places = mesh.vertices[start:end].astype(np.float64)
    base = _base_triangles(item.data, own, places)
    if base is not None:
        corners, candidates, coarse = base
        polygon = candidates.polygon_of_face[face[mine] - described.first_face]
        chosen = _best_triangle(candidates, corners, places, polygon, points[mine])
        vertices, needed = corners[chosen], len(item.data.vertices)
    elif _evaluated_counts(item) == (len(places), len(own)):
        vertices, coarse, needed = own[face[mine] - described.first_face], -1, len(places)
    else:
        result.notes.append(f"The mesh {described.name!r} is not as it was captured (other vertices or modifiers).")
        return
    result.part[mine] = len(result.parts)
    result.vertices[mine], result.corners[mine] = vertices, places[vertices]
    result.parts.append(BoundPart(item.name, coarse, needed))


def find_part(avatar: str, name: str) -> Any | None:
    """The mesh object of this name: in the avatar's collection if that is there, else anywhere in the file."""
    collection = bpy.data.collections.get(avatar)
    for item in collection.all_objects if collection is not None else ():
        if item.name == name and item.type == "MESH":
            return item
    item = bpy.data.objects.get(name)
    return item if item is not None and item.type == "MESH" else None


@attrs.frozen(eq=False)
class _Candidates:
    """The triangles of each polygon of a base mesh, and the polygon under each captured triangle."""

    first: Array  # (P,)
    count: Array  # (P,)
    polygon_of_face: Array  # (F,)


def _base_triangles(data: Any, own: Array, places: Array) -> tuple[Array, _Candidates, int] | None:
    """Base triangles (T, 3), and how captured ones lie on them; None if the captured mesh is no subdivision of it."""
    sizes = np.empty(len(data.polygons), np.int32)
    data.polygons.foreach_get("loop_total", sizes)
    count = len(data.vertices)
    if count > len(places) or not len(sizes):
        return None
    for level in range(_MOST_LEVELS + 1):
        quads = np.where(sizes == 4, 4**level, sizes * 4 ** max(level - 1, 0))
        each = sizes - 2 if level == 0 else 2 * quads  # triangles that a polygon became
        if each.sum() == len(own):
            break
    else:
        return None
    data.calc_loop_triangles()
    flat: Array = np.empty(len(data.loop_triangles) * 3, np.int32)
    data.loop_triangles.foreach_get("vertices", flat)
    corners = flat.reshape(-1, 3)
    owner = np.empty(len(corners), np.int32)
    data.loop_triangles.foreach_get("polygon_index", owner)
    first = np.searchsorted(owner, np.arange(len(sizes)))
    under = np.repeat(np.arange(len(sizes)), each)
    if not _lies_on(own, places, corners, owner, under, len(sizes)):
        return None
    return corners, _Candidates(first, sizes - 2, under), count if level else -1


def _lies_on(own: Array, places: Array, corners: Array, owner: Array, under: Array, polygons: int) -> bool:
    """Whether the middle of the captured triangles over a polygon is near the polygon's own, for all but a few."""
    size = np.zeros(polygons)
    np.maximum.at(size, owner, np.ptp(places[corners], axis=1).max(axis=1))

    def middles(triangles: Array, of: Array) -> Array:
        total = np.stack(
            [np.bincount(of, places[triangles][:, :, k].mean(axis=1), polygons) for k in range(3)], axis=1
        )
        return total / np.maximum(np.bincount(of, minlength=polygons), 1)[:, None]

    apart = np.linalg.norm(middles(own, under) - middles(corners, owner), axis=1)
    return bool((apart <= 0.5 * size + 1e-9).mean() > 0.99)


def _best_triangle(candidates: _Candidates, corners: Array, places: Array, polygon: Array, points: Array) -> Array:
    """(M,) of each point's polygon the triangle that it lies in, or is least outside of."""
    best, score = np.zeros(len(points), np.int64), np.full(len(points), -np.inf)
    for turn in range(int(candidates.count.max())):
        triangle = candidates.first[polygon] + np.minimum(turn, candidates.count[polygon] - 1)
        inside = _barycentric(places[corners[triangle]], points).min(axis=1)
        better = inside > score
        best[better], score[better] = triangle[better], inside[better]
    return best


def _barycentric(triangles: Array, points: Array) -> Array:  # (M, 3, 3), (M, 3)
    """(M, 3) of the points' feet on the triangles' planes; far outside where a triangle has no area."""
    edge_1, edge_2 = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(edge_1, edge_2)
    doubled = np.einsum("ij,ij->i", across, across)
    offset = points - triangles[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        second = np.einsum("ij,ij->i", np.cross(offset, edge_2), across) / doubled
        third = np.einsum("ij,ij->i", np.cross(edge_1, offset), across) / doubled
    result = np.stack([1 - second - third, second, third], axis=1)
    return np.where(np.isfinite(result), result, -1e9)


def _across(triangles: Array) -> Array:
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def _evaluated_counts(item: Any) -> tuple[int, int]:
    """Vertices and triangles that the object has in the viewport now."""
    bpy.context.view_layer.update()
    evaluated = item.evaluated_get(bpy.context.view_layer.depsgraph)
    data = evaluated.to_mesh()
    try:
        data.calc_loop_triangles()
        return len(data.vertices), len(data.loop_triangles)
    finally:
        evaluated.to_mesh_clear()


def _first_vertices(mesh: Any, parts: int) -> Array:
    """(parts + 1,) where the vertices of each part begin: behind the last one that the part before it uses."""
    starts = np.zeros(parts + 1, np.int64)
    for number in range(parts):
        used = mesh.faces[mesh.face_object == number]
        starts[number + 1] = used.max() + 1 if len(used) else starts[number]
    starts[parts] = len(mesh.vertices)
    return starts


def _regions(mesh: Any, face: Array, barycentric: Array) -> Array:
    region = mesh.face_region[face].astype(np.int32)
    corners = mesh.faces[face]
    for name in ("lips", "brows"):
        soft = np.einsum("ni,ni->n", getattr(mesh, f"region_{name}")[corners], barycentric)
        region[soft > 0.5] = REGIONS.index(name)
    return region


def _nearest(mesh: Any, means: Array) -> tuple[Array, Array]:
    """The captured triangle nearest to splats that were born on none, and their feet on it."""
    tree = BVHTree.FromPolygons(mesh.vertices.tolist(), mesh.faces.tolist(), all_triangles=True)
    points = means @ cameras.SPLAT_FROM_BLENDER  # the inverse, since these are rows
    found = np.array([tree.find_nearest(Vector(point))[2] for point in points.tolist()], np.int64)
    weights = np.clip(_barycentric(mesh.vertices[mesh.faces[found]].astype(np.float64), points), 0, 1)
    return found, weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
