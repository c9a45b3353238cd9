# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in avatar that keeps the contract of avatars/ (names, properties, regions, rig) but is made in 10 ms.

It is no face: the tests of the capture need exact, quick geometry, and must not wait for the real avatars.
"""

from __future__ import annotations

import json
from typing import Any

import bmesh
import bpy
import numpy as np
from mathutils import Matrix, Vector

from blender_addon import compat

SHAPE_KEYS = ("jaw_open", "smile", "blink_left")
BONES = {"neck": None, "head": "neck", "jaw": "head", "eye.L": "head", "eye.R": "head"}


def build_standin(name: str = "A", *, rig: bool = True, image_size: int = 64, segments: int = 24) -> Any:
    """Build the stand-in in the current scene; returns its collection. Face along -Y, about 0.24 m tall."""
    collection = bpy.data.collections.new(name)
    bpy.context.scene.collection.children.link(collection)
    skin = _material(f"{name}_skin", _skin_image(f"{name}_skin", image_size))
    head = _sphere(name, collection, (0.0, 0.0, 0.12), (0.075, 0.095, 0.12), segments, skin)
    _mark_regions(head)
    _add_shape_keys(head)
    eyes = _sphere(f"{name}_eyes", collection, (-0.03, -0.083, 0.14), (0.014, 0.014, 0.014), 12,
                   _material(f"{name}_iris", _skin_image(f"{name}_iris", 16)), copies=[(0.06, 0.0, 0.0)])  # fmt: skip
    hair = _sphere(f"{name}_hair", collection, (0.0, 0.025, 0.155), (0.08, 0.09, 0.095), segments,
                   _material(f"{name}_hair", None, (0.05, 0.03, 0.02)))  # fmt: skip
    head["digidouble_part"], eyes["digidouble_part"], hair["digidouble_part"] = "head", "eyes", "hair"
    head["digidouble_landmarks"] = _landmarks(head)
    info = json.dumps({"name": name, "kind": "procedural", "identity": "standin", "licence": "CC0-1.0", "seed": 0})
    if rig:
        armature = _armature(name, collection)
        armature["digidouble_avatar"] = info
        for part in (head, eyes, hair):
            _skin_to(part, armature)
    else:
        head["digidouble_avatar"] = info
    head.modifiers.new("Subdivision", "SUBSURF").levels = 0  # the render level counts, not the viewport's
    head.modifiers["Subdivision"].render_levels = 1
    bpy.context.view_layer.update()
    return collection


def _sphere(name: str, collection: Any, centre: tuple, radii: tuple, segments: int, material: Any,
            copies: list[tuple] | None = None) -> Any:  # fmt: skip
    mesh = bpy.data.meshes.new(name)
    shape = bmesh.new()
    for offset in [(0.0, 0.0, 0.0), *(copies or [])]:
        place = Matrix.Translation(Vector(centre) + Vector(offset)) @ Matrix.Diagonal((*radii, 1.0))
        bmesh.ops.create_uvsphere(shape, u_segments=segments, v_segments=segments, radius=1.0, matrix=place,
                                  calc_uvs=False)  # fmt: skip
    layer = shape.loops.layers.uv.new("UVMap")
    for face in shape.faces:
        face.smooth = True
        angles = [np.arctan2(v.vert.co.x - centre[0], -(v.vert.co.y - centre[1])) for v in face.loops]
        base = face.calc_center_median()
        middle = np.arctan2(base.x - centre[0], -(base.y - centre[1]))
        for loop, angle in zip(face.loops, angles, strict=True):
            turned = middle + (angle - middle + np.pi) % (2 * np.pi) - np.pi  # keep a face on one side of the seam
            height = np.clip((loop.vert.co.z - centre[2]) / radii[2], -1, 1)
            loop[layer].uv = (0.5 + turned / (2.2 * np.pi), 0.5 + np.arcsin(height) / np.pi)
    shape.to_mesh(mesh)
    shape.free()
    mesh.materials.append(material)
    item = bpy.data.objects.new(name, mesh)
    collection.objects.link(item)
    return item


def _skin_image(name: str, size: int) -> Any:
    v, u = np.mgrid[0:size, 0:size] / size
    colour = np.stack([0.75 + 0.1 * np.sin(20 * u), 0.55 + 0.1 * np.sin(17 * v), 0.45 + 0 * u, 1 + 0 * u], axis=-1)
    image = bpy.data.images.new(name, size, size)
    image.pixels.foreach_set(np.ascontiguousarray(colour, np.float32).ravel())
    image.pack()
    return image


def _material(name: str, image: Any, colour: tuple = (0.8, 0.8, 0.8)) -> Any:
    material = bpy.data.materials.new(name)
    compat.use_nodes(material)
    shader = material.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    if image is not None:
        texture = material.node_tree.nodes.new("ShaderNodeTexImage")
        texture.image = image
        material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    return material


def _coordinates(item: Any) -> np.ndarray:
    flat = np.empty(len(item.data.vertices) * 3, np.float32)
    item.data.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3)


def _mark_regions(head: Any) -> None:
    points = _coordinates(head)
    face = np.clip((-points[:, 1] - 0.02) / 0.03, 0, 1)
    for name, values in (
        ("region_face", face),
        ("region_lips", face * (np.abs(points[:, 2] - 0.07) < 0.012)),
        ("region_brows", face * (np.abs(points[:, 2] - 0.16) < 0.01)),
    ):
        attribute = head.data.attributes.new(name, "FLOAT", "POINT")
        attribute.data.foreach_set("value", values.astype(np.float32))


def _landmarks(head: Any) -> list[int]:
    """68 vertices of the front, the jaw line from the character's right (x < 0) to the left first."""
    points = _coordinates(head)
    jaw = np.linspace(-0.07, 0.07, 17)
    targets = [(x, -0.03 - 0.05 * np.cos(x * 20), 0.06) for x in jaw]
    targets += [(x, -0.09, z) for z in (0.06, 0.09, 0.12) for x in np.linspace(-0.04, 0.04, 17)]
    return [int(np.argmin(((points - t) ** 2).sum(axis=1))) for t in targets]


