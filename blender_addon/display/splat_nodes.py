# SPDX-License-Identifier: GPL-3.0-or-later
"""The node groups that draw splats, coloured for the active camera; materials.py has their shaders.

*Cards* stand in the middle of each splat and face the active camera. They do what a rasterizer does, splat by splat:
project the covariance (Zwicker et al. 2002), add a blur of 0.3 squared pixels, sort by the depth of the middle. From
another side they are seen at a slant. *Balls* are ellipsoids that look right from everywhere; they cost more, and sort
by the depth of their front. Both reach to where a Gaussian fades below 1/255.
"""

from __future__ import annotations

from typing import Any

from .follow_nodes import TURN
from .materials import ALPHA, CORNER, LEAN, TINT, ball_material, card_material
from .node_tree import Builder, group

CARDS, BALLS = "Digidouble Cards {}", "Digidouble Balls {}"
PIXEL, ANTIALIASED, DISPLAY = "Pixel", "Antialiased", "Display Values"
BLUR = 0.3
"""Squared pixels; EPS2D of the backend's rasterizer."""
FAINTEST = 1 / 255
"""Alpha under which splats are not drawn."""
MOST = 0.99
"""The greatest alpha of a splat; MAX_ALPHA of the backend's rasterizer."""
_INRADIUS = 0.7946544722917661  # of an icosahedron in a unit ball
_SH_C0 = 0.28209479177387814
_UNITS = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))


def splats_group(shape: str, degree: int) -> Any:
    """Cards or balls (CARDS, BALLS) for a cloud of an SH degree 0..3.

    Inputs: the size of a pixel at distance 1, whether the splats were trained with anti-aliasing, and whether display
    values go out as they are (for the view transform Raw).
    """
    inputs = [
        (PIXEL, "NodeSocketFloat", 0.0), (ANTIALIASED, "NodeSocketBool", False), (DISPLAY, "NodeSocketBool", False),
    ]  # fmt: skip
    build = _build_cards if shape == CARDS else _build_balls
    return group(shape.format(degree), inputs, lambda b, source: build(b, source, degree))


class _View:
    """The active camera, and the splats as it sees them, however their object is turned, mirrored or stretched."""

    def __init__(self, b: Builder, source: Any) -> None:
        self._b = b
        camera = _object_info(b, b.node("GeometryNodeInputActiveCamera").outputs[0])
        own = _object_info(b, b.node("GeometryNodeSelfObject").outputs[0])
        rigid = {"Translation": camera["Location"], "Rotation": camera["Rotation"]}  # a camera's scale means nothing
        to_world = b.node("FunctionNodeCombineTransform", rigid).outputs[0]
        from_world = b.node("FunctionNodeInvertMatrix", {0: to_world}).outputs[0]
        self._into = b.node("FunctionNodeMatrixMultiply", {0: from_world, 1: own["Transform"]}).outputs[0]
        self._out = b.node("FunctionNodeInvertMatrix", {0: self._into}).outputs[0]
        self.position = b.node("GeometryNodeInputPosition").outputs[0]
        eye = b.node("FunctionNodeTransformPoint", {0: (0.0, 0.0, 0.0), 1: self._out}).outputs[0]
        self.away = b.vector("SUBTRACT", self.position, eye)
        x, y, z = b.xyz(b.node("FunctionNodeTransformPoint", {0: self.position, 1: self._into}).outputs[0])
        self.depth = b.math("MULTIPLY", z, -1.0)
        self.slope = b.combined(b.math("DIVIDE", x, z), b.math("DIVIDE", y, z), 1.0)
        footprint = b.math("MULTIPLY", self.depth, source.outputs[PIXEL])
        self.blur = b.math("MULTIPLY", b.math("MULTIPLY", footprint, footprint), BLUR)

    def seen(self, vector: Any) -> Any:
        """A vector of the cloud in the camera's axes (x right, y up, z towards the viewer), metres of the world."""
        return self._b.node("FunctionNodeTransformDirection", {0: vector, 1: self._into}).outputs[0]

    def axis(self, unit: tuple[float, float, float]) -> Any:
        """An axis of the camera, a metre of the world long, as a vector of the cloud."""
        return self._b.node("FunctionNodeTransformDirection", {0: unit, 1: self._out}).outputs[0]

    def growth(self) -> Any:
        """Mean square of how much longer a vector of the cloud is in the world."""
        b = self._b
        squares = [b.vector("DOT_PRODUCT", v, v) for v in (self.seen(unit) for unit in _UNITS)]
        return b.math("DIVIDE", b.total(squares, b.math), 3.0)


def _object_info(b: Builder, item: Any) -> Any:
    return b.node("GeometryNodeObjectInfo", {"Object": item}, transform_space="ORIGINAL").outputs


