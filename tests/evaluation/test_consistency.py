# SPDX-License-Identifier: Apache-2.0
"""Cross-view consistency on a ball whose true colours and depths are known."""

from __future__ import annotations

import time

import numpy as np
import pytest

from backend.evaluation import consistency
from interchange.cameras import Camera
from tests.evaluation import scene


def ring(size: int, angles: list[float]) -> tuple[list[consistency.ViewSurface], list[np.ndarray]]:
    surfaces, colours = [], []
    for angle in angles:
        camera = scene.camera(angle, 0, size)
        passes = scene.images(camera, scene.texture_a)
        surfaces.append(consistency.surface(camera, passes.depth, passes.masks["face"], passes.alpha))
        colours.append(scene.trace(camera, scene.texture_a)[0])
    return surfaces, colours


def measure(surfaces: list, *sets: list) -> consistency.Consistency:
    pairs = consistency.select_pairs([s.camera for s in surfaces], ["rest"] * len(surfaces))
    return consistency.reprojection(surfaces, sets, pairs)


def test_a_consistent_set_is_at_the_resampling_floor_which_falls_with_resolution() -> None:
    floors = []
    for size in (48, 96, 192):
        surfaces, colours = ring(size, [-20, 0, 20])
        result = measure(surfaces, colours)
        assert result.pairs == 2 and result.samples > size**2 / 4
        floors.append(result.rmse[0])
    assert floors[2] < 0.25
    assert floors[0] > floors[1] > floors[2]


def test_per_view_offsets_are_measured_exactly() -> None:
    surfaces, colours = ring(128, [-15, 15])
    shifted = [colours[0], colours[1] + np.float32(10 / 255)]
    result = measure(surfaces, colours, shifted)
    assert result.rmse[1] == pytest.approx(10, abs=0.2)


def test_error_grows_with_shifts_of_the_pictures() -> None:
    surfaces, colours = ring(128, [-20, 0, 20])
    shifted = [[np.roll(c, k * i, axis=1) for i, c in enumerate(colours)] for k in (0, 1, 2, 4)]
    rmse = measure(surfaces, *shifted).rmse
    assert rmse[0] < rmse[1] < rmse[2] < rmse[3]
    assert rmse[3] > 5 * rmse[0]


def test_hidden_points_are_not_compared() -> None:
    """A far plane behind a near one: without the occlusion test their colours would be compared."""
    size, focal = 64, 120.0
    K = np.array([[focal, 0, 32], [0, focal, 32], [0, 0, 1.0]])
    surfaces, pictures = [], []
    for offset in (-0.08, 0.08):
        pose = np.eye(4)
        pose[0, 3] = -offset
        camera = Camera(K, pose, size, size)
        x = (camera.pixel_centres()[:, 0].reshape(size, size) - 32) / focal + offset  # near plane at z = 1
        near = np.abs(x) < 0.1
        depth = np.where(near, 1.0, 2.0)
        surfaces.append(consistency.surface(camera, depth, np.ones_like(depth), np.ones_like(depth)))
        pictures.append(np.where(near[..., None], 0.9, 0.1).repeat(3, axis=2))
    result = consistency.reprojection(surfaces, [pictures], [(0, 1)])
    assert result.samples > 500
    assert result.rmse[0] == pytest.approx(0, abs=1e-9)
    blind = [consistency.ViewSurface(s.camera, s.depth, np.ones_like(s.usable)) for s in surfaces]
    tolerance = consistency.DEPTH_TOLERANCE
    try:
        consistency.DEPTH_TOLERANCE = 1e9
        assert consistency.reprojection(blind, [pictures], [(0, 1)]).rmse[0] > 50
    finally:
        consistency.DEPTH_TOLERANCE = tolerance


def test_depth_edges_and_holes_are_left_out() -> None:
    camera = scene.camera(0, 0, 64)
    depth = np.full((64, 64), 0.8)
    depth[:, 32:] = 0.9
    depth[10, 10] = 0
    edges = consistency.depth_edges(depth, camera)
    assert edges[:, 31:33].all() and not edges[:, 40:].any()
    assert edges[9:12, 9:12].all()


def test_pairs_are_near_of_one_pose_limited_and_repeatable() -> None:
    cameras = [scene.camera(a) for a in range(-60, 61, 5)]
    poses = ["rest"] * len(cameras)
    pairs = consistency.select_pairs(cameras, poses)
    assert all(0 < j - i <= 6 for i, j in pairs)
    assert len(pairs) == sum(len(cameras) - k for k in range(1, 7))
    fewer = consistency.select_pairs(cameras, poses, 20)
    assert len(set(fewer)) == 20 and set(fewer) <= set(pairs)
    assert fewer == consistency.select_pairs(cameras, poses, 20)
    assert {j - i for i, j in fewer} >= {1, 3, 5}
    poses[0] = "smile"
    assert not any(i == 0 for i, _ in consistency.select_pairs(cameras, poses))


def test_nothing_in_common_gives_none() -> None:
    surfaces, colours = ring(48, [-80, 80])
    assert measure(surfaces, colours) == consistency.Consistency((None,), 0, 0)


def test_bilinear_is_exact_on_a_plane() -> None:
    y, x = np.mgrid[0:10, 0:12] + 0.5
    image = (2 * x + 3 * y)[..., None]
    uv = np.random.default_rng(0).uniform(0.5, 9.5, (100, 2))
    np.testing.assert_allclose(consistency.bilinear(image, uv)[:, 0], 2 * uv[:, 0] + 3 * uv[:, 1])


@pytest.mark.slow
def test_48_views_of_320_take_seconds() -> None:
    rng = np.random.default_rng(0)
    surfaces, colours = [], []
    for _ in range(48):
        camera = scene.camera(rng.uniform(-75, 75), rng.uniform(-25, 25), 320)
        passes = scene.images(camera, scene.texture_a)
        surfaces.append(consistency.surface(camera, passes.depth, passes.masks["face"], passes.alpha))
        colours.append(scene.trace(camera, scene.texture_a)[0])
    start = time.perf_counter()
    result = measure(surfaces, colours, colours)
    seconds = time.perf_counter() - start
    print(f"{result} in {seconds:.1f} s")
    assert result.pairs == consistency.MAX_PAIRS
    assert seconds < 30  # a few seconds on a quiet machine; the bar is loose because test machines are not
