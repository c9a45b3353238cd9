# SPDX-License-Identifier: Apache-2.0
"""Soft regions of the head, from the neutral base mesh alone, so that every identity has the same ones."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from ..painting.chart import Chart, distance_to_polyline, inside_polygon, smoothstep, spline

Float = npt.NDArray[np.floating]

_HAIRLINE = np.array(
    [[0.0, 0.066], [0.025, 0.0655], [0.050, 0.060], [0.066, 0.051], [0.080, 0.042], [0.092, 0.030], [0.101, 0.012],
     [0.107, -0.004], [0.116, -0.012], [0.122, 0.002], [0.136, 0.012], [0.152, 0.006], [0.164, -0.018], [0.180, -0.045],
     [0.200, -0.060], [0.270, -0.066]]
)  # fmt: skip
"""Chart (|s|, z) of the hairline: forehead, temple, sideburn, over and behind the ear, nape."""


@attrs.frozen(eq=False)
class Regions:
    """(V,) each, 0..1. face: soft, hairline to jaw. mouth: its cavity, and the eye sockets behind the lids. hair: 0.5
    on the hairline, rising 1 per 3 cm into the scalp.
    """

    face: Float
    lips: Float
    brows: Float
    mouth: Float
    nostrils: Float
    ears: Float
    hair: Float


def head_regions(
    points: Float, normals: Float, landmarks: npt.NDArray, base_uvs: npt.NDArray, inside: npt.NDArray
) -> Regions:
    """Regions of the head's vertices. points, normals (V, 3) neutral; landmarks (68,); base_uvs (V, 2) in the base
    mesh's own layout; inside: ids of the vertices of the mouth's cavity and the eye sockets.
    """
    chart = Chart(points, normals, points[landmarks], 1, np.arange(len(points)))
    marks = chart.landmarks
    mouth = np.zeros(len(points), np.float32)
    mouth[inside] = 1
    ears = _ears(base_uvs)
    outside = chart.front * (1 - mouth)
    return Regions(
        face=_face(chart, marks) * outside,
        lips=_signed_mask(
            chart, np.concatenate([spline(marks[48:55])[:-1], spline(marks[[54, 55, 56, 57, 58, 59, 48]])[:-1]]), 0.0012
        )
        * smoothstep(-0.4, 0.0, chart.facing),
        brows=_brows(chart, marks) * outside,
        mouth=mouth,
        nostrils=_nostrils(chart, marks),
        ears=ears,
        hair=hair_field(chart, 0.0) * (1 - smoothstep(0.35, 0.75, ears)),
    )


def hair_field(chart: Chart, receding: float) -> Float:
    """(N,) 0.5 on the hairline, +-0.5 at 1.5 cm inside or outside it. receding 0..1 moves temples and forehead back."""
    line = _HAIRLINE.copy()
    back = receding * np.interp(line[:, 0], [0, 0.03, 0.055, 0.09, 0.105], [0.012, 0.020, 0.034, 0.020, 0.0])
    line[:, 1] += back
    distance, _, _ = distance_to_polyline(np.abs(chart.s), chart.z, line)
    above = chart.z > np.interp(np.abs(chart.s), line[:, 0], line[:, 1])
    return np.clip(0.5 + np.where(above, distance, -distance) / 0.03, 0, 1).astype(np.float32)


def _signed_mask(chart: Chart, outline: npt.NDArray, soft: float) -> Float:
    distance, _, _ = distance_to_polyline(chart.s, chart.z, outline, closed=True)
    return smoothstep(-soft, soft, np.where(inside_polygon(chart.s, chart.z, outline), distance, -distance))


def _face(chart: Chart, marks: npt.NDArray) -> Float:
    side = abs(float(marks[16][0]))
    top = [(0.94 * side, 0.028), (0.082, 0.040), (0.060, 0.052), (0.030, 0.0615), (0.0, 0.063)]
    outline = np.concatenate([marks[:17], top, [(-s, z) for s, z in top[-2::-1]]])
    distance, _, _ = distance_to_polyline(chart.s, chart.z, outline, closed=True)
    return smoothstep(0.0015, 0.020, distance) * inside_polygon(chart.s, chart.z, outline)


def _brows(chart: Chart, marks: npt.NDArray) -> Float:
    mask = np.zeros(len(chart.s), np.float32)
    for arch in (marks[17:22], marks[22:27]):
        distance, _, _ = distance_to_polyline(chart.s, chart.z, spline(arch))
        mask = np.maximum(mask, smoothstep(0.011, 0.004, distance))
    return mask


def _nostrils(chart: Chart, marks: npt.NDArray) -> Float:
    near = sum(chart_bump(chart, (marks[a] + marks[b]) / 2 + (0, 0.003)) for a, b in ((31, 33), (33, 35)))
    return np.clip(1.6 * near, 0, 1) * smoothstep(-0.05, -0.45, chart.facing)


def chart_bump(chart: Chart, centre: npt.NDArray) -> Float:
    """(N,) Gaussian of 9 mm around a point of the chart, whichever way the skin faces."""
    return np.exp(-(((chart.s - centre[0]) / 0.009) ** 2) - ((chart.z - centre[1]) / 0.009) ** 2)


def _ears(base_uvs: npt.NDArray) -> Float:
    """The ears are two round patches of the base mesh's face island."""
    right, left = (np.hypot(base_uvs[:, 0] - 0.846, base_uvs[:, 1] - v) for v in (0.342, 0.625))
    return smoothstep(0.047, 0.030, np.minimum(right, left))
