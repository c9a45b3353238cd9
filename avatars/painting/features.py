# SPDX-License-Identifier: Apache-2.0
"""The skin itself: base tone and its variation, freckles and moles, the mouth, the scalp."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .canvas import Canvas
from .chart import Chart, distance_to_polyline, inside_polygon, smoothstep, spline

if TYPE_CHECKING:
    from ..skin import Look

Float = npt.NDArray[np.floating]
Regions = dict[str, Float]

_MOUTH_INSIDE = (0.36, 0.15, 0.14)


def luminance(look: Look) -> float:
    """How light the skin is, 0..1 of sRGB."""
    return float(np.dot(look.tone, (0.3, 0.59, 0.11)))


def paint_base(canvas: Canvas, look: Look, regions: Regions) -> None:
    """Low-frequency colour of a face, mottling, pores."""
    _zones(canvas, look, regions)
    _grain(canvas, look)


def _zones(canvas: Canvas, look: Look, regions: Regions) -> None:
    chart, marks = canvas.chart, canvas.chart.landmarks
    blood, melanin = canvas.blood, canvas.melanin
    reach = 0.35 + 0.65 * luminance(look)  # blood shows less through dark skin
    for eye, mouth, jaw in ((41, 48, 3), (46, 54, 13)):
        centre = 0.42 * marks[eye] + 0.33 * marks[mouth] + 0.25 * marks[jaw]
        blood += reach * (0.13 + 0.36 * look.blush) * chart.bump(centre, 0.028, 0.023)
        blood += reach * 0.07 * chart.bump(centre, 0.011, 0.011)
    blood += reach * 0.20 * chart.bump(marks[30], 0.013, 0.010)
    for wing, tip in ((31, 30), (35, 30)):
        blood += reach * 0.16 * chart.bump(1.15 * marks[wing] - 0.15 * marks[tip], 0.006, 0.008)
    blood += reach * 0.09 * chart.bump(marks[8] + (0, 0.010), 0.016, 0.012)
    forehead = (marks[21] + marks[22]) / 2 + (0, 0.035)
    blood -= reach * 0.07 * chart.bump(forehead, 0.05, 0.026)
    melanin += 0.05 * chart.bump(forehead, 0.05, 0.026)
    for corners in ((36, 39), (42, 45)):
        socket = marks[list(corners)].mean(axis=0)
        inner = marks[39 if corners[0] == 36 else 42]
        melanin += 0.07 * chart.bump(socket + (0, 0.004), 0.021, 0.014)
        tired = (0.06 + 0.10 * look.wrinkles) * chart.bump(0.6 * socket + 0.4 * inner - (0, 0.012), 0.013, 0.005)
        melanin += tired
        blood += 0.8 * reach * tired
    mouth = marks[[48, 54, 33, 57]].mean(axis=0)
    melanin += (0.03 + 0.10 * (1 - luminance(look))) * chart.bump(mouth, 0.027, 0.020)
    if "ears" in regions:
        blood += reach * 0.20 * regions["ears"]
    below = smoothstep(float(marks[8][1]) + 0.004, float(marks[8][1]) - 0.03, chart.z)
    melanin += 0.04 * below
    blood -= reach * 0.05 * below


def _grain(canvas: Canvas, look: Look) -> None:
    points, noise, unit = canvas.points, canvas.noise, canvas.chart.unit
    reach = 0.35 + 0.65 * luminance(look)
    age = look.wrinkles
    canvas.blood += reach * 0.11 * noise.fractal(points, 0.045 * unit, 3, 0)
    canvas.melanin += 0.05 * noise.fractal(points, 0.03 * unit, 3, 3)
    blotches = noise.fractal(points, 0.0085 * unit, 2, 6)
    canvas.blood += reach * (0.09 + 0.08 * age) * blotches
    pores = np.maximum(noise.at(points, 0.0017 * unit, 9), 0.15) - 0.15
    fine = noise.at(points, 0.0009 * unit, 10)
    canvas.melanin += 0.11 * pores + 0.035 * fine
    canvas.blood += reach * 0.05 * fine


def paint_marks(canvas: Canvas, look: Look, regions: Regions) -> None:
    """Freckles over cheeks and nose, moles, age spots."""
    marks, rng = canvas.chart.landmarks, canvas.rng
    if look.freckles > 0:
        count = int(520 * look.freckles)
        places = rng.normal(0, 1, (count, 2)) * (0.030, 0.012) + (marks[29] + (0, -0.002))
        spread = rng.random(count) < 0.3
        places[spread] = rng.normal(0, 1, (int(spread.sum()), 2)) * (0.042, 0.034) + marks[28]
        _spots(
            canvas,
            places,
            rng.uniform(0.0005, 0.0012, count),
            rng.uniform(0.10, 0.40, count) * (0.5 + 0.5 * look.freckles),
        )
    if look.wrinkles > 0.3:
        count = int(26 * look.wrinkles)
        places = rng.uniform((-0.085, -0.03), (0.085, 0.075), (count, 2))
        _spots(canvas, places, rng.uniform(0.001, 0.0032, count), rng.uniform(0.10, 0.28, count))
    places = rng.uniform((-0.07, -0.09), (0.07, 0.05), (look.moles, 2))
    _spots(canvas, places, rng.uniform(0.0007, 0.0014, look.moles), rng.uniform(0.9, 1.6, look.moles))


def _spots(canvas: Canvas, places: npt.NDArray, radii: npt.NDArray, strengths: npt.NDArray) -> None:
    chart = canvas.chart
    for place, radius, strength in zip(places, radii, strengths, strict=True):
        soft = max(float(radius), 0.75 * chart.texel)
        ids = chart.near(place - 2.5 * soft, place + 2.5 * soft)
        wobble = 1 + 0.35 * canvas.noise.at(canvas.points[ids], 0.0012 * chart.unit, 12)
        distance = np.hypot(chart.s[ids] - place[0], chart.z[ids] - place[1]) * wobble
        canvas.melanin[ids] += strength * (radius / soft) ** 2 * np.exp(-((distance / soft) ** 2)) * chart.front[ids]


def lip_contours(chart: Chart) -> tuple[npt.NDArray, npt.NDArray]:
    """Outer and inner outline of the lips in the chart, closed, smooth but for the corners: (m, 2) each.

    The upper outline keeps its cupid's bow: landmarks 50, 51, 52 are the two peaks and the dip.
    """
    marks = chart.landmarks
    outer = np.concatenate([spline(marks[48:55])[:-1], spline(marks[[54, 55, 56, 57, 58, 59, 48]])[:-1]])
    inner = np.concatenate([spline(marks[60:65])[:-1], spline(marks[[64, 65, 66, 67, 60]])[:-1]])
    return outer, inner


def paint_mouth(canvas: Canvas, look: Look, regions: Regions) -> None:
    """Lips with a soft edge, fine furrows and a fuller middle, the line between them, the mouth's inside."""
    chart, marks = canvas.chart, canvas.chart.landmarks
    outer, inner = lip_contours(chart)
    ids = chart.near(outer.min(axis=0) - 0.006, outer.max(axis=0) + 0.006)
    s, z = chart.s[ids], chart.z[ids]
    edge, _, _ = distance_to_polyline(s, z, outer, closed=True)
    depth = np.where(inside_polygon(s, z, outer), edge, -edge)
    depth = depth + 0.0006 * canvas.noise.at(canvas.points[ids], 0.0022 * chart.unit, 13)
    soft = max(0.0013, chart.texel)
    mask = smoothstep(-soft, soft, depth) * chart.front[ids]
    furrow = canvas.noise.at(canvas.points[ids], (0.0011 * chart.unit, 0.02 * chart.unit, 0.006 * chart.unit), 14)
    seam, _, _ = distance_to_polyline(s, z, inner, closed=True)
    seam = np.where(inside_polygon(s, z, inner), 0, seam)
    colour = np.asarray(look.lips, np.float32)
    natural = 0.62 + 0.3 * look.makeup
    canvas.coat(colour, mask * (natural + 0.10 * furrow), ids)
    canvas.coat(colour * 0.62, mask * smoothstep(0.0045, 0.0, seam) * 0.45, ids)
    upper = smoothstep(-0.001, 0.002, z - np.interp(s, *_seam_line(inner, marks)))
    canvas.coat(colour * 0.75, mask * upper * 0.18, ids)
    canvas.coat(colour * 0.55, mask * np.clip(furrow, 0, 1) * 0.16, ids)
    canvas.coat(colour * 0.40, mask * smoothstep(0.0010, 0.0, seam) * 0.40, ids)
    if "nostrils" in regions:
        canvas.coat(np.asarray(look.tone) * (0.22, 0.12, 0.10), 0.85 * regions["nostrils"])
    if "mouth" in regions:
        canvas.coat(np.asarray(_MOUTH_INSIDE), smoothstep(0.3, 0.8, regions["mouth"]) * 0.85)


def _seam_line(inner: npt.NDArray, marks: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """Where the lips meet: z as a function of s, from corner to corner."""
    line = np.stack([marks[48], marks[60], (marks[61] + marks[67]) / 2, (marks[62] + marks[66]) / 2,
                     (marks[63] + marks[65]) / 2, marks[64], marks[54]])  # fmt: skip
    order = np.argsort(line[:, 0])
    return line[order, 0], line[order, 1]


def paint_scalp(canvas: Canvas, look: Look, regions: Regions) -> None:
    """Hair roots on the scalp, so that the edge of a hair object meets a soft hairline instead of bare skin."""
    if "scalp" not in regions:
        return
    chart = canvas.chart
    scalp = regions["scalp"]
    streaks = canvas.noise.at(canvas.points, (0.0016 * chart.unit, 0.004 * chart.unit, 0.008 * chart.unit), 15)
    density = smoothstep(0.15, 0.75, scalp + 0.22 * streaks * np.minimum(1, 4 * scalp))
    canvas.coat(np.asarray(look.hair), 0.9 * density)
