# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera rigs: pure mathematics."""

from __future__ import annotations

import numpy as np
import pytest

from blender_addon.capture import framing, rigs
from interchange.errors import InputError


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(a @ b.T, -1, 1)))


@pytest.mark.parametrize(("train", "held_out", "seed"), [(40, 8, 0), (12, 4, 3), (6, 2, 0), (1, 0, 0), (100, 20, 9)])
def test_dome_counts_unit_vectors_and_determinism(train: int, held_out: int, seed: int) -> None:
    dome = rigs.Dome(train, held_out, seed=seed)
    first, second = rigs.dome_directions(dome), rigs.dome_directions(dome)
    assert first[0].shape == (train, 3) and first[1].shape == (held_out, 3)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(np.linalg.norm(a, axis=1), 1)


def test_dome_surrounds_the_head_and_prefers_the_face() -> None:
    train, held_out = rigs.dome_directions(rigs.Dome(40, 8))
    elevation = np.degrees(np.arcsin(train[:, 2]))
    assert -25 <= elevation.min() < -15 and 40 < elevation.max() <= 50
    azimuth = np.degrees(np.arctan2(train[:, 0], -train[:, 1]))
    gaps = np.diff(np.sort(np.concatenate([azimuth, azimuth[:1] + 360])))
    assert gaps.max() < 45  # no side is left out, the back included
    front, back = (np.abs(azimuth) < 60).sum(), (np.abs(azimuth) > 120).sum()
    assert front > 1.5 * back > 0
    apart = angles(held_out, train).min(axis=1)
    assert (apart > 3).all() and (apart < 35).all()  # new to the fit, yet among its views
    assert np.degrees(np.arcsin(held_out[:, 2])).max() < elevation.max()
    assert np.degrees(np.arcsin(held_out[:, 2])).min() > elevation.min()


def test_seed_turns_the_dome() -> None:
    assert np.abs(rigs.dome_directions(rigs.Dome(seed=1))[0] - rigs.dome_directions(rigs.Dome(seed=2))[0]).max() > 0.1


def test_surround_frames_all_points_tightly() -> None:
    rng = np.random.default_rng(1)
    points = rng.normal(size=(500, 3)) * [0.08, 0.1, 0.15] + [1, 2, 3]
    directions = np.concatenate(rigs.dome_directions(rigs.Dome(20, 4)))
    views = framing.surround(points, directions, framing.Lens(85, 200, 200), margin=0.05)
    for camera in views:
        pixels, depth = camera.project(points)
        assert depth.min() > 0 and pixels.min() > 0.05 * 200 - 0.1 and pixels.max() < 0.95 * 200 + 0.1
        fill = (pixels.max(axis=0) - pixels.min(axis=0)) / 200
        assert fill.max() == pytest.approx(0.9, abs=5e-3)  # no farther than needed
        assert np.abs(pixels.max(axis=0) + pixels.min(axis=0) - 200).max() < 4 + 200 * (0.9 - fill).max()
    for camera, outward in zip(views, directions, strict=True):
        np.testing.assert_allclose(camera.forward, -outward, atol=1e-12)


def test_ring_starts_in_front_of_the_face() -> None:
    ring = rigs.ring_grid(rigs.Rings(8, held_out=0))
    np.testing.assert_allclose(ring[0], [0, -1, 0], atol=1e-12)
    np.testing.assert_allclose(ring[2], [1, 0, 0], atol=1e-12)


def test_portrait_camera_sees_the_face_upright_and_large() -> None:
    marks = np.array([[-0.07, 0, 1.5], [0.07, 0, 1.5], [0, -0.05, 1.44], [0, -0.05, 1.6]])
    camera = framing.portrait_camera(marks, np.array([0, -1.0, 0.1]), framing.Lens(85, 400, 400))
    uv, depth = camera.project(marks)
    assert (depth > 0).all() and (uv > 0).all() and (uv < 400).all()
    assert uv[0, 0] < uv[1, 0] and uv[3, 1] < uv[2, 1]  # character's right is the picture's left; up is up
    assert 0.3 < (uv[2, 1] - uv[3, 1]) / 400 < 0.5


