# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials for splats, built by code."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat

POINTS = "digidouble points"


def point_material() -> Any:
    """Points glow in their `display_color`, whatever the scene's light; one material is shared by all clouds.

    (An attribute called plain `color` is black in Cycles on point clouds, 4.5.)
    """
    existing = bpy.data.materials.get(POINTS)
    if existing is not None:
        return existing
    material = bpy.data.materials.new(POINTS)
    tree = compat.use_nodes(material)
    nodes, links = tree.nodes, tree.links
    nodes.clear()
    attribute, glow = nodes.new("ShaderNodeAttribute"), nodes.new("ShaderNodeEmission")
    output = nodes.new("ShaderNodeOutputMaterial")
    attribute.attribute_name = "display_color"
    attribute.location, glow.location, output.location = (-400, 0), (-200, 0), (0, 0)
    links.new(attribute.outputs["Color"], glow.inputs["Color"])
    links.new(glow.outputs["Emission"], output.inputs["Surface"])
    return material
