# SPDX-License-Identifier: Apache-2.0
"""Materials and packed images of avatars. The colour image is wired straight into Base Color: exchange it, done."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt


def packed_image(name: str, pixels: npt.NDArray) -> Any:  # (H, W, 3) sRGB 0..1, row 0 = top
    """A packed 8-bit sRGB image datablock."""
    height, width = pixels.shape[:2]
    image = bpy.data.images.new(name, width, height, alpha=False, float_buffer=False)
    image.colorspace_settings.name = "sRGB"
    rgba = np.ones((height, width, 4), np.float32)
    rgba[..., :3] = pixels[::-1]
    image.pixels.foreach_set(rgba.ravel())
    image.update()
    image.pack()
    return image


def image_material(name: str, image: Any, roughness: float, specular: float = 0.35) -> Any:
    """A Principled material whose Base Color is the image."""
    material, shader = _principled(name, roughness, specular)
    texture = material.node_tree.nodes.new("ShaderNodeTexImage")
    texture.image = image
    texture.location = (-320, 260)
    material.node_tree.links.new(texture.outputs["Color"], shader.inputs["Base Color"])
    return material


def plain_material(name: str, linear: tuple[float, float, float], roughness: float, specular: float = 0.35) -> Any:
    """A Principled material of one scene-linear colour."""
    material, shader = _principled(name, roughness, specular)
    shader.inputs["Base Color"].default_value = (*linear, 1.0)
    material.diffuse_color = (*linear, 1.0)
    return material


def _principled(name: str, roughness: float, specular: float) -> tuple[Any, Any]:
    material = bpy.data.materials.new(name)
    shader = next(node for node in node_tree(material).nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Specular IOR Level"].default_value = specular
    return material, shader


def node_tree(block: Any) -> Any:
    """The node tree of a material or world; from Blender 5.0 on there always is one, and asking for it warns."""
    if bpy.app.version < (5, 0, 0):
        block.use_nodes = True
    return block.node_tree
