# SPDX-License-Identifier: Apache-2.0
"""Hairs painted one by one: brows and beards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .canvas import Canvas
from .chart import distance_to_polyline, smoothstep, spline
from .onesided import BROW_GAP

if TYPE_CHECKING:
    from ..skin import Look

Float = npt.NDArray[np.floating]


def paint_strokes(
    canvas: Canvas,
    colour: npt.NDArray,
    roots: npt.NDArray,  # (n, 2) chart
    angles: npt.NDArray,  # (n,) radians, 0 = +s, pi/2 = up
    lengths: npt.NDArray,  # (n,) metres
    bends: npt.NDArray,  # (n,) radians turned from root to tip
    width: float,
    opacity: npt.NDArray,  # (n,)
) -> None:
    """Lay tapering curved hairs over the skin. Hairs thinner than a texel become fainter, not thicker."""
    chart = canvas.chart
    veil = np.zeros(len(chart.s), np.float32)  # sum of log(1 - alpha)
    radius = 0.5 * width + 0.45 * chart.texel
    thin = min(1.0, width / (2 * radius) * 1.35)
    for root, angle, length, bend, alpha in zip(roots, angles, lengths, bends, opacity, strict=True):
        middle = root + 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
        tip = middle + 0.5 * length * np.array([np.cos(angle + bend), np.sin(angle + bend)])
        line = np.stack([root, middle, tip])
        ids = chart.near(line.min(axis=0) - 2 * radius, line.max(axis=0) + 2 * radius)
        if not len(ids):
            continue
        distance, _, along = distance_to_polyline(chart.s[ids], chart.z[ids], line)
        taper = 1 - 0.75 * along**2
        cover = alpha * thin * taper * np.exp(-((distance / radius) ** 2))
        veil[ids] += np.log1p(-np.minimum(cover, 0.97))
    touched = np.flatnonzero(veil < -1e-3)
    canvas.coat(colour, (1 - np.exp(veil[touched])) * chart.front[touched], touched)


def paint_brows(canvas: Canvas, look: Look) -> None:
    """Both brows: a faint shadow and some hundred hairs that follow the arch through landmarks 17-21 and 22-26.

    Hairs stand nearly upright at the inner end, lean outward along the body; those of the upper edge lean down
    to meet the lower ones, as real brows do.
    """
    if look.brow_density <= 0:
        return
    marks = canvas.chart.landmarks
    _brow(canvas, look, marks[21:16:-1], -1.0)
    _brow(canvas, look, marks[22:27], 1.0)


def _brow(canvas: Canvas, look: Look, arch: npt.NDArray, outward: float) -> None:
    rng = canvas.rng
    lift = np.array([0.0, 0.2, 0.8, 1.0, 0.0]) * 0.0035 * (look.brow_arch - 0.4)
    head = 2 * arch[1, 1] - arch[2, 1]  # brow heads sit somewhat above landmarks 21 and 22
    lift[0] += 0.5 * max(0.0, head - arch[0, 1])
    centre = spline(arch + np.stack([np.zeros(5), lift], axis=1))
    half = 0.0042 * look.brow_thickness
    count = int(330 * look.brow_density * (0.6 + 0.4 * look.brow_thickness))
    t = rng.beta(1.1, 1.15, count)
    v = np.clip(rng.normal(-0.1, 0.5, count), -1, 1)
    base, tangent, normal = _frame(centre, t, outward)
    thickness = half * _profile(t)
    roots = base + normal * (v * thickness - 0.0006)[:, None]
    steep = np.interp(t, [0, 0.12, 0.35, 0.7, 1], np.radians([82, 58, 34, 18, 6]))
    lean = steep - np.maximum(v, 0) * np.interp(t, [0, 0.3, 1], np.radians([8, 50, 34]))
    lean += rng.normal(0, np.radians(9), count)
    tilt = np.arctan2(tangent[:, 1], tangent[:, 0] * outward)
    angle = tilt + lean
    if outward < 0:
        angle = np.pi - angle
    lengths = np.interp(t, [0, 0.2, 0.6, 1], [0.0050, 0.0075, 0.0075, 0.0048]) * rng.uniform(0.7, 1.15, count)
    lengths *= 0.75 + 0.25 * look.brow_thickness
    bends = -outward * np.abs(rng.normal(np.radians(18), np.radians(10), count))
    edge = 1 - 0.45 * np.abs(v) ** 2
    opacity = rng.uniform(0.55, 0.95, count) * edge * np.interp(t, [0, 0.1, 1], [0.65, 1, 0.9])
    if outward > 0 and look.one_sided > 0:
        opacity = opacity * (1 - look.one_sided * (np.abs(t + 0.03 * v - BROW_GAP[0]) < BROW_GAP[1]))
    _brow_shadow(canvas, look, centre, half)
    paint_strokes(canvas, np.asarray(look.brows), roots, angle, lengths, bends, 0.00022, opacity)


def _profile(t: npt.NDArray) -> npt.NDArray:
    """Half thickness along the brow, 1 at its fullest: rounded head, body, pointed tail."""
    return np.interp(t, [0, 0.06, 0.25, 0.5, 0.75, 1], [0.62, 0.9, 1.0, 0.86, 0.55, 0.12])


def _frame(curve: npt.NDArray, t: npt.NDArray, outward: float) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray]:
    """Points, unit tangents (outward) and unit normals (upward) at fractions `t` of a curve."""
    length = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    at = t * length[-1]
    point = np.stack([np.interp(at, length, curve[:, k]) for k in range(2)], axis=1)
    ahead = np.stack([np.interp(at + 0.002, length, curve[:, k]) for k in range(2)], axis=1)
    behind = np.stack([np.interp(at - 0.002, length, curve[:, k]) for k in range(2)], axis=1)
    tangent = ahead - behind
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1) * outward
    return point, tangent, normal


def _brow_shadow(canvas: Canvas, look: Look, centre: npt.NDArray, half: float) -> None:
    chart = canvas.chart
    ids = chart.near(centre.min(axis=0) - 0.008, centre.max(axis=0) + 0.008)
    distance, _, along = distance_to_polyline(chart.s[ids], chart.z[ids], centre)
    reach = distance / (half * _profile(along) + 0.0008)
    strength = 0.34 * look.brow_density * np.exp(-(reach**2)) * np.interp(along, [0, 0.15, 1], [0.5, 1, 0.9])
    canvas.coat(np.asarray(look.brows), strength * chart.front[ids], ids)


def paint_beard(canvas: Canvas, look: Look) -> None:
    """Beard shadow, and above half strength short hairs: jaw, chin, upper lip; never the lips or the cheekbones."""
    if look.stubble <= 0:
        return
    chart, rng = canvas.chart, canvas.rng
    area = _beard_area(canvas).astype(np.float64)
    speckle = canvas.noise.at(canvas.points, 0.0011 * chart.unit, 11)
    shadow = area * (0.30 + 0.5 * np.maximum(speckle, 0)) * look.stubble
    canvas.melanin += 0.75 * shadow
    canvas.blood -= 0.45 * shadow  # hair under the skin reads blue-grey
    count = int(2600 * look.stubble)
    ids = rng.choice(len(area), count, p=area / area.sum())
    roots = np.stack([chart.s[ids], chart.z[ids]], axis=1).astype(np.float64)
    roots += rng.normal(0, chart.texel, roots.shape)
    angles = -np.pi / 2 + np.clip(roots[:, 0] * 8, -0.7, 0.7) + rng.normal(0, 0.35, count)
    lengths = rng.uniform(0.5, 1.3, count) * (0.0006 + 0.0030 * max(0.0, look.stubble - 0.4))
    opacity = rng.uniform(0.25, 0.7, count) * (0.4 + 0.6 * look.stubble)
    paint_strokes(canvas, np.asarray(look.brows), roots, angles, lengths, rng.normal(0, 0.3, count), 0.00016, opacity)


def _beard_area(canvas: Canvas) -> Float:
    chart, marks = canvas.chart, canvas.chart.landmarks
    cheek = spline(np.stack([marks[1] + (0.004, 0), 0.55 * marks[3] + 0.45 * marks[48] + (0, 0.008),
                             marks[48] + (-0.006, 0.010), marks[33] + (0, -0.001), marks[54] + (0.006, 0.010),
                             0.55 * marks[13] + 0.45 * marks[54] + (0, 0.008), marks[15] - (0.004, 0)]))  # fmt: skip
    top = np.interp(chart.s, cheek[:, 0], cheek[:, 1])
    area = smoothstep(0.004, -0.006, chart.z - top + 0.004 * canvas.noise.at(canvas.points, 0.012 * chart.unit, 8))
    area = area * smoothstep(float(marks[8][1]) - 0.055, float(marks[8][1]) - 0.02, chart.z)
    area = area * smoothstep(1.06, 0.92, np.abs(chart.s) / abs(float(marks[15][0] - marks[1][0]) / 2)) * chart.front
    for side in (48, 54):
        area = area * (
            1 - 0.8 * np.exp(-((np.hypot(chart.s - marks[side][0], chart.z - marks[side][1] + 0.004) / 0.006) ** 2))
        )
    return area.astype(np.float32)
