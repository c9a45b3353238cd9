# SPDX-License-Identifier: GPL-3.0-or-later
"""The soft face region, lips and brows of a head, drawn from its 68 landmarks. No bpy.

The head is turned upright by fitting the mean face to its landmarks, and unrolled around a vertical axis. On that
chart the regions are outlines with soft borders. Lengths are in units of the distance between the outer eye corners,
about 9 cm.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from . import fill

Array = npt.NDArray[Any]

NAMES = ("region_face", "region_lips", "region_brows")

_AXIS = np.array([0.0, 0.62])  # x, y of the vertical axis that the head is unrolled around
_FOREHEAD = 0.56  # how far the face reaches above the brows, in the middle
_BORDER = (0.0, 0.18)  # the face fades between these distances inside its outline
_LIP_SOFT = 0.014
_BROW = (0.035, 0.10)  # a brow fades between these distances from its line
_DEEP = (0.05, 0.10)  # how far behind the eyes' and mouth's outline the inside begins, and is certain

_FAR = 1.25  # of the nose's distance from the axis: a hand before the face is no face


@attrs.frozen(eq=False)
class Chart:
    """Unrolled head. at: (V, 2) across (positive to the character's left) and up; depth: (V,) distance from the axis,
    marks: (68, 2); mark_depth: (68,).
    """

    at: Array
    depth: Array
    marks: Array
    mark_depth: Array


def regions(landmarks: Array, vertices: Array, normals: Array) -> dict[str, Array]:
    """(V,) weights 0..1 of region_face, region_lips and region_brows. landmarks: (68,) vertex ids, all known;
    vertices, normals (V, 3) in any axes. Raises InputError if the landmarks are no face.
    """
    chart, facing = _unroll(landmarks, vertices, normals)
    own = (1 - _inside(chart)) * (chart.depth < _FAR * chart.mark_depth.max())
    return {
        "region_face": (_face(chart) * own * _smooth(-0.35, 0.0, facing)).astype(np.float32),
        "region_lips": (_lips(chart) * own * _smooth(-0.4, 0.0, facing)).astype(np.float32),
        "region_brows": (_brows(chart) * own * _smooth(-0.15, 0.15, facing)).astype(np.float32),
    }


def _unroll(landmarks: Array, vertices: Array, normals: Array) -> tuple[Chart, Array]:
    placement = fill.guess(np.arange(len(landmarks)), vertices[landmarks])[1]
    points = placement.back(np.asarray(vertices, np.float64))
    upright = np.asarray(normals, np.float64) @ placement.rotation
    out = points[:, :2] - _AXIS
    depth = np.linalg.norm(out, axis=1)
    radius = np.median(depth[landmarks[27:36]])  # arcs as long as they are at the nose's root
    at = np.stack([np.arctan2(out[:, 0], -out[:, 1]) * radius, points[:, 2]], axis=1)
    facing = (upright[:, :2] * out).sum(axis=1) / np.maximum(depth, 1e-9)
    return Chart(at, depth, at[landmarks], depth[landmarks]), facing


def _face(chart: Chart) -> Array:
    marks = chart.marks
    brow = marks[17:27, 1].max()
    side = (np.abs(marks[0, 0]) + np.abs(marks[16, 0])) / 2
    angle = np.linspace(0, np.pi, 15)[1:-1]
    low = (marks[0, 1] + marks[16, 1]) / 2
    arch = np.stack([side * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.7,
                     low + (brow + _FOREHEAD - low) * np.sin(angle) ** 0.7], axis=1)  # fmt: skip
    outline = np.concatenate([marks[:17], arch])
    distance = _distance(chart.at, np.concatenate([outline, outline[:1]]))
    front = np.abs(chart.at[:, 0]) < 1.2 * side
    return _smooth(*_BORDER, distance) * _contains(outline, chart.at) * front


def _lips(chart: Chart) -> Array:
    outline = chart.marks[48:60]
    distance = _distance(chart.at, np.concatenate([outline, outline[:1]]))
    return _smooth(-_LIP_SOFT, _LIP_SOFT, np.where(_contains(outline, chart.at), distance, -distance))


def _brows(chart: Chart) -> Array:
    near = np.minimum(_distance(chart.at, chart.marks[17:22]), _distance(chart.at, chart.marks[22:27]))
    return 1 - _smooth(*_BROW, near)


def _inside(chart: Chart) -> Array:
    """1 in the mouth's cavity and the eye sockets: seen within their outline, but behind it."""
    result = np.zeros(len(chart.at))
    for ids, wider in ((slice(36, 42), 1.5), (slice(42, 48), 1.5), (slice(48, 60), 1.15)):
        outline, depth = chart.marks[ids], chart.mark_depth[ids]
        middle = outline.mean(axis=0)
        within = _contains(middle + wider * (outline - middle), chart.at)
        result = np.maximum(result, within * _smooth(*_DEEP, depth.min() - chart.depth))
    return result


def _smooth(low: float, high: float, value: Array) -> Array:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _distance(points: Array, line: Array) -> Array:  # (V, 2), (n, 2)
    """(V,) distance to the nearest segment of a polyline."""
    start, along = line[:-1], np.diff(line, axis=0)
    offset = points[:, None] - start[None]
    t = np.clip((offset * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-18), 0, 1)
    return np.linalg.norm(offset - t[..., None] * along, axis=2).min(axis=1)


def _contains(outline: Array, points: Array) -> Array:  # (n, 2), (V, 2)
    """(V,) bool: inside a closed polygon, by counting crossings."""
    a, b = outline, np.roll(outline, -1, axis=0)
    x, y = points[:, 0, None], points[:, 1, None]
    spans = (a[:, 1] > y) != (b[:, 1] > y)
    rise = np.where(b[:, 1] == a[:, 1], 1.0, b[:, 1] - a[:, 1])
    cross = a[:, 0] + (y - a[:, 1]) / rise * (b[:, 0] - a[:, 0])
    return (spans & (x < cross)).sum(axis=1) % 2 == 1
