# SPDX-License-Identifier: Apache-2.0
"""A chair of rods with a spoked wheel leaning on it, as a .blend file: `python -m benchmarks.thin_object FILE`.

Runs in Blender's Python. Its thinnest parts are 4 mm wide, a pixel of a 256 x 256 picture of the whole; the seat is
checkered, the wheel glossy. Nothing of it can be guessed from a hull or filled in from the side.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import bpy  # first: it brings bmesh and mathutils

# isort: split
import bmesh
import numpy as np
from mathutils import Matrix, Vector

from avatars.materials import image_material, packed_image, plain_material

NAME = "chair"
_FRAME, _RODS, _SPOKES = 0.012, 0.005, 0.002
"""Radii of the tubes, metres."""
_SEAT, _DEPTH, _HEIGHT, _BACK = 0.42, 0.40, 0.44, 0.46
_WHEEL, _SPOKE_COUNT = 0.26, 20


def build() -> None:
    """Put the object into an empty file: parts of one collection, marked as the capture expects."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    collection = bpy.data.collections.new(NAME)
    bpy.context.scene.collection.children.link(collection)
    wood = plain_material("wood", (0.28, 0.11, 0.04), 0.6)
    steel = plain_material("steel", (0.45, 0.47, 0.5), 0.25, 0.6)
    rubber = plain_material("rubber", (0.03, 0.03, 0.035), 0.8)
    squares = np.indices((16, 16)).sum(axis=0) % 2
    pixels = np.where(squares[..., None], [0.85, 0.75, 0.45], [0.15, 0.3, 0.5])
    checks = image_material("checks", packed_image("checks", np.kron(pixels, np.ones((8, 8, 1)))), 0.7)
    frame = _part("frame", collection, wood, _frame)
    frame["digidouble_part"], frame["digidouble_avatar"] = "head", f'{{"name": "{NAME}"}}'
    _part("seat", collection, checks, _seat)
    _part("rods", collection, steel, _back_rods)
    _part("tyre", collection, rubber, lambda shape: _ring(shape, _WHEEL, 0.011))
    _part("wheel", collection, steel, _wheel)


def _part(name: str, collection: Any, material: Any, fill: Any) -> Any:
    mesh = bpy.data.meshes.new(name)
    shape = bmesh.new()
    shape.loops.layers.uv.new("UVMap")
    fill(shape)
    shape.to_mesh(mesh)
    shape.free()
    mesh.materials.append(material)
    item = bpy.data.objects.new(name, mesh)
    collection.objects.link(item)
    return item


def _tube(shape: Any, start: tuple, end: tuple, radius: float, sides: int = 10) -> None:
    """A closed cylinder between two points."""
    a, b = Vector(start), Vector(end)
    turn = (b - a).to_track_quat("Z", "Y").to_matrix().to_4x4()
    bmesh.ops.create_cone(
        shape, cap_ends=True, segments=sides, radius1=radius, radius2=radius, depth=(b - a).length,
        matrix=Matrix.Translation((a + b) / 2) @ turn, calc_uvs=True,
    )  # fmt: skip


def _frame(shape: Any) -> None:
    w, d = _SEAT / 2, _DEPTH / 2
    for x in (-w, w):
        _tube(shape, (x, -d, 0), (x * 0.95, -d, _HEIGHT), _FRAME)
        _tube(shape, (x, d + 0.05, 0), (x * 0.95, d, _HEIGHT), _FRAME)
        _tube(shape, (x * 0.95, d, _HEIGHT), (x * 0.9, d + 0.08, _HEIGHT + _BACK), _FRAME)
        _tube(shape, (x, -d, 0.15), (x, d + 0.03, 0.15), _FRAME * 0.7)
    _tube(shape, (-w * 0.9, d + 0.08, _HEIGHT + _BACK), (w * 0.9, d + 0.08, _HEIGHT + _BACK), _FRAME * 1.3)
    for y in (-d, d):
        _tube(shape, (-w * 0.95, y, _HEIGHT), (w * 0.95, y, _HEIGHT), _FRAME)


def _seat(shape: Any) -> None:
    layer = shape.loops.layers.uv.active
    size = Matrix.Diagonal((_SEAT * 0.9, _DEPTH * 0.95, 0.014, 1))
    bmesh.ops.create_cube(shape, size=1.0, matrix=Matrix.Translation((0, 0, _HEIGHT + 0.01)) @ size)
    for face in shape.faces:
        for loop in face.loops:
            loop[layer].uv = (loop.vert.co.x / _SEAT + 0.5, loop.vert.co.y / _DEPTH + 0.5)


def _back_rods(shape: Any) -> None:
    d = _DEPTH / 2
    for x in np.linspace(-0.4, 0.4, 9) * _SEAT:
        _tube(shape, (x, d, _HEIGHT), (x * 0.95, d + 0.08, _HEIGHT + _BACK), _RODS)
    for x in np.linspace(-0.4, 0.4, 5) * _SEAT:
        _tube(shape, (x, -d, 0.15), (x, -d, _HEIGHT), _RODS * 0.8)


_LEANING = Matrix.Translation((0.33, -0.05, _WHEEL)) @ Matrix.Rotation(0.25, 4, "Y")


def _ring(shape: Any, radius: float, thickness: float, count: int = 48) -> None:
    angles = np.linspace(0, 2 * np.pi, count + 1)
    for a, b in zip(angles[:-1], angles[1:], strict=True):
        _tube(shape, _on_wheel(radius, a), _on_wheel(radius, b), thickness, 8)


def _on_wheel(radius: float, angle: float, off: float = 0.0) -> tuple:
    return tuple(_LEANING @ Vector((off, radius * np.cos(angle), radius * np.sin(angle))))


def _wheel(shape: Any) -> None:
    _ring(shape, _WHEEL - 0.016, 0.005)
    _tube(shape, _on_wheel(0, 0, -0.03), _on_wheel(0, 0, 0.03), 0.014)
    for number, angle in enumerate(np.linspace(0, 2 * np.pi, _SPOKE_COUNT, endpoint=False)):
        off = 0.025 if number % 2 else -0.025
        _tube(shape, _on_wheel(0.013, angle + 0.8, off), _on_wheel(_WHEEL - 0.018, angle), _SPOKES, 6)


if __name__ == "__main__":
    build()
    bpy.ops.wm.save_as_mainfile(filepath=str(Path(sys.argv[-1]).resolve()))
