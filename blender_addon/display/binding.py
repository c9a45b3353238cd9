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

from functools import partial
from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, capture, errors
from ..steps import Steps, at_once
from .surfaces import Shape, across, base_triangles, best_triangle, first_vertices, nearest

Array = npt.NDArray[Any]

REGIONS = ("other", "face", "skin", "eye", "hair", "mouth", "lashes", "lips", "brows")
"""What `bind_region` counts: interchange.mesh.Region, then the two soft regions of the face."""
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
    return at_once(binding(captured, face, barycentric, pose, means))


def binding(captured: capture.Capture, face: Array, barycentric: Array, pose: str, means: Array) -> Steps[Binding]:
    """The steps of `bind`."""
    work = yield partial(_Work, captured, face, barycentric, pose, means)
    for number, described in enumerate(captured.objects):
        if not len(work.splats[number]):
            continue
        item = find_part(captured.name, described.name)
        if item is None:
            work.result.notes.append(f"The avatar's part {described.name!r} is not in this file.")
            continue
        name, shape = item.name, read_shape(item.data)
        if (yield partial(work.hang_on_base, number, name, shape)):
            continue
        item = find_part(captured.name, described.name)
        if item is not None and _evaluated_counts(item) == work.captured_counts(number):
            yield partial(work.hang_on_evaluated, number, name)
        else:
            said = f"The mesh {described.name!r} is not as it was captured (other vertices or modifiers)."
            work.result.notes.append(said)
    return (yield work.finish)


class _Work:
    """The arithmetic of binding. No bpy: it may run in a thread, one call at a time."""

    def __init__(self, captured: capture.Capture, face: Array, barycentric: Array, pose: str, means: Array) -> None:
        described = next((p for p in captured.poses if p.name == pose), None)
        self._mesh = mesh = captured.load_mesh(described)
        if face.max(initial=-1) >= len(mesh.faces):
            raise errors.InputError("The double was not fitted to this capture.", "Give the capture that it came from.")
        face, barycentric = face.copy(), barycentric.copy()
        lost = face < 0
        if lost.any():
            face[lost], barycentric[lost] = nearest(mesh, means[lost])
        self._face, self._objects = face, captured.objects
        self._points = np.einsum("ni,nij->nj", barycentric, mesh.vertices[mesh.faces[face]].astype(np.float64))
        self.result = Binding(
            [], np.full(len(face), -1, np.int32), np.zeros((len(face), 3), np.int32), np.zeros((len(face), 3, 3)),
            _regions(mesh, face, barycentric), [],
        )  # fmt: skip
        self._starts = first_vertices(mesh, len(captured.objects))
        part = mesh.face_object[face]
        self.splats = [np.flatnonzero(part == number) for number in range(len(captured.objects))]

    def captured_counts(self, number: int) -> tuple[int, int]:
        """Vertices and triangles that a part was captured with."""
        own, places = self._surface(number)
        return len(places), len(own)

    def hang_on_base(self, number: int, name: str, shape: Shape) -> bool:
        """Hang a part's splats on the base mesh of the object of that name; False if it was not captured from it."""
        own, places = self._surface(number)
        found = base_triangles(shape, own, places)
        if found is None:
            return False
        candidates, coarse = found
        mine = self.splats[number]
        polygon = candidates.polygon_of_face[self._own_face(number)]
        chosen = best_triangle(candidates, shape.corners, places, polygon, self._points[mine])
        self._hang(number, shape.corners[chosen], BoundPart(name, coarse, shape.vertices))
        return True

    def hang_on_evaluated(self, number: int, name: str) -> None:
        """Hang a part's splats on the triangles that its object has with all modifiers, which are those captured."""
        own, places = self._surface(number)
        self._hang(number, own[self._own_face(number)], BoundPart(name, -1, len(places)))

    def finish(self) -> Binding:
        """The whole. Raises InputError if there is nothing to hang on."""
        result = self.result
        if not result.parts:
            raise errors.InputError(" ".join(result.notes), "Open the file that the avatar was captured from.")
        result.corners = result.corners @ cameras.SPLAT_FROM_BLENDER.T
        flat = np.linalg.norm(across(result.corners), axis=1) < 1e-14
        result.part[flat] = -1
        return result

    def _surface(self, number: int) -> tuple[Array, Array]:
        """(F, 3) triangles and (V, 3) world places of a part's captured mesh."""
        described = self._objects[number]
        start, end = (int(v) for v in self._starts[number : number + 2])
        own = self._mesh.faces[described.first_face : described.first_face + described.face_count] - start
        return own, self._mesh.vertices[start:end].astype(np.float64)

    def _own_face(self, number: int) -> Array:
        return self._face[self.splats[number]] - self._objects[number].first_face

    def _hang(self, number: int, vertices: Array, part: BoundPart) -> None:
        mine, (_, places) = self.splats[number], self._surface(number)
        self.result.part[mine] = len(self.result.parts)
        self.result.vertices[mine], self.result.corners[mine] = vertices, places[vertices]
        self.result.parts.append(part)


def find_part(avatar: str, name: str) -> Any | None:
    """The mesh object of this name: in the avatar's collection if that is there, else anywhere in the file."""
    collection = bpy.data.collections.get(avatar)
    for item in collection.all_objects if collection is not None else ():
        if item.name == name and item.type == "MESH":
            return item
    item = bpy.data.objects.get(name)
    return item if item is not None and item.type == "MESH" else None


def read_shape(data: Any) -> Shape:
    """What a mesh data-block is made of."""
    sizes = np.empty(len(data.polygons), np.int32)
    data.polygons.foreach_get("loop_total", sizes)
    data.calc_loop_triangles()
    corners = np.empty(len(data.loop_triangles) * 3, np.int32)
    data.loop_triangles.foreach_get("vertices", corners)
    owner = np.empty(len(data.loop_triangles), np.int32)
    data.loop_triangles.foreach_get("polygon_index", owner)
    return Shape(len(data.vertices), sizes, corners.reshape(-1, 3), owner)


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


def _regions(mesh: Any, face: Array, barycentric: Array) -> Array:
    region = mesh.face_region[face].astype(np.int32)
    corners = mesh.faces[face]
    for name in ("lips", "brows"):
        soft = np.einsum("ni,ni->n", getattr(mesh, f"region_{name}")[corners], barycentric)
        region[soft > 0.5] = REGIONS.index(name)
    return region
