# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies over the photo while points are placed: a chart of the face, a hint, buttons. Where, not how. No bpy."""

from __future__ import annotations

import math

import attrs

from .._interchange import mean_face, mesh
from .marking import Marking
from .scheme import BEST_FIVE, name_of

Point = tuple[float, float]

_MARGIN, _WIDTH, _CHART, _LINE, _BUTTON = 12.0, 250.0, 190.0, 20.0, 26.0


@attrs.frozen
class Rect:
    """A rectangle in the region's pixels, y up."""

    left: float
    bottom: float
    width: float
    height: float

    def holds(self, at: Point) -> bool:
        """True for a point inside."""
        return self.left <= at[0] <= self.left + self.width and self.bottom <= at[1] <= self.bottom + self.height


@attrs.frozen
class Button:
    """action: done, guess, undo or skip."""

    action: str
    label: str
    rect: Rect


@attrs.frozen
class Overlay:
    """box: the dark board. lines: of the hint, the last two large, with where each begins. chart: where each of the 68
    points is drawn on it; empty in a small window."""

    box: Rect
    lines: tuple[tuple[str, Point], ...]
    chart: tuple[Point, ...]
    buttons: tuple[Button, ...]
    scale: float

    def button_at(self, at: Point) -> str | None:
        """The action of the button below a point."""
        return next((button.action for button in self.buttons if button.rect.holds(at)), None)

    def chart_at(self, at: Point) -> int | None:
        """The id of the point of the chart below a point."""
        near = min(range(len(self.chart)), key=lambda i: math.dist(self.chart[i], at), default=None)
        return near if near is not None and math.dist(self.chart[near], at) <= 8 * self.scale else None


def lay_out(marking: Marking, room: Rect, scale: float) -> Overlay:
    """The board in the top left corner of the free room; without its chart where that would fill the room. scale:
    Blender's resolution scale."""
    words = hint(marking)
    labels = button_labels(marking)
    rows = math.ceil(len(labels) / 2)
    chart_height = (_CHART if min(room.width / 2.5, room.height / 1.7) > _WIDTH * scale else 0.0) * scale
    inner, line, button = _WIDTH * scale, _LINE * scale, _BUTTON * scale
    margin = _MARGIN * scale
    height = 2 * margin + chart_height + line * len(words) + rows * (button + margin / 2) + margin / 2
    box = Rect(room.left + margin, room.bottom + room.height - margin - height, inner + 2 * margin, height)
    x, y = box.left + margin, box.bottom + box.height - margin
    chart = _chart(Rect(x, y - chart_height, inner, chart_height)) if chart_height else ()
    y -= chart_height + margin / 2
    lines = tuple((word, (x, y - line * (number + 0.8))) for number, word in enumerate(words))
    y -= line * len(words) + margin / 2
    half = (inner - margin / 2) / 2
    buttons = []
    for number, (action, label) in enumerate(labels):
        column, row = number % 2, number // 2
        rect = Rect(x + column * (half + margin / 2), y - button - row * (button + margin / 2), half, button)
        buttons.append(Button(action, label, rect))
    return Overlay(box, lines, chart, tuple(buttons), scale)


def hint(marking: Marking) -> tuple[str, str, str, str]:
    """How far it is, what to do next, and with which point in two lines."""
    name = name_of(marking.current)
    placed = len(marking.points)
    verb = "Drag or set again:" if marking.current in marking.points else "Click:"
    if marking.missing:
        progress = f"{len(BEST_FIVE) - marking.missing} of the best {len(BEST_FIVE)} points"
    elif placed < mesh.LANDMARK_COUNT:
        progress = f"{placed} of {mesh.LANDMARK_COUNT} points; more fit closer"
    else:
        progress = f"All {placed} points are placed"
    return progress, verb, *split(name)


def split(name: str, room: int = 32) -> tuple[str, str]:
    """Two lines out of one, broken at a word; the board keeps its height when the second is empty."""
    if len(name) <= room:
        return name, ""
    cut = name.rfind(" ", 0, room + 1)
    return name[:cut], name[cut + 1 :]


def button_labels(marking: Marking) -> tuple[tuple[str, str], ...]:
    """The buttons that make sense now."""
    labels = [("done", "Done"), ("undo", "Undo"), ("skip", "Skip")]
    if marking.guesses:
        labels.append(("guess", f"Take {len(marking.guesses)} Guesses"))
    return tuple(labels)


def header(marking: Marking, photo: str) -> str:
    """The line in the editor's header."""
    number = "" if marking.missing else f"  ({len(marking.points)} of {mesh.LANDMARK_COUNT} placed)"
    return (
        f"{photo}: click the {name_of(marking.current)}{number}   |   Drag: move   X: delete   Backspace: undo   "
        "Tab: skip   Wheel: zoom   Enter: done"
    )


def _chart(rect: Rect) -> tuple[Point, ...]:
    low, high = mean_face.MEAN_FACE[:, :2].min(axis=0), mean_face.MEAN_FACE[:, :2].max(axis=0)
    size = min((rect.width - 20) / (high[0] - low[0]), (rect.height - 20) / (high[1] - low[1]))
    middle = (low + high) / 2
    x, y = rect.left + rect.width / 2, rect.bottom + rect.height / 2
    flat = mean_face.MEAN_FACE[:, :2].tolist()
    return tuple((x + size * (px - middle[0]), y - size * (py - middle[1])) for px, py in flat)
