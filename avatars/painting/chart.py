# SPDX-License-Identifier: Apache-2.0
"""The face chart: the head unrolled around a vertical axis, scaled by the distance between the eyes.

Chart coordinates (s, z) are metres on a nominal face whose outer eye corners are 0.09 m apart: s runs around the head
(0 on the mirror plane, positive at the character's left), z goes up (0 at the eyes). Distances on the front and the
sides of the face are about true. Features are placed here, relative to the landmarks.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.floating]

NOMINAL = 0.09
"""Metres between the outer eye corners (landmarks 36 and 45) of the nominal face."""


class Chart:
    """Texels in chart coordinates, with a grid for fast neighbourhood queries.

    s, z: (N,) chart coordinates. front: (N,) 1 on outward facing skin, 0 in the mouth and the nostrils.
    landmarks: (68, 2). unit: world metres per nominal metre. texel: chart metres per texel, median over the face.
    """

    def __init__(self, points: Float, normals: Float, landmarks: Float, size: int, index: npt.NDArray) -> None:
        left, right = landmarks[45], landmarks[36]
        self.unit = float(np.linalg.norm(left - right)) / NOMINAL
        middle = (left + right) / 2
        self._axis = np.array([middle[0], middle[1] + 0.75 * NOMINAL * self.unit], np.float32)
        self._origin = float(middle[2])
        chart = self._unroll(points)
        self.s, self.z = np.ascontiguousarray(chart[:, 0]), np.ascontiguousarray(chart[:, 1])
        radial = points[:, :2] - self._axis
        radial = radial / np.maximum(np.linalg.norm(radial, axis=1, keepdims=True), 1e-6)
        self.facing = (radial * normals[:, :2]).sum(axis=1)
        self.front = smoothstep(-0.15, 0.2, self.facing)
        self.landmarks = self._unroll(landmarks)
        self.texel = self._texel_size(size, index)
        self._cell = 0.003

    def _unroll(self, points: Float) -> Float:
        x, y = points[:, 0] - self._axis[0], self._axis[1] - points[:, 1]
        around = np.arctan2(x, y) * (NOMINAL * 0.95)
        return np.stack([around, (points[:, 2] - self._origin) / self.unit], axis=1).astype(np.float32)

    def _texel_size(self, size: int, index: npt.NDArray) -> float:
        face = np.abs(self.s) < 0.06
        face &= (np.abs(self.z) < 0.06) & (self.facing > 0.3)
        inner = index[:-1] + 1 == index[1:]  # the right-hand neighbour is covered too
        step = np.hypot(np.diff(self.s), np.diff(self.z))[inner & face[:-1] & (index[:-1] % size < size - 1)]
        return float(np.median(step)) if len(step) else 0.001

    @cached_property
    def _grid(self) -> tuple[npt.NDArray, npt.NDArray, npt.NDArray, int]:
        """Outward texels of the front of the head sorted by cell: texel ids, cell starts, cell ends, cells a row."""
        chosen = np.flatnonzero((self.front > 0.02) & (np.abs(self.s) < 0.2) & (np.abs(self.z) < 0.2))
        columns = round(0.4 / self._cell) + 2
        cell = self._cell_of(self.z[chosen]) * columns + self._cell_of(self.s[chosen])
        order = np.argsort(cell, kind="stable")
        cells = np.arange(columns * columns)
        ordered = cell[order]
        return chosen[order], np.searchsorted(ordered, cells), np.searchsorted(ordered, cells, "right"), columns

    def _cell_of(self, value: npt.NDArray) -> npt.NDArray:
        return np.clip(((value + 0.2) / self._cell).astype(np.int64), 0, round(0.4 / self._cell))

    def near(self, low: npt.NDArray, high: npt.NDArray) -> npt.NDArray[np.int64]:  # (2,), (2,)
        """Ids of outward texels in a box of the chart (a few outside it too)."""
        ids, starts, ends, columns = self._grid
        x0, x1 = self._cell_of(np.array([low[0], high[0]]))
        y0, y1 = self._cell_of(np.array([low[1], high[1]]))
        rows = [ids[starts[y * columns + x0] : ends[y * columns + x1]] for y in range(y0, y1 + 1)]
        return np.concatenate(rows) if rows else np.zeros(0, np.int64)

    def bump(self, centre: npt.NDArray, radius_s: float, radius_z: float) -> Float:
        """(N,) a Gaussian around `centre` (s, z), 0 on inward facing skin."""
        return np.exp(-(((self.s - centre[0]) / radius_s) ** 2) - ((self.z - centre[1]) / radius_z) ** 2) * self.front


def smoothstep(low: float, high: float, value: Float) -> Float:
    """0 below `low`, 1 above `high`, smooth between (also for low > high)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def spline(points: npt.NDArray, per_segment: int = 8, closed: bool = False) -> npt.NDArray:  # (n, 2)
    """A Catmull-Rom curve through the points, sampled: (m, 2). A closed one does not repeat its first point."""
    points = np.asarray(points, np.float64)
    if closed:
        ring = np.concatenate([points[-1:], points, points[:2]])
    else:
        ring = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    p0, p1, p2, p3 = (ring[i : len(ring) - 3 + i, None] for i in range(4))
    t = (np.arange(per_segment) / per_segment)[None, :, None]
    curve = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    curve = curve.reshape(-1, points.shape[1])
    return curve if closed else np.concatenate([curve, points[-1:]])


def distance_to_polyline(
    s: Float, z: Float, line: npt.NDArray, closed: bool = False
) -> tuple[Float, Float, Float]:  # (n,), (n,), (m, 2)
    """Distance to a polyline, signed side (+1 left of its direction) and position along it 0..1: three (n,)."""
    line = np.asarray(line, np.float32)
    ends = np.roll(line, -1, axis=0) if closed else line[1:]
    starts = line if closed else line[:-1]
    length = np.maximum(np.hypot(*(ends - starts).T), 1e-9)
    before = np.concatenate([[0], np.cumsum(length)])
    best = np.full(len(s), np.inf, np.float32)
    side, along = np.ones(len(s), np.float32), np.zeros(len(s), np.float32)
    for i, (a, b) in enumerate(zip(starts, ends, strict=True)):
        direction = (b - a) / length[i]
        ds, dz = s - a[0], z - a[1]
        t = np.clip(ds * direction[0] + dz * direction[1], 0, length[i])
        distance = np.hypot(ds - t * direction[0], dz - t * direction[1])
        closer = distance < best
        best = np.where(closer, distance, best)
        side = np.where(closer, np.sign(direction[0] * dz - direction[1] * ds), side)
        along = np.where(closer, (before[i] + t) / before[-1], along)
    return best, side, along


def inside_polygon(s: Float, z: Float, polygon: npt.NDArray) -> npt.NDArray[np.bool_]:  # (n,), (n,), (m, 2)
    """(n,) True inside a closed polygon, by counting crossings."""
    inside = np.zeros(len(s), bool)
    ends = np.roll(polygon, -1, axis=0)
    for (s0, z0), (s1, z1) in zip(polygon, ends, strict=True):
        if z0 == z1:
            continue
        crosses = (z0 > z) != (z1 > z)
        inside ^= crosses & (s < (s1 - s0) * (z - z0) / (z1 - z0) + s0)
    return inside
