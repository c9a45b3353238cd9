# SPDX-License-Identifier: Apache-2.0
"""From arrays to Blender: meshes, UVs, shape keys, weights, materials, armature. The only bpy in this package."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..materials import node_tree
from .graph import Faces, Float
from .surface import blender_from_design


def new_mesh_object(collection: Any, name: str, points: Float, faces: Faces, corner_uvs: list[Float]) -> Any:
    """A smooth-shaded mesh object in `collection`; points (N, 3) are design millimetres."""
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(blender_from_design(points).tolist(), [], faces)
    mesh.polygons.foreach_set("use_smooth", np.ones(len(faces), dtype=bool))
    layer = mesh.uv_layers.new(name="UVMap")
    layer.data.foreach_set("uv", np.concatenate(corner_uvs).astype(np.float32).ravel())
    mesh.update()
    obj = bpy.data.objects.new(name, mesh)
    collection.objects.link(obj)
    return obj


def add_float_attribute(obj: Any, name: str, values: Float) -> None:
    """A FLOAT attribute on the points; values (N,)."""
    attribute = obj.data.attributes.new(name, "FLOAT", "POINT")
    attribute.data.foreach_set("value", values.astype(np.float32))


def add_shape_keys(obj: Any, points: Float, keys: dict[str, Float]) -> None:
    """Basis and one shape key an entry; displacements (N, 3) in design millimetres."""
    if not keys:
        return
    obj.shape_key_add(name="Basis", from_mix=False).value = 0.0
    for name, moves in keys.items():
        block = obj.shape_key_add(name=name, from_mix=False)
        block.data.foreach_set("co", blender_from_design(points + moves).astype(np.float32).ravel())
        block.value = 0.0  # some versions start new keys at 1
        block.slider_min, block.slider_max = 0.0, 1.0
    obj.data.update()


def add_weights(obj: Any, armature: Any, weights: dict[str, Float]) -> None:
    """Vertex groups by bone name and an Armature modifier; weights (N,) each."""
    for bone, values in weights.items():
        group = obj.vertex_groups.new(name=bone)
        rounded = np.round(values, 4)
        for value in np.unique(rounded[rounded > 0]):
            group.add(np.nonzero(rounded == value)[0].tolist(), float(value), "REPLACE")
    modifier = obj.modifiers.new("Armature", "ARMATURE")
    modifier.object = armature
    obj.parent = armature


def add_subdivision(obj: Any, levels: int = 1) -> None:
    """A Catmull-Clark modifier for viewport and render."""
    modifier = obj.modifiers.new("Subdivision", "SUBSURF")
    modifier.levels = modifier.render_levels = levels


def new_armature(collection: Any, name: str, bones: dict[str, tuple[str | None, Float, Float]]) -> Any:
    """An armature from {bone: (parent, head (3,), tail (3,))} in design millimetres."""
    armature = bpy.data.armatures.new(name)
    obj = bpy.data.objects.new(name, armature)
    collection.objects.link(obj)
    view_layer = bpy.context.view_layer
    view_layer.objects.active = obj
    with bpy.context.temp_override(active_object=obj, object=obj, selected_objects=[obj]):
        bpy.ops.object.mode_set(mode="EDIT")
        for bone_name, (parent, head, tail) in bones.items():
            bone = armature.edit_bones.new(bone_name)
            bone.head = blender_from_design(np.asarray(head, dtype=np.float64)).tolist()
            bone.tail = blender_from_design(np.asarray(tail, dtype=np.float64)).tolist()
            if parent is not None:
                bone.parent = armature.edit_bones[parent]
        bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def packed_image(name: str, pixels: npt.NDArray) -> Any:
    """A packed sRGB image from (h, w, 3) sRGB 0..1, row 0 = top."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(name, width, height, alpha=False)
    image.colorspace_settings.name = "sRGB"
    rgba = np.ones((height, width, 4), dtype=np.float32)
    rgba[..., :3] = np.clip(pixels[::-1], 0.0, 1.0)
    image.pixels.foreach_set(rgba.ravel())
    image.update()
    image.pack()
    return image


def new_material(name: str, image: Any | None, roughness: float, specular: float,
                 colour: tuple[float, float, float] = (0.5, 0.5, 0.5)) -> Any:
    """Principled material with an image, if any, straight in Base Color; `colour` is linear RGB otherwise."""
    material = bpy.data.materials.new(name)
    tree = node_tree(material)
    shader = next(node for node in tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = specular
    shader.inputs["Base Color"].default_value = (*colour, 1.0)
    material.diffuse_color = (*colour, 1.0)
    if image is not None:
        node = tree.nodes.new("ShaderNodeTexImage")
        node.image = image
        tree.links.new(node.outputs["Color"], shader.inputs["Base Color"])
    return material
