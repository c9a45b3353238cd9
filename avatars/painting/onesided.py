# SPDX-License-Identifier: Apache-2.0
"""What one half of a face has and the other has not: moles, a scar, a birthmark, a sunnier side. Real faces have such
things, and whoever completes a face by its mirror image has to be judged by one that is not symmetric.

All lies at fixed places beside the landmarks, so it is the same on everybody; strengths go with `Look.one_sided`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .canvas import Canvas
from .chart import distance_to_polyline, smoothstep, spline

if TYPE_CHECKING:
    from ..skin import Look

Float = npt.NDArray[np.floating]
BROW_GAP = (0.60, 0.05)
"""Where the left brow is parted, as a fraction of its length, and half how widely."""
_SCAR = (0.90, 0.74, 0.68)  # times the skin's tone: what a scar's paler, pinker tissue looks like
_MOLES = ((3, 48, 0.50, 0.0023), (2, 31, 0.72, 0.0017), (12, 54, 0.78, 0.0020), (14, 45, 0.62, 0.0013))
"""Between which two landmarks, how near the first, radius in metres of the chart."""


def paint_one_sided(canvas: Canvas, look: Look) -> None:
    """The marks. Nothing at all with `one_sided` 0."""
    if look.one_sided <= 0:
        return
    _sunny_side(canvas, look.one_sided)
    _birthmark(canvas, look.one_sided)
    _moles(canvas, look.one_sided)
    _scar(canvas, look)


def _sunny_side(canvas: Canvas, amount: float) -> None:
    """The left half tanned as a driver's is beside the window; nothing on the neck and the back of the head, where the
    chart has no middle."""
    chart = canvas.chart
    on_face = smoothstep(0.19, 0.12, np.abs(chart.s)) * chart.front
    on_face = on_face * smoothstep(-0.012, 0.010, chart.z - float(chart.landmarks[8][1]))
    canvas.melanin += 0.16 * amount * on_face * (smoothstep(-0.05, 0.09, chart.s) - 0.5)


def _birthmark(canvas: Canvas, amount: float) -> None:
    """A port-wine stain with a ragged edge on the right cheek, reaching to before the ear."""
    chart, marks = canvas.chart, canvas.chart.landmarks
    centre = 0.68 * marks[1] + 0.32 * marks[31] + (0, -0.004)
    away = np.hypot((chart.s - centre[0]) / 0.019, (chart.z - centre[1]) / 0.016)
    edge = away + 0.45 * canvas.noise.fractal(canvas.points, 0.012 * chart.unit, 3, 16)
    canvas.blood += 0.75 * amount * smoothstep(1.15, 0.85, edge) * chart.front


def _moles(canvas: Canvas, amount: float) -> None:
    chart, marks = canvas.chart, canvas.chart.landmarks
    for first, second, share, radius in _MOLES:
        place = share * marks[first] + (1 - share) * marks[second]
        soft = max(radius, 0.75 * chart.texel)
        ids = chart.near(place - 2 * soft, place + 2 * soft)
        distance = np.hypot(chart.s[ids] - place[0], chart.z[ids] - place[1]) / soft
        canvas.melanin[ids] += 1.7 * amount * smoothstep(1.25, 0.75, distance) * chart.front[ids]


def _scar(canvas: Canvas, look: Look) -> None:
    """From the left cheekbone down to the jaw, bent a little."""
    chart, marks = canvas.chart, canvas.chart.landmarks
    top = 0.52 * marks[15] + 0.48 * marks[45] + (0, -0.012)
    end = 0.80 * marks[13] + 0.20 * marks[54]
    line = spline(np.stack([top, 0.5 * (top + end) + (0.004, 0), end]))
    ids = chart.near(line.min(axis=0) - 0.006, line.max(axis=0) + 0.006)
    distance, _, along = distance_to_polyline(chart.s[ids], chart.z[ids], line)
    half = 0.0014 * np.sin(np.pi * np.clip(along, 0.04, 0.96)) + 0.5 * chart.texel
    cover = 0.85 * look.one_sided * np.exp(-((distance / half) ** 2)) * chart.front[ids]
    pale = np.clip(np.asarray(look.tone) * np.array(_SCAR) + (0.22, 0.14, 0.13), 0, 1)
    canvas.coat(pale, cover, ids)
