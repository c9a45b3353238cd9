# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group that hides splats: faint ones, large ones, those outside a box, and a share of all for speed."""

from __future__ import annotations

from typing import Any

from .node_tree import Builder, group

FILTER = "Digidouble Filter"
DENSITY, FAINT, LARGE, USE_BOX, BOX = "Density", "Least Opacity", "Largest Size", "Use Crop Box", "Crop Box"


def filter_group() -> Any:
    """Inputs in the words above; the box is an object whose own cube -1..1 is kept."""
    inputs = [
        (DENSITY, "NodeSocketFloat", 1.0), (FAINT, "NodeSocketFloat", 0.0), (LARGE, "NodeSocketFloat", 1e9),
        (USE_BOX, "NodeSocketBool", False), (BOX, "NodeSocketObject", None),
    ]  # fmt: skip
    return group(FILTER, inputs, _build)


def _build(b: Builder, source: Any) -> Any:
    take = source.outputs
    scale = b.attribute("scale", "FLOAT_VECTOR")
    x, y, z = b.xyz(scale)
    largest = b.math("MAXIMUM", b.math("MAXIMUM", x, y), z)
    opacity = b.node("FunctionNodeSeparateColor", {0: b.attribute("radiance:base", "FLOAT_COLOR")}).outputs["Alpha"]
    keep = b.both(b.compare("GREATER_EQUAL", opacity, take[FAINT]), b.compare("LESS_EQUAL", largest, take[LARGE]))
    keep = b.both(keep, _in_box(b, take[USE_BOX], take[BOX]))
    by_lot = b.node("FunctionNodeRandomValue", {"Probability": take[DENSITY]}, data_type="BOOLEAN")
    b.connect(b.node("GeometryNodeInputIndex").outputs[0], by_lot.inputs["ID"])
    keep = b.both(keep, next(s for s in by_lot.outputs if s.enabled))
    geometry = b.node(
        "GeometryNodeSeparateGeometry", {"Geometry": take["Geometry"], "Selection": keep}, domain="POINT"
    ).outputs[0]  # fmt: skip
    # the splats that are left cover for the others
    grown = b.math("DIVIDE", 1.0, b.math("SQRT", b.math("MAXIMUM", take[DENSITY], 1e-3)))
    geometry = b.store(geometry, "scale", "FLOAT_VECTOR", b.vector("SCALE", scale, grown))
    return b.store(geometry, "radius", "FLOAT", b.math("MULTIPLY", b.attribute("radius", "FLOAT"), grown))


def _in_box(b: Builder, used: Any, box: Any) -> Any:
    info = b.node("GeometryNodeObjectInfo", {"Object": box}, transform_space="RELATIVE")
    into = b.node("FunctionNodeInvertMatrix", {0: info.outputs["Transform"]}).outputs[0]
    position = b.node("GeometryNodeInputPosition").outputs[0]
    inside = b.node("FunctionNodeTransformPoint", {"Vector": position, "Transform": into}).outputs[0]
    x, y, z = b.xyz(b.vector("ABSOLUTE", inside))
    farthest = b.math("MAXIMUM", b.math("MAXIMUM", x, y), z)
    unused = b.node("FunctionNodeBooleanMath", {0: used}, operation="NOT").outputs[0]
    return b.either(unused, b.compare("LESS_EQUAL", farthest, 1.0))
