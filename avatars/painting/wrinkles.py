# SPDX-License-Identifier: Apache-2.0
"""Folds of the face: nasolabial ones faintly on everybody, all others with age."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .canvas import Canvas
from .chart import distance_to_polyline, spline

if TYPE_CHECKING:
    from ..skin import Look


def paint_wrinkles(canvas: Canvas, look: Look) -> None:
    """Forehead lines, frown lines, crow's feet, lines under the eyes, nasolabial and marionette folds, neck rings."""
    marks = canvas.chart.landmarks
    for side, wing, corner, jaw in ((-1, 31, 48, 6), (1, 35, 54, 10)):
        out = np.array([side, 1.0])
        fold = [marks[wing] + out * (0.006, 0.003), marks[wing] + out * (0.011, -0.006),
                marks[corner] + out * (0.007, 0.004),
                marks[corner] + out * (0.009, -0.005)]  # fmt: skip
        _crease(canvas, fold, 0.0021, 0.07 + 0.30 * look.wrinkles)
        if look.wrinkles > 0.05:
            marionette = [
                marks[corner] + out * (0.003, -0.004),
                0.75 * marks[corner] + 0.25 * marks[jaw] + out * (0.002, 0),
            ]
            _crease(canvas, marionette, 0.0016, 0.26 * look.wrinkles)
    if look.wrinkles <= 0.05:
        return
    _forehead(canvas, look.wrinkles)
    for side, outer, inner, under in ((-1, 36, 39, 41), (1, 45, 42, 46)):
        _around_eye(canvas, look.wrinkles, side, marks[outer], marks[inner], marks[under])
    _neck(canvas, look.wrinkles)


def _forehead(canvas: Canvas, age: float) -> None:
    marks, rng = canvas.chart.landmarks, canvas.rng
    root = (marks[21] + marks[22]) / 2
    for i in range(4):
        height = 0.016 + 0.0095 * i + rng.normal(0, 0.001)
        half = (0.038 - 0.004 * abs(i - 1.5)) * rng.uniform(0.8, 1.05)
        s = np.linspace(-half, half, 9)
        dip = 0.0022 * np.cos(s / half * np.pi) + rng.normal(0, 0.0007, 9)
        _crease(
            canvas,
            np.stack([s + rng.normal(0, 0.002), root[1] + height - dip], axis=1),
            0.0012,
            age * rng.uniform(0.16, 0.30),
        )
    for side in (-1, 1):
        start = root + (side * 0.0055, 0.001)
        line = [start, start + (side * 0.0012, 0.006), start + (side * 0.0006, 0.013)]
        _crease(canvas, line, 0.0011, 0.30 * age)


def _around_eye(
    canvas: Canvas, age: float, side: int, outer: npt.NDArray, inner: npt.NDArray, under: npt.NDArray
) -> None:
    rng = canvas.rng
    for angle in (28, 8, -12, -32):
        turn = np.radians(angle + rng.normal(0, 4))
        direction = np.array([side * np.cos(turn), np.sin(turn)])
        start = outer + direction * 0.0055 + (0, 0.0008)
        length = rng.uniform(0.011, 0.018)
        sag = np.array([0, -0.0018])
        line = [start, start + direction * length / 2 + sag / 2, start + direction * length + sag]
        _crease(canvas, line, 0.0008, age * rng.uniform(0.2, 0.34))
    for drop, strength in ((0.0085, 0.30), (0.0125, 0.22)):
        line = [
            inner + (side * 0.001, -drop * 0.55),
            under + (-side * 0.003, -drop * 0.9),
            under + (side * 0.006, -drop * 0.72),
        ]
        _crease(canvas, line, 0.0011, age * strength)


def _neck(canvas: Canvas, age: float) -> None:
    chin = canvas.chart.landmarks[8]
    for drop in (0.038, 0.056):
        s = np.linspace(-0.06, 0.06, 7)
        _crease(canvas, np.stack([s, chin[1] - drop + 3.0 * s**2], axis=1), 0.0018, 0.22 * age)


def _crease(canvas: Canvas, line: npt.NDArray | list, width: float, strength: float) -> None:
    """A dark line with lighter shoulders that fades out at its ends."""
    chart = canvas.chart
    width = max(width, 0.8 * chart.texel)
    curve = spline(np.asarray(line, np.float64), 6)
    ids = chart.near(curve.min(axis=0) - 4 * width, curve.max(axis=0) + 4 * width)
    if not len(ids):
        return
    wander = 0.5 * width * canvas.noise.at(canvas.points[ids], 0.006 * chart.unit, 5)
    distance, side, along = distance_to_polyline(chart.s[ids], chart.z[ids], curve)
    across = distance * side + wander
    ends = np.minimum(1, 4 * np.minimum(along, 1 - along))
    profile = np.exp(-((across / width) ** 2)) - 0.32 * np.exp(-(((across - 1.9 * width) / (1.3 * width)) ** 2))
    profile -= 0.18 * np.exp(-(((across + 1.9 * width) / (1.3 * width)) ** 2))
    depth = strength * profile * ends * chart.front[ids]
    canvas.melanin[ids] += depth
    canvas.blood[ids] += 0.35 * depth
