# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials for splats, built by code."""

from __future__ import annotations

from typing import Any

import bpy

from .. import compat
from .node_tree import Builder

POINTS, CARDS, BALLS = "digidouble points", "digidouble cards", "digidouble balls"
TINT, ALPHA, LEAN, CORNER = "splat_tint", "splat_alpha", "splat_lean", "splat_corner"
"""What the shaders read: colour as the scene wants it, alpha in the middle; of cards the correlation of x and y, and
where on the card a point lies."""


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



def card_material() -> Any:
    """A Gaussian on a card whose edges are where alpha has fallen to 1/255.

    In the card's own x and y, -1..1, with the correlation r of the projected Gaussian, d^2 = (x^2 - 2 r x y + y^2) /
    (1 - r^2), and alpha = a (255 a)^(-d^2).
    """
    material, b = _new(CARDS)
    if b is None:
        return material
    x, y, _ = b.xyz(b.node("ShaderNodeAttribute", attribute_name=CORNER).outputs["Vector"])
    lean = b.node("ShaderNodeAttribute", attribute_name=LEAN).outputs["Fac"]
    squares = b.math("ADD", b.math("MULTIPLY", x, x), b.math("MULTIPLY", y, y))
    mixed = b.math("MULTIPLY", b.math("MULTIPLY", lean, 2.0), b.math("MULTIPLY", x, y))
    rest = b.math("MAXIMUM", b.math("SUBTRACT", 1.0, b.math("MULTIPLY", lean, lean)), 1e-9)
    _glow(b, b.math("DIVIDE", b.math("SUBTRACT", squares, mixed), rest), "GEOMETRY", None)
    return material


def ball_material() -> Any:
    """A Gaussian in a ball whose surface is where alpha has fallen to 1/255, seen along the ray.

    d^2 = p.p - (p.v)^2 / v.v for a ray through p along v in the ball's own axes: where the ray comes closest to the
    middle. The greatest value along the ray is what the projected Gaussian of a rasterizer approximates.
    """
    material, b = _new(BALLS)
    if b is None:
        return material
    point = b.node("ShaderNodeTexCoord").outputs["Object"]
    geometry = b.node("ShaderNodeNewGeometry")
    ray = b.node(
        "ShaderNodeVectorTransform", {0: geometry.outputs["Incoming"]}, vector_type="VECTOR", convert_from="WORLD",
        convert_to="OBJECT",
    ).outputs[0]  # fmt: skip
    along = b.vector("DOT_PRODUCT", point, ray)
    nearest = b.math(
        "SUBTRACT", b.vector("DOT_PRODUCT", point, point),
        b.math("DIVIDE", b.math("MULTIPLY", along, along), b.vector("DOT_PRODUCT", ray, ray)),
    )  # fmt: skip
    _glow(b, nearest, "INSTANCER", b.math("SUBTRACT", 1.0, geometry.outputs["Backfacing"]))
    return material


def _new(name: str) -> tuple[Any, Builder | None]:
    """The material of this name, and a builder if it has to be built."""
    existing = bpy.data.materials.get(name)
    if existing is not None and existing.library is None:
        return existing, None
    material = bpy.data.materials.new(name)
    compat.use_hashed_transparency(material)
    b = Builder(compat.use_nodes(material))
    b.tree.nodes.clear()
    return material, b


def _glow(b: Builder, distance: Any, source: str, factor: Any | None) -> None:
    """Emission of the splat's tint; alpha from d^2, nothing beyond 1, times a factor."""
    tint = b.node("ShaderNodeAttribute", attribute_name=TINT, attribute_type=source).outputs["Vector"]
    peak = b.node("ShaderNodeAttribute", attribute_name=ALPHA, attribute_type=source).outputs["Fac"]
    fall = b.math("POWER", b.math("MULTIPLY", peak, 255.0), b.math("MULTIPLY", distance, -1.0))
    alpha = b.math("MULTIPLY", b.math("MULTIPLY", peak, fall), b.math("LESS_THAN", distance, 1.0))
    if factor is not None:
        alpha = b.math("MULTIPLY", alpha, factor)
    clear = b.node("ShaderNodeBsdfTransparent").outputs[0]
    glow = b.node("ShaderNodeEmission", {"Color": tint}).outputs[0]
    mix = b.node("ShaderNodeMixShader", {0: alpha, 1: clear, 2: glow}).outputs[0]
    b.node("ShaderNodeOutputMaterial", {"Surface": mix})
