# SPDX-License-Identifier: GPL-3.0-or-later
"""Points, lines, chart and hint, drawn over an Image Editor. Discs are triangles: point sizes are not the same on
OpenGL, Metal and Vulkan.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import blf
import gpu
from gpu_extras.batch import batch_for_shader

from .marking import Marking
from .overlay import Overlay, Point, Rect
from .scheme import LINES

Colour = tuple[float, float, float, float]

_PLACED: Colour = (0.25, 0.85, 0.45, 1.0)
_CURRENT: Colour = (1.0, 0.6, 0.1, 1.0)
_GUESS: Colour = (0.6, 0.8, 1.0, 0.8)
_FAINT: Colour = (0.6, 0.8, 1.0, 0.35)
_LINE: Colour = (0.25, 0.85, 0.45, 0.7)
_DARK: Colour = (0.0, 0.0, 0.0, 0.8)
_BOARD: Colour = (0.1, 0.1, 0.1, 0.85)
_BUTTON: Colour = (0.35, 0.35, 0.35, 1.0)
_MAIN_BUTTON: Colour = (0.28, 0.45, 0.7, 1.0)
_GREY: Colour = (0.55, 0.55, 0.55, 1.0)
_WHITE: Colour = (1.0, 1.0, 1.0, 1.0)
_CORNERS = 16


def draw(marking: Marking, at: Mapping[int, Point], guesses: Mapping[int, Point], overlay: Overlay) -> None:
    """Draw all. at, guesses: where the points lie in the region."""
    gpu.state.blend_set("ALPHA")
    try:
        scale = overlay.scale
        _lines(_segments({**guesses, **at}), _FAINT, 1.0 * scale)
        _lines(_segments(at), _LINE, 1.5 * scale)
        _discs((p, 2.5 * scale, _GUESS) for p in guesses.values())
        _discs((p, 5.0 * scale, _DARK) for p in at.values())
        _discs(((p, 3.5 * scale, _CURRENT if i == marking.current else _PLACED) for i, p in at.items()))
        if marking.current in guesses:
            _discs([(guesses[marking.current], 4.0 * scale, _CURRENT)])
        _draw_board(marking, overlay)
    finally:
        gpu.state.blend_set("NONE")


def _draw_board(marking: Marking, overlay: Overlay) -> None:
    scale = overlay.scale
    _rectangles([(overlay.box, _BOARD)])
    _lines(_segments(dict(enumerate(overlay.chart))), (*_GREY[:3], 0.6), 1.0 * scale)
    _discs((p, 2.0 * scale, _PLACED if i in marking.points else _GREY) for i, p in enumerate(overlay.chart))
    if overlay.chart:
        _discs([(overlay.chart[marking.current], 5.0 * scale, _CURRENT)])
    for number, (text, where) in enumerate(overlay.lines):
        _text(text, where, (13 if number >= 2 else 11) * scale, _WHITE if number >= 2 else (0.8, 0.8, 0.8, 1))
    _rectangles((b.rect, _MAIN_BUTTON if b.action == "done" else _BUTTON) for b in overlay.buttons)
    for button in overlay.buttons:
        _label(button.label, button.rect, 11 * scale)


def _segments(at: Mapping[int, Point]) -> list[Point]:
    """Both ends of each piece of a line whose two points are there."""
    ends: list[Point] = []
    for ids, closed in LINES:
        following = (*ids[1:], ids[0]) if closed else ids[1:]
        for first, second in zip(ids, following, strict=False):
            if first in at and second in at:
                ends += (at[first], at[second])
    return ends


def _lines(ends: list[Point], colour: Colour, width: float) -> None:
    if not ends:
        return
    shader = gpu.shader.from_builtin("POLYLINE_UNIFORM_COLOR")
    batch = batch_for_shader(shader, "LINES", {"pos": [(x, y, 0.0) for x, y in ends]})
    shader.bind()
    shader.uniform_float("viewportSize", gpu.state.viewport_get()[2:])
    shader.uniform_float("lineWidth", width)
    shader.uniform_float("color", colour)
    batch.draw(shader)


def _discs(discs: Iterable[tuple[Point, float, Colour]]) -> None:
    positions: list[Point] = []
    colours: list[Colour] = []
    for (x, y), radius, colour in discs:
        rim = [(x + radius * math.cos(2 * math.pi * k / _CORNERS), y + radius * math.sin(2 * math.pi * k / _CORNERS))
               for k in range(_CORNERS + 1)]  # fmt: skip
        for k in range(_CORNERS):
            positions += ((x, y), rim[k], rim[k + 1])
            colours += (colour, colour, colour)
    _triangles(positions, colours)


def _rectangles(rectangles: Iterable[tuple[Rect, Colour]]) -> None:
    positions: list[Point] = []
    colours: list[Colour] = []
    for rect, colour in rectangles:
        left, bottom, right, top = rect.left, rect.bottom, rect.left + rect.width, rect.bottom + rect.height
        positions += ((left, bottom), (right, bottom), (right, top), (left, bottom), (right, top), (left, top))
        colours += [colour] * 6
    _triangles(positions, colours)


def _triangles(positions: list[Point], colours: list[Colour]) -> None:
    if not positions:
        return
    shader = gpu.shader.from_builtin("FLAT_COLOR")
    content = {"pos": [(x, y, 0.0) for x, y in positions], "color": colours}
    batch = batch_for_shader(shader, "TRIS", content)
    shader.bind()
    batch.draw(shader)


def _text(text: str, at: Point, size: float, colour: Colour) -> None:
    blf.size(0, size)
    blf.color(0, *colour)
    blf.position(0, *at, 0)
    blf.draw(0, text)


def _label(text: str, rect: Rect, size: float) -> None:
    blf.size(0, size)
    width, height = blf.dimensions(0, text)
    at = (rect.left + (rect.width - width) / 2, rect.bottom + (rect.height - height) / 2)
    _text(text, at, size, _WHITE)
