# SPDX-License-Identifier: GPL-3.0-or-later
"""The node group by which splats follow one object of the avatar; binding.py says what they are bound to.

Each splat keeps its place on its triangle: barycentric coordinates along it, height above it. It turns as the triangle
turns (the rotation nearest to how its plane deforms) and grows as the root of the triangle's area, the rule of
"GaussianAvatars" (Qian et al. 2024), with the rotation from a polar decomposition so that no edge is preferred.
"""

from __future__ import annotations

from typing import Any

from .node_tree import Builder, group

FOLLOW = "Digidouble Follow"
PART, CORNERS, REST = "bind_part", ("bind_0", "bind_1", "bind_2"), ("bind_rest_0", "bind_rest_1", "bind_rest_2")
TURN = "bind_turn"
"""How far a splat has turned since the capture; its colours are looked up turned back."""
_GROWTH = "bind_growth"
OBJECT, NUMBER, COARSE, NEEDED = "Avatar Part", "Part", "Coarse Vertices", "Needed Vertices"


def follow_group() -> Any:
    """One part: the object, its number in `bind_part`, the vertex count that wants smoothing, the least usable one."""
    inputs = [
        (OBJECT, "NodeSocketObject", None), (NUMBER, "NodeSocketInt", 0), (COARSE, "NodeSocketInt", -1),
        (NEEDED, "NodeSocketInt", 0),
    ]  # fmt: skip
    return group(FOLLOW, inputs, _build)


def _build(b: Builder, source: Any) -> Any:
    info = b.node("GeometryNodeObjectInfo", {"Object": source.outputs[OBJECT]}, transform_space="ORIGINAL")
    vertices = b.node("GeometryNodeAttributeDomainSize", {0: info.outputs["Geometry"]}).outputs["Point Count"]
    # without its subdivision (a viewport level of 0) the mesh is smoothed here, as it was for the capture
    coarse = b.compare("EQUAL", vertices, source.outputs[COARSE], "INT")
    # (the node does not move vertices to the limit surface before 4.3: then they are up to 1 mm off, half of them 4 um)
    creases = {"Edge Crease": b.attribute("crease_edge", "FLOAT"), "Vertex Crease": b.attribute("crease_vert", "FLOAT")}
    smoothing = {0: info.outputs["Geometry"], "Level": coarse} | creases
    smooth = b.node("GeometryNodeSubdivisionSurface", smoothing).outputs[0]
    usable = b.compare("GREATER_EQUAL", vertices, source.outputs[NEEDED], "INT")
    mine = b.compare("EQUAL", b.attribute(PART, "INT"), source.outputs[NUMBER], "INT")
    chosen = b.both(mine, usable)
    now = [_corner(b, smooth, info.outputs["Transform"], name) for name in CORNERS]
    rest = [b.attribute(name, "FLOAT_VECTOR") for name in REST]
    before, after = _Triangle(b, *rest), _Triangle(b, *now)
    growth = b.math("SQRT", b.math("DIVIDE", after.doubled_area, b.math("MAXIMUM", before.doubled_area, 1e-20)))
    turn = _turn(b, before, after)

    # every field is computed anew for each node that takes it, so what is dear is stored once and read again
    position = b.node("GeometryNodeInputPosition").outputs[0]
    geometry = b.store(source.outputs["Geometry"], TURN, "QUATERNION", turn, chosen)
    geometry = b.store(geometry, _GROWTH, "FLOAT", growth, chosen)
    turn, growth = b.attribute(TURN, "QUATERNION"), b.attribute(_GROWTH, "FLOAT")
    rotation = b.node(
        "FunctionNodeRotateRotation",
        {"Rotation": b.attribute("rotation", "QUATERNION"), "Rotate By": turn}, rotation_space="GLOBAL",
    )  # fmt: skip
    geometry = b.store(geometry, "rotation", "QUATERNION", rotation.outputs[0], chosen)
    scale = b.vector("SCALE", b.attribute("scale", "FLOAT_VECTOR"), growth)
    geometry = b.store(geometry, "scale", "FLOAT_VECTOR", scale, chosen)
    radius = b.math("MULTIPLY", b.attribute("radius", "FLOAT"), growth)
    geometry = b.store(geometry, "radius", "FLOAT", radius, chosen)
    along_1, along_2, height = before.coordinates(position)
    place = b.total(
        [
            after.origin, b.vector("SCALE", after.edge_1, along_1), b.vector("SCALE", after.edge_2, along_2),
            b.vector("SCALE", after.normal, b.math("MULTIPLY", height, growth)),
        ],
        b.vector,
    )  # fmt: skip
    # last, since the fields above read positions
    return b.node(
        "GeometryNodeSetPosition", {"Geometry": geometry, "Selection": chosen, "Position": place}
    ).outputs[0]  # fmt: skip


