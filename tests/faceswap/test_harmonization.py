# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.harmonization import colour_map, membership, skin_statistics


def skin(mean: tuple, spread: float, seed: int, count: int = 5000) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixed = generator.normal(0, 1, (count, 3)) @ np.array([[1, 0.8, 0.6], [0, 0.4, 0.2], [0, 0, 0.2]]) * spread
    return np.clip(np.array(mean) + mixed, 0, 1).astype(np.float32)


LIGHT, DARK = skin((0.8, 0.6, 0.5), 0.03, 0), skin((0.45, 0.3, 0.22), 0.04, 1)


@pytest.mark.parametrize("method", ["mkl", "reinhard", "histogram", "idt", "sot"])
def test_one_skin_takes_the_statistics_of_the_other(method: str) -> None:
    start, goal = skin_statistics(LIGHT), skin_statistics(DARK)
    moved = skin_statistics(colour_map(start, goal, method)(LIGHT))
    assert_allclose(moved.mean, goal.mean, atol=0.01)
    assert_allclose(np.sqrt(np.diag(moved.covariance)), np.sqrt(np.diag(goal.covariance)), rtol=0.15)
    if method == "mkl":
        assert_allclose(moved.covariance, goal.covariance, atol=2.5e-4)


@pytest.mark.parametrize("amount", [0.25, 0.5, 1.0])
def test_both_skins_meet_wherever_the_tone_says(amount: float) -> None:
    light, dark = skin_statistics(LIGHT), skin_statistics(DARK)
    ours = skin_statistics(colour_map(light, dark, "mkl", amount)(LIGHT))
    theirs = skin_statistics(colour_map(dark, light, "mkl", 1 - amount)(DARK))
    assert_allclose(ours.mean, theirs.mean, atol=0.005)
    assert_allclose(ours.covariance, theirs.covariance, atol=3e-4)


def test_nothing_changes_when_nothing_is_asked() -> None:
    light, dark = skin_statistics(LIGHT), skin_statistics(DARK)
    assert colour_map(light, dark, "none")(LIGHT) is LIGHT
    assert colour_map(light, dark, "mkl", 0.0)(LIGHT) is LIGHT


def test_lips_and_brows_do_not_count_as_skin() -> None:
    clean = skin_statistics(LIGHT)
    with_others = np.concatenate([LIGHT, np.tile([[0.1, 0.05, 0.05]], (300, 1)), np.tile([[0.7, 0.2, 0.2]], (300, 1))])
    assert_allclose(skin_statistics(with_others).mean, clean.mean, atol=0.004)


def test_weights_choose() -> None:
    both = np.concatenate([LIGHT, DARK])
    chosen = np.r_[np.zeros(len(LIGHT)), np.ones(len(DARK))]
    assert_allclose(skin_statistics(both, chosen).mean, skin_statistics(DARK).mean)


def test_a_flat_skin_is_moved_without_a_division_by_zero() -> None:
    flat = np.tile(np.array([[0.7, 0.5, 0.4]], np.float32), (100, 1))
    for method in ("mkl", "reinhard", "histogram", "idt", "sot"):
        moved = colour_map(skin_statistics(flat), skin_statistics(DARK), method)(flat)
        assert_allclose(moved, np.broadcast_to(skin_statistics(DARK).mean, moved.shape), atol=0.01)


@pytest.mark.parametrize("method", ["mkl", "reinhard", "histogram", "idt", "sot"])
def test_texture_is_not_blown_up(method: str) -> None:
    wild = skin((0.5, 0.4, 0.3), 0.12, 3)
    moved = colour_map(skin_statistics(LIGHT), skin_statistics(wild), method)(LIGHT)
    assert moved.std(0).max() < 1.7 * LIGHT.std(0).max()


def test_membership_tells_skin_from_the_rest() -> None:
    statistics = skin_statistics(LIGHT)
    assert membership(LIGHT, statistics).mean() > 0.98
    assert membership(np.array([[0.05, 0.04, 0.03], [0.0, 0.5, 0.9]]), statistics).max() == 0


def test_a_skewed_skin_is_met_better_by_its_distribution() -> None:
    """Freckles: a share of the skin is darker, which no mean and covariance can say."""
    generator = np.random.default_rng(6)
    freckled = LIGHT - 0.12 * (generator.random(len(LIGHT)) < 0.25)[:, None] * generator.random((len(LIGHT), 1))

    def distance(first: np.ndarray, second: np.ndarray) -> float:
        levels = np.arange(5, 96) / 100
        return float(np.abs(np.quantile(first, levels, axis=0) - np.quantile(second, levels, axis=0)).mean())

    start, goal = skin_statistics(DARK), skin_statistics(freckled)
    gaussian = distance(colour_map(start, goal, "mkl")(start.samples), goal.samples)
    for method in ("histogram", "idt", "sot"):
        assert distance(colour_map(start, goal, method)(start.samples), goal.samples) < 0.6 * gaussian, method


@pytest.mark.parametrize("method", ["mkl", "histogram", "idt", "sot"])
def test_neighbouring_colours_stay_neighbours(method: str) -> None:
    ramp = np.linspace([0.2, 0.1, 0.1], [1.0, 0.9, 0.8], 2000).astype(np.float32)
    moved = colour_map(skin_statistics(LIGHT), skin_statistics(DARK), method)(ramp)
    steps = np.diff(moved.astype(float), axis=0)
    assert np.abs(steps).max() < 4 * 0.8 / 2000 and steps.min() > -1e-4
