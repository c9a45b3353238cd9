# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn while landmarks are placed: a small face that shows which point is meant, and its name."""

from __future__ import annotations

from typing import Any

from . import drawing, fill
from .landmarks import chains

_LINE = (0.75, 0.75, 0.75, 0.9)
_DOT = (0.95, 0.95, 0.95, 0.9)
_DONE = (1.0, 0.62, 0.10, 1.0)
_WANTED = (0.25, 1.0, 0.35, 1.0)
_PANEL = (0.06, 0.06, 0.06, 0.82)
_TEXT = (1.0, 1.0, 1.0, 1.0)
_SOFT = (0.75, 0.75, 0.75, 1.0)

SIZE = 150.0
"""Edge of the drawn face in pixels at the usual interface scale."""
NAME_SIZE = 14.0


def face_points(centre: tuple[float, float], size: float) -> list[tuple[float, float]]:
    """Pixels of the 68 landmarks of a mean face seen from the front, the character's right at the left."""
    mean = fill.mean_face()[:, [0, 2]]
    low, high = mean.min(axis=0), mean.max(axis=0)
    flat = (mean - (low + high) / 2) * (size / (high - low).max())
    return [(centre[0] + x, centre[1] + y) for x, y in flat.tolist()]


def draw(context: Any, count: str, name: str, wanted: int | None, done: set[int]) -> None:
    """At the lower left of the region: the face with `wanted` in green and `done` in orange, below it which point is
    meant. Kept narrow, so as not to cover the head; the header tells the keys.
    """
    scale = context.preferences.system.ui_scale
    size, margin = SIZE * scale, 9 * scale
    left, bottom = _beside_toolbar(context) + margin, margin
    wide = max(drawing.width_of(name, NAME_SIZE * scale), size) + 2 * margin
    drawing.box((left, bottom), (left + wide, bottom + size + 6.5 * margin), _PANEL)
    points = face_points((left + wide / 2, bottom + 5.5 * margin + size / 2), size)
    for chain in chains():
        drawing.lines([points[i] for i in chain], 1.2 * scale, _LINE)
    drawing.dots(points, 1.6 * scale, _DOT)
    drawing.dots([points[i] for i in sorted(done)], 3.0 * scale, _DONE)
    if wanted is not None:
        drawing.dots([points[wanted]], 6.5 * scale, _WANTED)
    drawing.words(name, (left + margin, bottom + 1.1 * margin), NAME_SIZE * scale, _TEXT)
    drawing.words(count, (left + margin, bottom + 3.1 * margin), 11 * scale, _SOFT)


def _beside_toolbar(context: Any) -> float:
    """Width of the toolbar, which lies over the region where regions overlap."""
    if not context.preferences.system.use_region_overlap:
        return 0.0
    return float(next((region.width for region in context.area.regions if region.type == "TOOLS"), 1) - 1)