class _Triangle:
    """Edges, unit normal and twice the area of triangles with these corners."""

    def __init__(self, b: Builder, first: Any, second: Any, third: Any) -> None:
        self._b, self.origin = b, first
        self.edge_1, self.edge_2 = b.vector("SUBTRACT", second, first), b.vector("SUBTRACT", third, first)
        across = b.vector("CROSS_PRODUCT", self.edge_1, self.edge_2)
        self.doubled_area, self.normal = b.vector("LENGTH", across), b.vector("NORMALIZE", across)

    def coordinates(self, point: Any) -> tuple[Any, Any, Any]:
        """Along both edges (in units of them) and above the plane."""
        b = self._b
        offset = b.vector("SUBTRACT", point, self.origin)
        area = b.math("MAXIMUM", self.doubled_area, 1e-20)
        dual_1 = b.vector("CROSS_PRODUCT", self.edge_2, self.normal)
        dual_2 = b.vector("CROSS_PRODUCT", self.normal, self.edge_1)
        return (
            b.math("DIVIDE", b.vector("DOT_PRODUCT", offset, dual_1), area),
            b.math("DIVIDE", b.vector("DOT_PRODUCT", offset, dual_2), area),
            b.vector("DOT_PRODUCT", offset, self.normal),
        )

    def frame(self) -> Any:
        """Rotation that takes x to the first edge and z to the normal."""
        axes = {"Primary Axis": self.normal, "Secondary Axis": self.edge_1}
        return self._b.node("FunctionNodeAxesToRotation", axes, primary_axis="Z", secondary_axis="X").outputs[0]

    def flat(self) -> tuple[Any, Any, Any]:
        """(l, p, q): in the plane the first edge is (l, 0), the second (p, q)."""
        b = self._b
        length = b.math("MAXIMUM", b.vector("LENGTH", self.edge_1), 1e-20)
        along = b.math("DIVIDE", b.vector("DOT_PRODUCT", self.edge_1, self.edge_2), length)
        return length, along, b.math("DIVIDE", self.doubled_area, length)


def _turn(b: Builder, before: _Triangle, after: _Triangle) -> Any:
    """The frames' rotation, corrected in the plane by that of the polar decomposition of the plane's deformation."""
    (l0, p0, q0), (l1, p1, q1) = before.flat(), after.flat()
    sine = b.math("SUBTRACT", b.math("MULTIPLY", l1, p0), b.math("MULTIPLY", p1, l0))
    cosine = b.math("ADD", b.math("MULTIPLY", l1, q0), b.math("MULTIPLY", q1, l0))
    angle = b.math("ARCTAN2", sine, cosine)
    in_plane = b.node("FunctionNodeAxisAngleToRotation", {"Axis": (0.0, 0.0, 1.0), "Angle": angle}).outputs[0]
    rotation = b.node("FunctionNodeInvertRotation", {0: before.frame()}).outputs[0]
    for step in (in_plane, after.frame()):
        sockets = {"Rotation": rotation, "Rotate By": step}
        rotation = b.node("FunctionNodeRotateRotation", sockets, rotation_space="GLOBAL").outputs[0]
    return rotation


def _corner(b: Builder, mesh: Any, to_world: Any, name: str) -> Any:
    """A vertex of the evaluated part in the splat frame (x, -z, y): see interchange.cameras.SPLAT_FROM_BLENDER."""
    sample = b.node(
        "GeometryNodeSampleIndex",
        {"Geometry": mesh, "Index": b.attribute(name, "INT")}, data_type="FLOAT_VECTOR", domain="POINT", clamp=True,
    )  # fmt: skip
    value = next(s for s in sample.inputs if s.enabled and s.name == "Value")
    b.connect(b.node("GeometryNodeInputPosition").outputs[0], value)
    output = next(s for s in sample.outputs if s.enabled)
    x, y, z = b.xyz(b.node("FunctionNodeTransformPoint", {"Vector": output, "Transform": to_world}).outputs[0])
    return b.combined(x, b.math("MULTIPLY", z, -1.0), y)
