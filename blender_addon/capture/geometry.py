# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar's mesh as the render sees it, posed and at rest, with UVs, regions, weights, landmarks and bones."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import capture, errors, mesh
from .avatar import Avatar, landmark_ids, part_of
from .checks import check_landmarks, check_numbers, check_unwrapped
from .restore import Restore

Region = mesh.Region
Array = npt.NDArray[Any]

_REGIONS = {"eyes": Region.EYE, "hair": Region.HAIR, "mouth": Region.MOUTH, "lashes": Region.LASHES}
_SOFT_REGIONS = ("region_face", "region_lips", "region_brows")


@attrs.frozen(eq=False)
class _Part:
    """One evaluated object in the world: vertices and normals (V, 3), triangles (F, 3), UVs (F, 3, 2)."""

    vertices: Array
    normals: Array
    faces: Array
    face_uvs: Array
    soft: dict[str, Array]  # (V,) by name
    bone_index: Array  # (V, 4)
    bone_weight: Array  # (V, 4)


@attrs.frozen(eq=False)
class _Rest:
    """The same object at rest: vertices (V, 3) in the world, and how many triangles they form."""

    vertices: Array
    faces: int


def extract(avatar: Avatar, view_layer: Any, *, needs_landmarks: bool) -> tuple[mesh.Mesh, list[capture.Bone]]:
    """The mesh of all parts in the scene's present pose, and the armature's bones.

    Modifiers count as in the render (render levels, render visibility). `rest_vertices` and `Bone.rest` are in the
    avatar's own axes, which are the world's as long as the armature stands at the origin; vertices and `Bone.posed` are
    in the world, so that posed = sum_b weight_b * posed_b @ inverse(rest_b) @ rest_vertex before subdivision.
    Raises InputError for a mesh without UVs or landmarks, with unusable ones, or whose topology changes with the pose.
    """
    ids = landmark_ids(avatar.head, needed=needs_landmarks)
    names = [bone.name for bone in avatar.armature.pose.bones] if avatar.armature else []
    with Restore() as restore:
        _show_as_rendered(restore, avatar, view_layer)
        posed = _read_parts(avatar, view_layer, names)
        frame = frame_of(avatar, view_layer.depsgraph)
        bones = _bones(avatar, frame, view_layer.depsgraph)
        _put_to_rest(restore, avatar)
        rest = _read_rest(avatar, view_layer)
    view_layer.update()
    for part, before, after in zip(avatar.parts, posed, rest, strict=True):
        if len(before.vertices) != len(after.vertices) or len(before.faces) != after.faces:
            raise errors.InputError(
                f"The mesh {part.name!r} has another number of vertices at rest than posed.",
                "Turn off modifiers that cut or merge depending on the pose.",
            )
    check_unwrapped(avatar.head.name, posed[0].face_uvs)
    captured = _join(avatar, frame, posed, rest, ids)
    if needs_landmarks:
        check_landmarks(avatar.head.name, ids, captured.rest_vertices)
    return captured, bones


def frame_of(avatar: Avatar, depsgraph: Any) -> Array:
    """(4, 4) rigid transform from the avatar's own axes to the world, as evaluated (animated, constrained)."""
    matrix: Array = np.array((avatar.armature or avatar.head).evaluated_get(depsgraph).matrix_world)
    left, _, right = np.linalg.svd(matrix[:3, :3])
    matrix[:3, :3] = left @ right
    return matrix


def objects_of(avatar: Avatar, faces_per_object: list[int], surfaces: list[tuple[str | None, list[float]]]) -> list:
    """`ObjectInfo` per part; surfaces are (texture path or None, base colour)."""
    first = np.concatenate([[0], np.cumsum(faces_per_object)])
    return [
        capture.ObjectInfo(part.name, part_of(part), int(start), count, texture, colour)
        for part, start, count, (texture, colour) in zip(
            avatar.parts, first[:-1], faces_per_object, surfaces, strict=True
        )
    ]


def current_expression(avatar: Avatar, depsgraph: Any) -> dict[str, float]:
    """Shape keys of all parts that are not at zero, by name, as evaluated (animated, driven)."""
    keys: dict[str, float] = {}
    for part in avatar.parts:
        blocks = part.data.shape_keys.evaluated_get(depsgraph).key_blocks if part.data.shape_keys else ()
        keys |= {b.name: float(b.value) for b in blocks[1:] if b.value != 0 and not b.mute}
    return keys


