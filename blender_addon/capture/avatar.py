# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects make up an avatar, and what they are marked as."""

from __future__ import annotations

import json
from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import errors, mesh

STANDS_IN = "digidouble_stands_in"
"""On a mesh that is hidden because its double stands in its place; a capture shows it for its own time."""

_HOW_TO_MARK = 'Set one up in the panel Avatar; or put its meshes into a collection and set "digidouble_part" by hand.'
PARTS = ("head", "eyes", "hair", "mouth", "lashes")
_KEEP_VERTEX_ORDER = frozenset(
    # deform vertices, or append new ones after the old
    ("ARMATURE", "CAST", "CURVE", "DISPLACE", "HOOK", "LAPLACIANDEFORM", "LATTICE", "MESH_DEFORM", "SHRINKWRAP",
     "SIMPLE_DEFORM", "SMOOTH", "CORRECTIVE_SMOOTH", "LAPLACIANSMOOTH", "SURFACE_DEFORM", "WARP", "WAVE", "SUBSURF",
     "MULTIRES", "SOLIDIFY", "MIRROR", "TRIANGULATE", "DATA_TRANSFER", "NORMAL_EDIT", "WEIGHTED_NORMAL", "UV_PROJECT",
     "UV_WARP", "VERTEX_WEIGHT_EDIT", "VERTEX_WEIGHT_MIX", "VERTEX_WEIGHT_PROXIMITY", "MESH_CACHE")
)  # fmt: skip


@attrs.frozen(eq=False)
class Avatar:
    """An avatar in a scene. parts: its mesh objects, the head first; armature: None for a static one."""

    name: str
    parts: list[Any]
    armature: Any | None
    info: dict[str, Any]

    @property
    def head(self) -> Any:
        """The mesh object marked as head."""
        return self.parts[0]

    @property
    def frame(self) -> npt.NDArray[np.float64]:
        """(4, 4) rigid transform from the avatar's own axes (face along -Y, mirror plane x = 0) to the world."""
        matrix = np.array((self.armature or self.head).matrix_world)
        left, _, right = np.linalg.svd(matrix[:3, :3])
        matrix[:3, :3] = left @ right
        return matrix


def part_of(item: Any) -> str:
    """head, eyes, hair, mouth, lashes, or other where nothing is marked."""
    part = item.get("digidouble_part", "other")
    return part if part in PARTS else "other"


def avatar_names() -> list[str]:
    """Collections of the open file that hold an avatar (an object marked `digidouble_avatar`).

    Where the panel has made a collection for an avatar, the others that its objects also lie in are not listed.
    """
    holders = [c for c in bpy.data.collections if any("digidouble_avatar" in item for item in c.objects)]
    made = {item for c in holders if c.get("digidouble_made") for item in c.objects if "digidouble_avatar" in item}
    return sorted(
        c.name
        for c in holders
        if c.get("digidouble_made") or any("digidouble_avatar" in i and i not in made for i in c.objects)
    )


def is_among(item: Any, objects: Any) -> bool:
    """Whether an object is one of a scene's or view layer's; a linked one may have the same name as its override."""
    same = objects.get(item.name)
    return bool(same == item or (same is not None and item in set(objects)))


def _with_a_head() -> list[str]:
    """Collections that hold a mesh marked as head, for files that were marked by hand, without `digidouble_avatar`."""
    return sorted(c.name for c in bpy.data.collections if any(part_of(item) == "head" for item in c.objects))


def find_avatar(scene: Any, view_layer: Any, name: str | None, *, strict: bool = True) -> Avatar:
    """The avatar in the collection `name`, or the only one there is. strict: its parts must be fit for a capture.

    Raises InputError if there is none, several to choose from, no head, or parts that cannot be captured.
    """
    known = avatar_names() or _with_a_head()
    listed = f"The file has {', '.join(known)}." if known else _HOW_TO_MARK
    if not name:
        if not known:
            raise errors.InputError("The file holds no avatar.", _HOW_TO_MARK)
        if len(known) > 1:
            raise errors.InputError(
                "The file holds several avatars.", f"Choose one in the panel Avatar, or name it (--avatar). {listed}"
            )
        name = known[0]
    collection = bpy.data.collections.get(name)
    if collection is None:
        raise errors.InputError(f"There is no avatar called {name!r} in this file.", listed)
    meshes = [item for item in collection.all_objects if item.type == "MESH"]
    if strict:
        meshes = [item for item in meshes if item.data.polygons and (not item.hide_render or STANDS_IN in item)]
    parts = sorted(meshes, key=lambda m: (part_of(m) != "head", m.name))
    heads = [item for item in parts if part_of(item) == "head"]
    if len(heads) != 1:
        raise errors.InputError(
            f"The avatar {name!r} has {len(heads)} meshes marked as head.",
            'Set "digidouble_part" = "head" on one that has faces and is not hidden in renders.',
        )
    if not strict:
        return Avatar(name, parts, _armature(parts, collection), _info(collection, name))
    layered = set(view_layer.objects)
    if any(part not in layered for part in parts) or any(part not in set(scene.objects) for part in parts):
        raise errors.InputError(
            f"The avatar {name!r} is not in the view layer.", "Tick its collection in the outliner."
        )
    for part in parts:
        _check_part(part)
    return Avatar(name, parts, _armature(parts, collection), _info(collection, name))


