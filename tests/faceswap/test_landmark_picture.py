# SPDX-License-Identifier: Apache-2.0
"""Points and lines lie on the drawing where they lie on the photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.faceswap.landmark_picture import draw_landmarks, write_landmark_picture
from interchange.mean_face import MEAN_FACE
from interchange.png import read_png

LEFT, TOP, SIZE = 200.0, 150.0, 120.0
POINTS = {i: (float(x * SIZE + LEFT), float(y * SIZE + TOP)) for i, (x, y, _) in enumerate(MEAN_FACE)}


def test_each_point_is_drawn_in_the_colour_of_its_score() -> None:
    scores = np.full(68, 1.0)
    scores[:17] = 0.0
    seen = {i: p for i, p in POINTS.items() if i != 30}
    drawn = draw_landmarks(np.full((400, 420, 3), 0.25, np.float32), seen, scores).astype(int)
    places = np.array(list(seen.values()))
    reach = 0.35 * np.ptp(places, axis=0).max()
    left, top = np.maximum(np.floor(places.min(axis=0) - reach), 0)
    scale = 1000 / (min(np.ceil(places[:, 0].max() + reach), 420) - left)
    assert drawn.shape[1] == 1000

    def at(index: int) -> list[int]:
        x, y = (np.array(POINTS[index]) - [left, top]) * scale
        return drawn[int(y), int(x)].tolist()

    assert all(at(i) == [255, 120, 20] for i in (0, 5, 11, 16))  # orange
    assert all(at(i) == [60, 230, 90] for i in (17, 27, 36, 45, 48, 54))  # green
    assert at(30) == [64, 64, 64]  # not there
    middle = (np.array(POINTS[0]) + POINTS[1]) / 2  # of a line
    x, y = (middle - [left, top]) * scale
    assert drawn[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2].min(axis=2).max() > 150


def test_a_huge_photo_makes_no_huge_picture(tmp_path: Path) -> None:
    points = {i: (x * 10, y * 10) for i, (x, y) in POINTS.items()}
    write_landmark_picture(tmp_path / "new" / "a.png", np.zeros((4000, 4200, 3), np.float32), points, np.ones(68))
    assert max(read_png(tmp_path / "new" / "a.png").shape[:2]) == 1000