def _build_cards(b: Builder, source: Any, degree: int) -> Any:
    view = _View(b, source)
    rotation, sizes = b.attribute("rotation", "QUATERNION"), b.xyz(b.attribute("scale", "FLOAT_VECTOR"))
    axes = []
    for unit, size in zip(_UNITS, sizes, strict=True):
        axis = b.node("FunctionNodeRotateVector", {0: unit, 1: rotation}).outputs[0]
        local = view.seen(b.vector("SCALE", axis, size))
        # on the plane of the card: what the perspective's Jacobian makes of it, in metres at the splat's depth
        axes.append(b.vector("SUBTRACT", local, b.vector("SCALE", view.slope, b.xyz(local)[2])))
    parts = [b.xyz(axis)[:2] for axis in axes]
    xx = b.total([b.math("MULTIPLY", x, x) for x, _ in parts], b.math)
    yy = b.total([b.math("MULTIPLY", y, y) for _, y in parts], b.math)
    xy = b.total([b.math("MULTIPLY", x, y) for x, y in parts], b.math)
    wide, high = b.math("ADD", xx, view.blur), b.math("ADD", yy, view.blur)
    alpha = _alpha(b, source, b.math("DIVIDE", _determinant(b, xx, yy, xy), _determinant(b, wide, high, xy)))
    reach = _reach(b, alpha)
    root = b.math("SQRT", b.math("MULTIPLY", wide, high))
    half = [b.math("MULTIPLY", b.math("SQRT", value), reach) for value in (wide, high)]
    sides = [b.vector("SCALE", view.axis(unit), size) for unit, size in zip(_UNITS, half, strict=False)]
    geometry = _with_looks(b, source, view, alpha, degree)
    geometry = b.store(geometry, LEAN, "FLOAT", b.math("DIVIDE", xy, root))
    visible = b.both(b.compare("GREATER_THAN", b.attribute(ALPHA, "FLOAT"), FAINTEST),
                     b.compare("GREATER_THAN", view.depth, 1e-3))  # fmt: skip
    card = b.node("GeometryNodeMeshGrid", {"Size X": 2.0, "Size Y": 2.0, "Vertices X": 2, "Vertices Y": 2}).outputs[0]
    card = b.store(card, CORNER, "FLOAT_VECTOR", b.node("GeometryNodeInputPosition").outputs[0])
    card = b.node("GeometryNodeSetMaterial", {"Geometry": card, "Material": card_material()}).outputs[0]
    cards = b.node(
        "GeometryNodeInstanceOnPoints",
        {"Points": geometry, "Selection": visible, "Instance": card},
    ).outputs[0]  # fmt: skip
    columns = [*sides, view.axis(_UNITS[2]), view.position]
    placed = b.node("GeometryNodeSetInstanceTransform", {"Instances": cards, "Transform": _matrix(b, columns)})
    return b.node("GeometryNodeRealizeInstances", {0: placed.outputs[0]}).outputs[0]


def _build_balls(b: Builder, source: Any, degree: int) -> Any:
    view = _View(b, source)
    squared = b.attribute("scale", "FLOAT_VECTOR")
    squared = b.vector("MULTIPLY", squared, squared)
    # an even blur in the picture is an even growth of the variances at the splat's depth
    blur = b.math("DIVIDE", view.blur, b.math("MAXIMUM", view.growth(), 1e-20))
    grown = b.xyz(b.vector("ADD", squared, b.combined(blur, blur, blur)))
    alpha = _alpha(b, source, _area_ratio(b, b.xyz(squared), grown))
    geometry = _with_looks(b, source, view, alpha, degree)
    visible = b.compare("GREATER_THAN", b.attribute(ALPHA, "FLOAT"), FAINTEST)
    ball = b.node("GeometryNodeMeshIcoSphere", {"Radius": 1 / _INRADIUS, "Subdivisions": 1}).outputs[0]
    ball = b.node("GeometryNodeSetMaterial", {"Geometry": ball, "Material": ball_material()}).outputs[0]
    size = b.vector("SCALE", b.combined(*(b.math("SQRT", value) for value in grown)), _reach(b, alpha))
    return b.node(
        "GeometryNodeInstanceOnPoints",
        {
            "Points": geometry, "Selection": visible, "Instance": ball,
            "Rotation": b.attribute("rotation", "QUATERNION"), "Scale": size,
        },
    ).outputs[0]  # fmt: skip


def _matrix(b: Builder, columns: list[Any]) -> Any:
    """4 x 4 of three axes and a place."""
    sockets: dict[int, Any] = {}
    for number, column in enumerate(columns):
        sockets |= dict(enumerate([*b.xyz(column), 1.0 if number == 3 else 0.0], 4 * number))
    return b.node("FunctionNodeCombineMatrix", sockets).outputs[0]


def _with_looks(b: Builder, source: Any, view: _View, alpha: Any, degree: int) -> Any:
    """The points with what the shader reads."""
    colour = _colour(b, b.vector("NORMALIZE", view.away), degree)
    geometry = b.store(source.outputs["Geometry"], ALPHA, "FLOAT", alpha)
    return b.store(geometry, TINT, "FLOAT_VECTOR", _for_the_scene(b, colour, source.outputs[DISPLAY]))


