# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.spline import fit_spline

POINTS = np.random.default_rng(0).uniform(-1, 1, (68, 3)) * [0.08, 0.05, 0.1]


def bent(points: np.ndarray) -> np.ndarray:
    """(N, 2) metres, as two people's faces differ."""
    x, y, z = points.T * 20
    return 0.003 * np.stack([np.sin(x) + 0.5 * z, np.cos(z) - y], axis=1)


def error(smoothing: float | None, noise: float, seed: int) -> float:
    """Root mean square in metres between the points, of a spline through noisy offsets."""
    elsewhere = np.random.default_rng(1).uniform(-0.9, 0.9, (500, 3)) * [0.08, 0.05, 0.1]
    offsets = bent(POINTS) + np.random.default_rng(seed).normal(0, noise, (68, 2))
    return float(np.sqrt(((fit_spline(POINTS, offsets, smoothing).at(elsewhere) - bent(elsewhere)) ** 2).mean()))


@pytest.mark.parametrize("count", [5, 11, 12, 68])
def test_without_smoothing_points_are_hit(count: int) -> None:
    spline = fit_spline(POINTS[:count], bent(POINTS[:count]), 0.0)
    assert_allclose(spline.at(POINTS[:count]), bent(POINTS[:count]), atol=1e-9)


def test_points_that_agree_are_trusted_and_noisy_ones_are_not() -> None:
    noises = (0.0, 0.0005, 0.001, 0.003)
    chosen = [fit_spline(POINTS, bent(POINTS) + np.random.default_rng(2).normal(0, n, (68, 2)), None).smoothing
              for n in noises]  # fmt: skip
    assert chosen[0] <= 0.01 and chosen == sorted(chosen) and chosen[-1] >= 0.3


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_the_chosen_smoothing_helps_where_points_err(seed: int) -> None:
    assert error(None, 0.0, seed) < 0.0003
    assert error(None, 0.001, seed) < 1.05 * error(0.0, 0.001, seed)
    assert error(None, 0.003, seed) < 0.75 * error(0.0, 0.003, seed)


def test_few_points_are_taken_at_their_word() -> None:
    assert fit_spline(POINTS[:5], bent(POINTS[:5]), None).smoothing == 0


def test_points_in_one_plane_or_in_one_place_are_no_trouble() -> None:
    flat = POINTS * [1, 0, 1]
    assert np.isfinite(fit_spline(flat, bent(POINTS), None).at(POINTS)).all()
    twice = np.concatenate([POINTS, POINTS[:3]])
    assert_allclose(fit_spline(twice, bent(twice), 0.0).at(twice), bent(twice), atol=1e-9)