def _add_shape_keys(head: Any) -> None:
    points = _coordinates(head)
    compat.add_shape_key(head, "Basis")
    low = np.clip((0.1 - points[:, 2]) / 0.1, 0, 1) * (points[:, 1] < 0)
    for index, name in enumerate(SHAPE_KEYS):
        key = compat.add_shape_key(head, name)
        moved = points.copy()
        moved[:, 2 - index % 2] -= 0.02 * low
        key.data.foreach_set("co", moved.ravel())


def _armature(name: str, collection: Any) -> Any:
    item = bpy.data.objects.new(f"{name}_rig", bpy.data.armatures.new(f"{name}_rig"))
    collection.objects.link(item)
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.mode_set(mode="EDIT")
    heads = {"neck": (0, 0.02, 0), "head": (0, 0.02, 0.06), "jaw": (0, 0, 0.08), "eye.L": (0.03, -0.083, 0.14),
             "eye.R": (-0.03, -0.083, 0.14)}  # fmt: skip
    for bone, parent in BONES.items():
        edit = item.data.edit_bones.new(bone)
        edit.head = heads[bone]
        edit.tail = Vector(heads[bone]) + Vector((0, -0.03, 0.04) if bone in ("neck", "head") else (0, -0.04, 0))
        edit.parent = item.data.edit_bones[parent] if parent else None
    bpy.ops.object.mode_set(mode="OBJECT")
    return item


def _skin_to(part: Any, armature: Any) -> None:
    points = _coordinates(part)
    low = np.clip((0.08 - points[:, 2]) / 0.06, 0, 1)
    jaw = np.clip((0.09 - points[:, 2]) / 0.05, 0, 1) * (points[:, 1] < -0.02)
    if part["digidouble_part"] == "head":
        weights = {"neck": low * (1 - jaw), "head": (1 - low) * (1 - jaw), "jaw": jaw}
    elif part["digidouble_part"] == "eyes":
        weights = {"eye.L": (points[:, 0] > 0).astype(float), "eye.R": (points[:, 0] <= 0).astype(float)}
    else:
        weights = {"head": np.ones(len(points))}
    for bone, values in weights.items():
        group = part.vertex_groups.new(name=bone)
        for index in np.flatnonzero(values > 0):
            group.add([int(index)], float(values[index]), "REPLACE")
    modifier = part.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    part.modifiers.move(len(part.modifiers) - 1, 0)
    part.parent = armature
