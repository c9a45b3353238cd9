# SPDX-License-Identifier: Apache-2.0
"""Landmarks drawn on their photo, to look at before they are used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.png import write_png

Floats = npt.NDArray[Any]
LINES = (
    (range(17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False), (range(31, 36), False),
    (range(36, 42), True), (range(42, 48), True), (range(48, 60), True), (range(60, 68), True),
)  # fmt: skip
"""(ids along a line, closed): jaw, brows, nose, eyes, lips."""
_EDGE = 1000  # pixels of the longer side of the picture
_MARGIN = 0.35  # of the face's longer side around the points
_SHARE = 16  # OpenCV draws to a sixteenth of a pixel
_LINE, _GOOD, _WEAK = (255, 255, 255), (60, 230, 90), (255, 120, 20)


def draw_landmarks(
    picture: Floats, points: Mapping[int, tuple[float, float]], scores: Floats
) -> npt.NDArray[np.uint8]:  # (H, W, 3) RGB display-referred 0..1, ..., (68,)
    """(h, w, 3) uint8: the face, cut out and enlarged or reduced to a readable size, lines and points on it. A point is
    green, towards orange the lower its score is."""
    places = np.array(list(points.values()))
    reach = _MARGIN * np.ptp(places, axis=0).max()
    height, width = picture.shape[:2]
    left, top = np.maximum(np.floor(places.min(axis=0) - reach), 0).astype(int)
    right, bottom = np.minimum(np.ceil(places.max(axis=0) + reach), [width, height]).astype(int)
    cut = np.rint(np.clip(picture[top:bottom, left:right], 0, 1) * 255).astype(np.uint8)
    factor = _EDGE / max(cut.shape[:2])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    canvas = np.ascontiguousarray(cv2.resize(cut, None, fx=factor, fy=factor, interpolation=how))
    scale = np.array([canvas.shape[1] / cut.shape[1], canvas.shape[0] / cut.shape[0]])
    placed = {i: (np.array(p) - [left, top]) * scale - 0.5 for i, p in points.items()}
    for ids, closed in LINES:
        pairs = list(zip(ids, [*ids[1:], ids[0]] if closed else ids[1:], strict=False))
        for a, b in pairs:
            if a in placed and b in placed:
                cv2.line(canvas, _fixed(placed[a]), _fixed(placed[b]), _LINE, 1, cv2.LINE_AA, 4)
    for index, place in placed.items():
        share = float(np.clip(scores[index], 0, 1))
        colour = tuple(round(w + share * (g - w)) for g, w in zip(_GOOD, _WEAK, strict=True))
        cv2.circle(canvas, _fixed(place), 5 * _SHARE, (0, 0, 0), -1, cv2.LINE_AA, 4)
        cv2.circle(canvas, _fixed(place), 4 * _SHARE, colour, -1, cv2.LINE_AA, 4)
    return np.asarray(canvas, np.uint8)


def write_landmark_picture(
    path: Path, picture: Floats, points: Mapping[int, tuple[float, float]], scores: Floats
) -> None:
    """The same as a PNG. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, draw_landmarks(picture, points, scores))


def _fixed(place: Floats) -> tuple[int, int]:
    return round(float(place[0]) * _SHARE), round(float(place[1]) * _SHARE)
