# SPDX-License-Identifier: Apache-2.0
"""Objects, armatures, weights and shape keys: bpy helpers that builders of avatars share."""

from __future__ import annotations

from typing import Any

import attrs
import bpy
import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]


@attrs.frozen(eq=False)
class BoneSpec:
    """A bone of the rest pose: head and tail (3,) in world metres, parent's name or None, whether it deforms."""

    head: Float
    tail: Float
    parent: str | None = None
    deform: bool = True


def make_collection(name: str) -> Any:
    """A new collection, linked to the scene."""
    collection = bpy.data.collections.new(name)
    bpy.context.scene.collection.children.link(collection)
    return collection


def make_mesh_object(
    collection: Any,
    name: str,
    part: str,
    points: Float,  # (V, 3)
    faces: list[list[int]] | npt.NDArray,
    uvs: Float | None = None,  # (corners, 2) in face order
) -> Any:
    """A smooth-shaded mesh object of the collection, marked with its part, UV map "UVMap"."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(np.asarray(points, np.float64).tolist(), [], [list(map(int, face)) for face in faces])
    if uvs is not None:
        mesh.uv_layers.new(name="UVMap").data.foreach_set("uv", np.asarray(uvs, np.float32).ravel())
    mesh.polygons.foreach_set("use_smooth", np.ones(len(mesh.polygons), bool))
    mesh.update()
    obj = bpy.data.objects.new(name, mesh)
    obj["digidouble_part"] = part
    collection.objects.link(obj)
    return obj


def add_attribute(obj: Any, name: str, values: Float) -> None:  # (V,)
    """A float attribute on the vertices."""
    attribute = obj.data.attributes.new(name, "FLOAT", "POINT")
    attribute.data.foreach_set("value", np.asarray(values, np.float32))


def add_shape_keys(obj: Any, offsets: dict[str, Float]) -> None:  # name -> (V, 3) metres
    """Relative shape keys, all at 0. Keys that move nothing by 0.01 mm are left out, except on the head."""
    count = len(obj.data.vertices)
    rest = np.empty(count * 3, np.float32)
    obj.data.vertices.foreach_get("co", rest)
    if obj.data.shape_keys is None:
        obj.shape_key_add(name="Basis", from_mix=False)
    for name, offset in offsets.items():
        if obj["digidouble_part"] != "head" and np.abs(offset).max(initial=0) < 1e-5:
            continue
        key = obj.shape_key_add(name=name, from_mix=False)
        key.value = 0.0
        key.slider_min, key.slider_max = 0.0, 1.0
        key.data.foreach_set("co", rest + np.asarray(offset, np.float32).ravel())


def make_armature(collection: Any, name: str, bones: dict[str, BoneSpec]) -> Any:
    """An armature object with these bones (parents before children)."""
    data = bpy.data.armatures.new(name)
    obj = bpy.data.objects.new(name, data)
    collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    for bone_name, bone in bones.items():
        edit = data.edit_bones.new(bone_name)
        edit.head, edit.tail = [float(v) for v in bone.head], [float(v) for v in bone.tail]
        edit.use_deform = bone.deform
        if bone.parent is not None:
            edit.parent = data.edit_bones[bone.parent]
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def limit_weights(weights: Float, limit: int = 4) -> Float:  # (V, B)
    """Keep the `limit` largest weights of each vertex and make them sum to 1."""
    weights = np.asarray(weights, np.float64).copy()
    if weights.shape[1] > limit:
        cut = np.partition(weights, -limit, axis=1)[:, -limit]
        weights[weights < cut[:, None]] = 0
        surplus = np.cumsum(weights > 0, axis=1) > limit  # ties
        weights[surplus] = 0
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)


def bind(obj: Any, armature: Any, names: list[str], weights: Float) -> None:  # (V, B)
    """Vertex groups from weights (at most 4 a vertex, normalised), an Armature modifier, the armature as parent."""
    weights = limit_weights(weights)
    for column, name in enumerate(names):
        ids = np.flatnonzero(weights[:, column] > 1e-4)
        if not len(ids):
            continue
        group = obj.vertex_groups.new(name=name)
        for vertex in ids.tolist():
            group.add([vertex], float(weights[vertex, column]), "REPLACE")
    modifier = obj.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    obj.parent = armature


def add_subdivision(obj: Any, levels: int = 1) -> None:
    """A Subdivision modifier; UVs stay linear, so the skin image lands where it was painted."""
    modifier = obj.modifiers.new("Subdivision", "SUBSURF")
    modifier.levels = modifier.render_levels = levels
    modifier.uv_smooth = "NONE"