def _check_part(part: Any) -> None:
    if not part.data.uv_layers:
        raise errors.InputError(
            f"The mesh {part.name!r} has no UV map.", "Unwrap it (UV > Smart UV Project does) and try again."
        )
    if not np.isfinite(np.array(part.matrix_world)).all() or abs(part.matrix_world.determinant()) < 1e-12:
        raise errors.InputError(f"The object {part.name!r} is scaled to nothing.", "Apply or clear its scale.")


def _armature(parts: list[Any], collection: Any) -> Any | None:
    for part in parts:
        for modifier in part.modifiers:
            if modifier.type == "ARMATURE" and modifier.object is not None:
                return modifier.object
    return next((item for item in collection.all_objects if item.type == "ARMATURE"), None)


def _info(collection: Any, name: str) -> dict[str, Any]:
    for item in collection.all_objects:
        if "digidouble_avatar" in item:
            try:
                return {"name": name} | json.loads(item["digidouble_avatar"])
            except (TypeError, ValueError):
                raise errors.InputError(
                    f"The note digidouble_avatar on {item.name!r} is not JSON.", "Delete that property or mend it."
                ) from None
    return {"name": name}


def landmark_ids(head: Any, *, needed: bool) -> npt.NDArray[np.int32]:
    """(68,) vertex ids of the head's base mesh, -1 where missing.

    Raises InputError if they are needed and absent, are not 68 ids of the mesh, or a modifier would renumber vertices.
    """
    if "digidouble_landmarks" not in head:
        if needed:
            raise errors.InputError(
                f"The head {head.name!r} has no face landmarks.", "Place the 68 landmarks on it, then capture again."
            )
        return np.full(mesh.LANDMARK_COUNT, -1, np.int32)
    try:
        ids = np.array([int(v) for v in head["digidouble_landmarks"]], np.int32)
    except (TypeError, ValueError):
        ids = np.empty(0, np.int32)
    if ids.shape != (mesh.LANDMARK_COUNT,) or ids.max() >= len(head.data.vertices) or ids.min() < -1:
        raise errors.InputError(
            f"The landmarks of {head.name!r} are not 68 vertices of its mesh.", "Place them again."
        )
    for modifier in head.modifiers:
        if modifier.show_render and modifier.type == "PARTICLE_SYSTEM":
            raise errors.InputError(
                f"The particles {modifier.name!r} on {head.name!r} cannot be captured.",
                "Make a mesh of them, mark it as hair, and turn them off for rendering.",
            )
        if modifier.show_render and renumbering(head, modifier):
            raise errors.InputError(
                f"The modifier {modifier.name!r} on {head.name!r} may renumber vertices, so landmarks would be lost.",
                "Apply it or turn it off for rendering.",
            )
    return ids


def renumbering(head: Any, modifier: Any) -> bool:
    """True if a vertex of the base mesh may have another number after the modifier, or none.

    A mask that hides only vertices behind the last landmark is harmless: so MakeHuman's helpers are hidden.
    """
    if modifier.type != "MASK":
        return modifier.type not in _KEEP_VERTEX_ORDER
    marks = [int(v) for v in head.get("digidouble_landmarks", ())]
    group = head.vertex_groups.get(modifier.vertex_group)
    if max(marks, default=-1) < 0:
        return False  # nothing to lose yet
    if modifier.mode != "VERTEX_GROUP" or group is None:
        return True
    kept = {v.index for v in head.data.vertices if any(g.group == group.index and g.weight > modifier.threshold
                                                       for g in v.groups)}  # fmt: skip
    wanted = range(max(marks) + 1)
    return any((index in kept) == modifier.invert_vertex_group for index in wanted)


def render_uv(data: Any) -> Any | None:
    """The UV map of a mesh that a render uses, and so does a capture; None if there is none."""
    return next((layer for layer in data.uv_layers if layer.active_render), next(iter(data.uv_layers), None))
