# SPDX-License-Identifier: Apache-2.0
"""What a landmarker takes, and points out of what it gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.mesh import LANDMARK_COUNT

from .landmark_kinds import HEATMAP, VERTICES, LandmarkKind

Floats = npt.NDArray[Any]
_REACH = 3  # heatmap pixels around the highest one: FAN was trained on blobs of 7 x 7, with a deviation of 1
_WINDOW, _STEPS = 1.5, 10
_SHAPES = {4: (1, LANDMARK_COUNT, HEATMAP, HEATMAP), 3: (1, LANDMARK_COUNT, 3)}


def landmark_tensor(crop: Floats, kind: LandmarkKind) -> npt.NDArray[np.float32]:  # (S, S, 3) RGB 0..1
    """(1, 3, S, S) RGB as the network takes it."""
    values = (np.asarray(crop, np.float64) - kind.mean) * kind.scale
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None], np.float32)


def points_from(
    outputs: Mapping[str, Floats], kind: LandmarkKind, name: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """(68, 2) pixels of the crop, centres at +0.5, and (68,) scores 0..1; None where the network gives none.

    Where a FAN gives heatmaps and coordinates, its heatmaps count. Raises InputError for outputs of another shape;
    `name`: the network's.
    """
    if not kind.heatmaps:
        return _from_vertices(next(iter(outputs.values())), kind, name), None
    heatmaps = next((v for v in outputs.values() if v.shape == _SHAPES[4]), None)
    if heatmaps is not None:
        points, scores = decode_heatmaps(heatmaps[0])
        return points * (kind.size / HEATMAP), scores
    scored = next((v for v in outputs.values() if v.shape == _SHAPES[3]), None)
    if scored is None:
        shapes = " and ".join(str([*v.shape]) for v in outputs.values())
        raise InputError(f"The landmarker {name} gives {shapes}, not 68 heatmaps or points.", "Take another.")
    values = np.asarray(scored[0], np.float64)
    return values[:, :2] * (kind.size / HEATMAP), np.clip(values[:, 2], 0, 1)


def decode_heatmaps(heatmaps: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:  # (N, h, w)
    """(N, 2) heatmap pixels, centres at +0.5, and (N,) the heights of the peaks, 0..1.

    From the highest pixel to the middle of its blob by mean shift (Comaniciu and Meer, 2002): a plain centroid of some
    pixels leans towards the highest one, and a pixel here is a fiftieth of a face.
    """
    maps = np.maximum(np.asarray(heatmaps, np.float64), 0)
    count, height, width = maps.shape
    rows, columns = np.unravel_index(maps.reshape(count, -1).argmax(axis=1), (height, width))
    points, scores = np.empty((count, 2)), np.empty(count)
    for index, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        scores[index] = min(maps[index, row, column], 1.0)
        top, left = max(row - _REACH, 0), max(column - _REACH, 0)
        blob = maps[index, top : row + _REACH + 1, left : column + _REACH + 1]
        points[index] = _middle(blob, column - left + 0.5, row - top + 0.5) if scores[index] > 0 else (0.5, 0.5)
        points[index] += left, top
    return points, scores


def _middle(blob: Floats, x: float, y: float) -> tuple[float, float]:  # (h, w) >= 0
    """Where the mean of a blob under a soft window lies under the window's own middle; x, y: where it begins."""
    across, down = np.arange(blob.shape[1]) + 0.5, np.arange(blob.shape[0]) + 0.5
    for _ in range(_STEPS):
        weights = blob * np.exp(-((down[:, None] - y) ** 2 + (across - x) ** 2) / (2 * _WINDOW**2))
        total = weights.sum()
        x, y = float((weights.sum(axis=0) @ across) / total), float((weights.sum(axis=1) @ down) / total)
    return x, y


def _from_vertices(values: Floats, kind: LandmarkKind, name: str) -> npt.NDArray[np.float64]:
    if values.size != 3 * VERTICES:
        raise InputError(f"The landmarker {name} gives {[*values.shape]}, not [1, {3 * VERTICES}].", "Take another.")
    vertices = np.asarray(values, np.float64).reshape(VERTICES, 3)
    # -1..1 spans the crop in pixel indices, since InsightFace cuts it with OpenCV; ours have centres at +0.5.
    return (vertices[-LANDMARK_COUNT:, :2] + 1) * (kind.size / 2) + 0.5
