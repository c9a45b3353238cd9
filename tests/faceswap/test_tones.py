# SPDX-License-Identifier: Apache-2.0
import numpy as np
from numpy.testing import assert_array_equal

from backend.faceswap.atlas import Atlas
from backend.faceswap.regions import Regions
from backend.faceswap.tones import in_one_tone

FAIR, DARK = np.array([0.86, 0.68, 0.60]), np.array([0.45, 0.32, 0.26])
LID = np.array([0.64, 0.48, 0.43])  # painted, where no photo sees it


def grained(colour: np.ndarray, count: int, spread: np.ndarray, seed: int) -> np.ndarray:
    grain = np.random.default_rng(seed).normal(0, 1, (count, 3)) * spread
    return np.clip(colour + grain, 0, 1).astype(np.float32)


def test_what_no_photo_shows_of_the_lids_takes_no_foreign_hue(atlas: Atlas, regions: Regions) -> None:
    count = len(atlas.rows)
    old = grained(FAIR, count, np.array([0.006, 0.012, 0.012]), 0)
    front = grained(DARK, count, np.array([0.02, 0.012, 0.008]), 1)
    lids = regions.parts["eyes"] > 0.9
    hidden = lids & (np.arange(count) % 3 == 0)
    old[hidden] = LID
    trust = np.where(hidden, 0, regions.face).astype(np.float32)
    back = in_one_tone(front, trust, old, regions, "mkl", 1.0)[1]
    red, green, blue = back[hidden].mean(0)
    assert red > 1.3 * green and green > blue  # as brown as it was, no green
    assert 0.2 < red < DARK[0]  # and darker than the skin around it
    seen = lids & ~hidden
    assert np.abs(back[seen].mean(0) - DARK).max() < 0.02


def test_the_performers_tone_leaves_the_front_and_the_avatars_leaves_the_back(atlas: Atlas, regions: Regions) -> None:
    old = grained(FAIR, len(atlas.rows), np.full(3, 0.01), 0)
    front = grained(DARK, len(atlas.rows), np.full(3, 0.01), 1)
    assert_array_equal(in_one_tone(front, regions.face, old, regions, "mkl", 1.0)[0], front)
    assert_array_equal(in_one_tone(front, regions.face, old, regions, "mkl", 0.0)[1], old)
