# SPDX-License-Identifier: GPL-3.0-or-later
"""Dots, lines and words on top of a region, in its pixels. Called from draw handlers only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import blf
import gpu
from gpu_extras.batch import batch_for_shader

Point = tuple[float, float]
Colour = tuple[float, float, float, float]

_CIRCLE = [(math.cos(2 * math.pi * k / 12), math.sin(2 * math.pi * k / 12)) for k in range(12)]
_FONT = 0


def dots(points: Sequence[Point], radius: float, colour: Colour) -> None:
    """Filled circles."""
    corners: list[Point] = []
    for x, y in points:
        ring = [(x + radius * c, y + radius * s) for c, s in _CIRCLE]
        for a, b in zip(ring, [*ring[1:], ring[0]], strict=True):
            corners += [(x, y), a, b]
    _triangles(corners, colour)


def lines(points: Sequence[Point], width: float, colour: Colour) -> None:
    """A polyline; drawn as triangles, since line widths are not to be had on every graphics driver."""
    corners: list[Point] = []
    for (x0, y0), (x1, y1) in zip(points, points[1:], strict=False):
        length = math.hypot(x1 - x0, y1 - y0)
        if length > 0:
            dx, dy = -(y1 - y0) / length * width / 2, (x1 - x0) / length * width / 2
            a, b, c, d = (x0 + dx, y0 + dy), (x0 - dx, y0 - dy), (x1 + dx, y1 + dy), (x1 - dx, y1 - dy)
            corners += [a, b, c, b, d, c]
    _triangles(corners, colour)


def box(low: Point, high: Point, colour: Colour) -> None:
    """A filled rectangle."""
    (x0, y0), (x1, y1) = low, high
    _triangles([(x0, y0), (x1, y0), (x1, y1), (x0, y0), (x1, y1), (x0, y1)], colour)


def words(text: str, at: Point, size: float, colour: Colour) -> None:
    """A line of text; `at` is the lower left of its first letter."""
    blf.size(_FONT, size)
    blf.color(_FONT, *colour)
    blf.position(_FONT, at[0], at[1], 0)
    blf.draw(_FONT, text)


def width_of(text: str, size: float) -> float:
    """Pixels that a line of text takes."""
    blf.size(_FONT, size)
    return float(blf.dimensions(_FONT, text)[0])


def _triangles(corners: list[Point], colour: Colour) -> None:
    if not corners:
        return
    shader: Any = gpu.shader.from_builtin("UNIFORM_COLOR")
    batch = batch_for_shader(shader, "TRIS", {"pos": [(x, y, 0.0) for x, y in corners]})
    gpu.state.blend_set("ALPHA")
    shader.bind()
    shader.uniform_float("color", colour)
    batch.draw(shader)
    gpu.state.blend_set("NONE")