def _show_as_rendered(restore: Restore, avatar: Avatar, view_layer: Any) -> None:
    """Make the viewport's evaluation equal to the render's: visibility, modifiers, subdivision levels."""
    for item in [*avatar.parts, *([avatar.armature] if avatar.armature else [])]:
        restore.set(item, "hide_viewport", False)
        if item.hide_get(view_layer=view_layer):
            restore.later(functools.partial(item.hide_set, True, view_layer=view_layer))
            item.hide_set(False, view_layer=view_layer)
        for modifier in item.modifiers:
            restore.set(modifier, "show_viewport", modifier.show_render)
            if modifier.type in ("SUBSURF", "MULTIRES"):
                restore.set(modifier, "levels", modifier.render_levels)


def _put_to_rest(restore: Restore, avatar: Avatar) -> None:
    if avatar.armature is not None:
        restore.set(avatar.armature.data, "pose_position", "REST")
    for part in avatar.parts:
        if part.data.shape_keys is not None:  # shows the basis alone, whatever drives or animates the keys
            restore.set(part, "active_shape_key_index", 0)
            restore.set(part, "show_only_shape_key", True)


def _read_parts(avatar: Avatar, view_layer: Any, bone_names: list[str]) -> list[_Part]:
    view_layer.update()
    return [_read_part(part, view_layer.depsgraph, bone_names) for part in avatar.parts]


def _read_rest(avatar: Avatar, view_layer: Any) -> list[_Rest]:
    view_layer.update()
    found = []
    for part in avatar.parts:
        with _mesh_of(part, view_layer.depsgraph) as (data, matrix):
            vertices = _get(data.vertices, "co", 3) @ matrix[:3, :3].T + matrix[:3, 3]
            check_numbers(part.name, vertices, np.zeros((0, 3, 2)))
            found.append(_Rest(vertices, len(data.loop_triangles)))
    return found


@contextlib.contextmanager
def _mesh_of(part: Any, depsgraph: Any) -> Iterator[tuple[Any, Array]]:
    """The evaluated mesh with its triangles, and the object's matrix (4, 4)."""
    evaluated = part.evaluated_get(depsgraph)
    data = evaluated.to_mesh(preserve_all_data_layers=True, depsgraph=depsgraph)
    try:
        data.calc_loop_triangles()
        yield data, np.array(evaluated.matrix_world)
    finally:
        evaluated.to_mesh_clear()


def _read_part(part: Any, depsgraph: Any, bone_names: list[str]) -> _Part:
    with _mesh_of(part, depsgraph) as (data, matrix):
        vertices = _get(data.vertices, "co", 3) @ matrix[:3, :3].T + matrix[:3, 3]
        normals = _get(data.vertex_normals, "vector", 3) @ np.linalg.inv(matrix[:3, :3])
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        faces = _get(data.loop_triangles, "vertices", 3, np.int32)
        loops = _get(data.loop_triangles, "loops", 3, np.int32)
        if not len(faces) or not data.uv_layers:
            raise errors.InputError(
                f"The modifiers of {part.name!r} leave no faces or no UV map.", "Check its modifiers."
            )
        layer = next((uv for uv in data.uv_layers if uv.active_render), data.uv_layers[0])
        uvs = _get(layer.uv, "vector", 2)[loops]
        check_numbers(part.name, vertices, uvs)
        if np.linalg.det(matrix[:3, :3]) < 0:  # a mirrored object: keep the faces' winding outwards
            faces, uvs = faces[:, ::-1], uvs[:, ::-1]
        groups = _groups_of(data)
        soft = {name: _soft_region(part, data, groups, name) for name in _SOFT_REGIONS}
        index, weight = _bone_weights(part, len(vertices), groups, bone_names)
    return _Part(vertices, normals, faces, uvs, soft, index, weight)


def _get(items: Any, name: str, width: int, kind: type = np.float32) -> Array:
    flat: Array = np.empty(len(items) * width, kind)
    items.foreach_get(name, flat)
    return flat.reshape(-1, width)


@attrs.frozen(eq=False)
class _Groups:
    """The vertex groups of an evaluated mesh, an entry for each vertex that is in one: vertex, group, weight (N,)."""

    vertex: Array
    group: Array
    weight: Array

    def of(self, group: Any, count: int) -> Array:
        """(V,) weights in one group, 0 for vertices that are not in it."""
        found, here = np.zeros(count, np.float32), self.group == group.index
        found[self.vertex[here]] = self.weight[here]
        return found


def _groups_of(data: Any) -> _Groups:
    """All at once: Blender tells groups by single vertices only, and asking them is most of the work."""
    entries = [vertex.groups for vertex in data.vertices]
    counts = np.fromiter(map(len, entries), np.int64, len(entries))
    flat = [(group.group, group.weight) for groups in entries for group in groups]
    table = np.array(flat, np.float64).reshape(-1, 2)
    return _Groups(np.repeat(np.arange(len(entries)), counts), table[:, 0].astype(np.int64), table[:, 1])