def test_impossible_rigs_are_refused() -> None:
    with pytest.raises(InputError, match="Ask for 1 to"):
        rigs.Dome(0, 1)
    with pytest.raises(InputError, match="degrees"):
        rigs.Dome(low=50, high=-10)
    with pytest.raises(InputError, match="no extent"):
        framing.surround(np.zeros((4, 3)), rigs.ring_grid(rigs.Rings(3, held_out=0)), framing.Lens(85, 100, 100))


@pytest.mark.parametrize("rig", [
    rigs.Dome(20, 4), rigs.Sphere(40, 8), rigs.Sphere(30, 0, -89, 89, seed=4), rigs.Rings(12, (-10, 10, 30), 6),
    rigs.Rings(8, held_out=0), rigs.LightStage(3, 7, held_out=3), rigs.LightStage(1, 1, held_out=0),
    rigs.LightStage(2, 12, azimuth=180, held_out=4),
])  # fmt: skip
def test_every_rig_keeps_its_counts_and_stands_nowhere_twice(rig: rigs.Rig) -> None:
    train, held_out = rigs.directions_of(rig)
    assert (len(train), len(held_out)) == rigs.view_count(rig)
    every = np.concatenate([train, held_out])
    np.testing.assert_allclose(np.linalg.norm(every, axis=1), 1)
    between = angles(every, every) + 360 * np.eye(len(every))
    assert between.min() > 1


def test_sphere_is_even() -> None:
    every = np.concatenate(rigs.sphere_directions(rigs.Sphere(200, 0, -89, 89)))
    nearest = (angles(every, every) + 360 * np.eye(len(every))).min(axis=1)
    assert nearest.std() / nearest.mean() < 0.15


def test_light_stage_runs_from_the_right_to_the_left_upwards() -> None:
    grid = rigs.stage_grid(rigs.LightStage(2, 3, azimuth=90, low=0, high=30, held_out=0))
    np.testing.assert_allclose(grid[:3], [[-1, 0, 0], [0, -1, 0], [1, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(grid[3:, 2], 0.5, atol=1e-12)


@pytest.mark.parametrize(("width", "height"), [(300, 150), (120, 320)])
def test_surround_fills_pictures_that_are_not_square(width: int, height: int) -> None:
    points = np.random.default_rng(1).normal(size=(400, 3)) * [0.08, 0.1, 0.15] + [1, 2, 3]
    lens = framing.Lens(50, width, height)
    for camera in framing.surround(points, rigs.ring_grid(rigs.Rings(6, held_out=0)), lens, margin=0.05):
        pixels, _ = camera.project(points)
        low, high = pixels.min(axis=0) / [width, height], pixels.max(axis=0) / [width, height]
        assert low.min() > 0.049 and high.max() < 0.951
        assert (high - low).max() == pytest.approx(0.9, abs=5e-3)
        assert camera.K[0, 0] == pytest.approx(50 / 36 * max(width, height))


def test_a_fixed_distance_is_kept() -> None:
    points = np.random.default_rng(1).uniform(-0.1, 0.1, (100, 3)) + [0, 0, 1.5]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    for camera in framing.surround(points, rigs.ring_grid(rigs.Rings(5, held_out=0)), framing.Lens(50, 64, 64), 2.0):
        assert np.linalg.norm(camera.position - middle) == pytest.approx(2.0)
        np.testing.assert_allclose(camera.project(middle[None])[0], [[32, 32]], atol=1e-9)
    with pytest.raises(InputError, match="inside the avatar"):
        framing.surround(points, rigs.ring_grid(rigs.Rings(5, held_out=0)), framing.Lens(50, 64, 64), 0.05)


@pytest.mark.parametrize(("make", "sentence"), [
    (lambda: rigs.Sphere(low=10, high=10), "degrees"),
    (lambda: rigs.Rings(elevations=()), "no ring"),
    (lambda: rigs.Rings(4, held_out=4), "0 training views"),
    (lambda: rigs.LightStage(0, 4), "light stage"),
    (lambda: rigs.LightStage(azimuth=200), "180 degrees"),
    (lambda: rigs.SceneCameras(()), "no cameras"),
])  # fmt: skip
def test_more_impossible_rigs(make: object, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()