def _alpha(b: Builder, source: Any, area_ratio: Any) -> Any:
    """Alpha in the middle: the opacity, less what the blur spreads where splats were trained so (Yu et al. 2024)."""
    loss = b.math("SQRT", b.math("MAXIMUM", area_ratio, 0.0))
    kept = b.switch("FLOAT", source.outputs[ANTIALIASED], 1.0, loss)
    return b.math("MINIMUM", b.math("MULTIPLY", _base(b).outputs["Alpha"], kept), MOST)


def _reach(b: Builder, alpha: Any) -> Any:
    """Standard deviations to where alpha has fallen to 1/255."""
    fall = b.math("LOGARITHM", b.math("MULTIPLY", alpha, 1 / FAINTEST), 2.718281828459045)
    return b.math("SQRT", b.math("MAXIMUM", b.math("MULTIPLY", fall, 2.0), 0.0))


def _base(b: Builder) -> Any:
    return b.node("FunctionNodeSeparateColor", {0: b.attribute("radiance:base", "FLOAT_COLOR")})


def _determinant(b: Builder, xx: Any, yy: Any, xy: Any) -> Any:
    product = b.math("SUBTRACT", b.math("MULTIPLY", xx, yy), b.math("MULTIPLY", xy, xy))
    return b.math("MAXIMUM", product, 1e-24)


def _area_ratio(b: Builder, before: Any, after: Any) -> Any:
    """Of the area in the picture without and with the blur, from the two larger axes."""
    ratios = [b.math("DIVIDE", old, b.math("MAXIMUM", new, 1e-24)) for old, new in zip(before, after, strict=True)]
    smallest = b.math("MINIMUM", b.math("MINIMUM", ratios[0], ratios[1]), ratios[2])
    product = b.math("MULTIPLY", b.math("MULTIPLY", ratios[0], ratios[1]), ratios[2])
    return b.math("DIVIDE", product, b.math("MAXIMUM", smallest, 1e-12))


def _colour(b: Builder, direction: Any, degree: int) -> Any:
    """Display-referred colour seen along `direction`, which is turned back by how far the splat has turned."""
    constant = b.combined(*_base(b).outputs[:3])
    terms = [(0.5, 0.5, 0.5), b.vector("SCALE", constant, _SH_C0)]
    if degree:
        back = b.node("FunctionNodeInvertRotation", {0: b.attribute(TURN, "QUATERNION")}).outputs[0]
        local = b.node("FunctionNodeRotateVector", {0: direction, 1: back}).outputs[0]
        for k, value in enumerate(_basis(b, *b.xyz(local), degree)):
            terms.append(b.vector("SCALE", b.attribute(f"radiance:sh_{k}", "FLOAT_VECTOR"), value))
    return b.vector("MAXIMUM", b.total(terms, b.vector), (0.0, 0.0, 0.0))


def _basis(b: Builder, x: Any, y: Any, z: Any, degree: int) -> list[Any]:
    """The real spherical harmonics from band 1 on, in the order and with the signs of interchange/splats/axes.py."""

    def times(factor: float, *values: Any) -> Any:
        result = values[0]
        for value in values[1:]:
            result = b.math("MULTIPLY", result, value)
        return b.math("MULTIPLY", result, factor)

    def mixed(*terms: tuple[float, Any]) -> Any:
        return b.total([b.math("MULTIPLY", value, factor) for factor, value in terms], b.math)

    found = [times(-0.4886025119029199, y), times(0.4886025119029199, z), times(-0.4886025119029199, x)]
    if degree < 2:
        return found
    xx, yy, zz = (b.math("MULTIPLY", v, v) for v in (x, y, z))
    difference, xy = mixed((1, xx), (-1, yy)), b.math("MULTIPLY", x, y)
    found += [
        times(1.0925484305920792, xy), times(-1.0925484305920792, y, z),
        times(0.31539156525252005, mixed((2, zz), (-1, xx), (-1, yy))), times(-1.0925484305920792, x, z),
        times(0.5462742152960396, difference),
    ]  # fmt: skip
    if degree < 3:
        return found
    ring = mixed((4, zz), (-1, xx), (-1, yy))
    found += [
        times(-0.5900435899266435, y, mixed((3, xx), (-1, yy))), times(2.890611442640554, xy, z),
        times(-0.4570457994644658, y, ring), times(0.3731763325901154, z, mixed((2, zz), (-3, xx), (-3, yy))),
        times(-0.4570457994644658, x, ring), times(1.445305721320277, z, difference),
        times(-0.5900435899266435, x, mixed((1, xx), (-3, yy))),
    ]  # fmt: skip
    return found


def _for_the_scene(b: Builder, colour: Any, as_it_is: Any) -> Any:
    """sRGB decoded to scene-linear light, or the display value itself."""
    linear = []
    for value in b.xyz(colour):
        low = b.math("DIVIDE", value, 12.92)
        high = b.math("POWER", b.math("DIVIDE", b.math("ADD", value, 0.055), 1.055), 2.4)
        is_high = b.compare("GREATER_THAN", value, 0.04045)
        linear.append(b.switch("FLOAT", is_high, low, high))
    return b.switch("VECTOR", as_it_is, b.combined(*linear), colour)