def _soft_region(part: Any, data: Any, groups: _Groups, name: str) -> Array:
    """(V,) 0..1: the vertex group that artists paint, else the attribute that sample avatars have, else 0."""
    group, attribute = part.vertex_groups.get(name), data.attributes.get(name)
    if group is not None:
        return groups.of(group, len(data.vertices))
    if attribute is None or attribute.domain != "POINT" or attribute.data_type != "FLOAT":
        return np.zeros(len(data.vertices), np.float32)
    return np.clip(_get(attribute.data, "value", 1)[:, 0], 0, 1)


def _bone_weights(part: Any, count: int, groups: _Groups, bone_names: list[str]) -> tuple[Array, Array]:
    """The four strongest bones of each of `count` vertices, weights summing to 1 (or 0 where no bone holds one)."""
    index, weight = np.zeros((count, 4), np.int16), np.zeros((count, 4), np.float32)
    order = {name: number for number, name in enumerate(bone_names)}
    if part.parent_type == "BONE" and part.parent_bone in order:
        index[:, 0], weight[:, 0] = order[part.parent_bone], 1.0
        return index, weight
    if not bone_names or not any(m.type == "ARMATURE" and m.show_render for m in part.modifiers):
        return index, weight
    bone_of_group = np.full(len(part.vertex_groups), -1)
    for group in part.vertex_groups:
        bone_of_group[group.index] = order.get(group.name, -1)
    held = groups.group < len(bone_of_group)
    held[held] = bone_of_group[groups.group[held]] >= 0
    vertex, bone, value = groups.vertex[held], bone_of_group[groups.group[held]], groups.weight[held]
    sort = np.lexsort((-bone, -value, vertex))
    vertex, bone, value = vertex[sort], bone[sort], value[sort]
    slot = np.arange(len(vertex)) - np.searchsorted(vertex, vertex)  # a vertex's entries lie one after the other
    strong = slot < 4
    index[vertex[strong], slot[strong]], weight[vertex[strong], slot[strong]] = bone[strong], value[strong]
    total = weight.sum(axis=1, keepdims=True)
    return index, np.where(total > 0, weight / np.maximum(total, 1e-12), 0).astype(np.float32)


def _bones(avatar: Avatar, frame: Array, depsgraph: Any) -> list[capture.Bone]:
    if avatar.armature is None:
        return []
    armature = avatar.armature.evaluated_get(depsgraph)
    world = np.array(armature.matrix_world)
    own = np.linalg.inv(frame) @ world  # what is left of the object's matrix is its scale
    return [
        capture.Bone(
            bone.name,
            bone.parent.name if bone.parent else None,
            (own @ np.array(bone.bone.matrix_local)).tolist(),
            (world @ np.array(bone.matrix)).tolist(),
        )
        for bone in armature.pose.bones
    ]


def _join(avatar: Avatar, frame: Array, posed: list[_Part], rest: list[_Rest], landmarks: Array) -> mesh.Mesh:
    starts = np.concatenate([[0], np.cumsum([len(p.vertices) for p in posed])])
    to_own: Array = np.linalg.inv(frame)
    rest_vertices = np.concatenate([p.vertices for p in rest]) @ to_own[:3, :3].T + to_own[:3, 3]
    head_only = {
        name: np.concatenate([posed[0].soft[name], np.zeros(starts[-1] - len(posed[0].vertices), np.float32)])
        for name in _SOFT_REGIONS
    }
    faces = np.concatenate([p.faces + start for p, start in zip(posed, starts, strict=False)])
    owner = np.concatenate([np.full(len(p.faces), i) for i, p in enumerate(posed)])
    region = np.array([_REGIONS.get(part_of(part), Region.OTHER) for part in avatar.parts], np.uint8)[owner]
    in_head = owner == 0
    soft_face = head_only["region_face"][faces].mean(axis=1)
    region[in_head] = np.where(soft_face[in_head] > 0.5, Region.FACE, Region.SKIN)
    return mesh.Mesh(
        vertices=np.concatenate([p.vertices for p in posed]),
        rest_vertices=rest_vertices,
        normals=np.concatenate([p.normals for p in posed]),
        faces=faces,
        face_uvs=np.concatenate([p.face_uvs for p in posed]),
        face_object=owner,
        face_region=region,
        region_face=head_only["region_face"],
        region_lips=head_only["region_lips"],
        region_brows=head_only["region_brows"],
        bone_index=np.concatenate([p.bone_index for p in posed]),
        bone_weight=np.concatenate([p.bone_weight for p in posed]),
        landmarks=landmarks,
    )
