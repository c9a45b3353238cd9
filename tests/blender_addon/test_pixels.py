# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle a pixel shows, coverage by Cryptomatte, cleaning of the light: numpy only."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from blender_addon.capture import pixels
from blender_addon.capture.passes import clean_light
from blender_addon.capture.pixels import cryptomatte_id, find_hits, object_coverage
from interchange.cameras import look_at


@pytest.mark.parametrize(
    ("name", "hashed"),
    [
        ("", 0), ("test", 0xBA6BD213), ("Hello, world!", 0xC0363E43),
        ("The quick brown fox jumps over the lazy dog", 0x2E4FF723),
    ],
)  # fmt: skip
def test_murmur3_known_answers(name: str, hashed: int) -> None:
    assert cryptomatte_id(name) & ~(1 << 23) == hashed & ~(1 << 23)
    exponent = (cryptomatte_id(name) >> 23) & 0xFF
    assert exponent not in (0, 255)


def test_coverage_adds_up_over_levels() -> None:
    own = np.array(cryptomatte_id("own"), np.uint32).view(np.float32)
    level0, level1 = np.zeros((2, 2, 4), np.float32), np.zeros((2, 2, 4), np.float32)
    level0[0, 0] = [own, 0.6, 1.0, 0.2]
    level1[0, 0] = [2.0, 0.1, own, 0.1]
    share = object_coverage([level0, level1], "own")
    assert share[0, 0] == pytest.approx(0.7) and share[1, 1] == 0


def test_hits_choose_the_triangle_at_the_rendered_depth() -> None:
    """Two parallel triangles behind one another: the depth decides which is meant, also for the hidden one."""
    K = np.array([[100.0, 0, 16], [0, 100.0, 16], [0, 0, 1]])
    camera = look_at(np.array([0, -2.0, 0]), np.zeros(3), np.array([0, 0, 1.0]), K, 32, 32)
    corners = np.array([[-1, 0, -1], [1, 0, -1], [0, 0, 1.0]])
    vertices = np.concatenate([corners, corners + [0, 0.5, 0], [[0, -5, 0]]])
    faces = np.array([[0, 1, 2], [3, 4, 5], [0, 1, 6]])  # the last reaches behind the camera
    depth = np.full((32, 32), 2.0, np.float32)
    depth[:, 16:] = 2.5
    depth[:4] = 0
    depth[4:6] = 2.2
    hits = find_hits(camera, vertices, faces, depth)
    assert (hits.face[8:, :16] == 0).all() and (hits.face[8:, 16:] == 1).all()
    assert (hits.face[:6] == -1).all()  # nothing seen, or nothing of ours at that depth
    world = hits.interpolate(vertices[faces])[20, 3]
    uv, z = camera.project(world[None])
    np.testing.assert_allclose(uv[0], [3.5, 20.5], atol=1e-4)
    assert z[0] == pytest.approx(2.0, abs=1e-5)


@pytest.mark.parametrize("at_once", [1, 37, 700, 1 << 20])
def test_hits_do_not_depend_on_how_many_are_tried_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faces that overlap, twins of equal depth among them, and a wall that is wider than a batch."""
    rng = np.random.default_rng(3)
    K = np.array([[60.0, 0, 24], [0, 60.0, 20], [0, 0, 1]])
    camera = look_at(np.array([0, -2.0, 0]), np.zeros(3), np.array([0, 0, 1.0]), K, 48, 40)
    soup = (rng.uniform(-0.6, 0.6, (25, 1, 3)) + rng.normal(0, 0.2, (25, 3, 3))).reshape(-1, 3)
    wall = np.array([[-9, 1.0, -9], [9, 1.0, -9], [0, 1.0, 15]])
    vertices = np.concatenate([soup, wall])
    faces = np.arange(len(vertices)).reshape(-1, 3)
    faces = np.concatenate([faces, faces[:6]])
    depth = rng.choice([0, 1.7, 2.0, 2.2, 3.0], (40, 48)).astype(np.float32)
    whole = find_hits(camera, vertices, faces, depth, 0.2)
    monkeypatch.setattr(pixels, "_AT_ONCE", at_once)
    parts = find_hits(camera, vertices, faces, depth, 0.2)
    np.testing.assert_array_equal(parts.face, whole.face)
    np.testing.assert_array_equal(parts.weights, whole.weights)
    assert {25, 26} <= set(np.unique(whole.face)) and not (set(range(6)) & set(np.unique(whole.face)))


def test_a_huge_triangle_takes_little_memory() -> None:
    K = np.array([[1000.0, 0, 1000], [0, 1000.0, 1000], [0, 0, 1]])
    camera = look_at(np.array([0, -2.0, 0]), np.zeros(3), np.array([0, 0, 1.0]), K, 2000, 2000)
    vertices = np.array([[-50.0, 0, -50], [50, 0, -50], [0, 0, 90]])
    faces, depth = np.array([[0, 1, 2]] * 3), np.full((2000, 2000), 2.0, np.float32)
    tracemalloc.start()
    try:
        hits = find_hits(camera, vertices, faces, depth)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (hits.face == 2).all()
    assert peak < 700 * 2**20  # 160 of them are the result; all pairs together take 2.8 GiB


def test_clean_light_removes_noise_keeps_shadow_edges_and_leaves_the_rest() -> None:
    rng = np.random.default_rng(0)
    truth = np.where(np.arange(64)[None] < 32, 0.9, 0.4) * np.ones((64, 64))
    light = np.repeat(truth[..., None], 3, axis=2)
    albedo = np.full((64, 64, 3), 0.5)
    noisy = light + rng.normal(size=light.shape) * 0.05
    alpha = np.ones((64, 64))
    alpha[:4], albedo[-4:] = 0.3, 0.0
    clean = clean_light(noisy.astype(np.float32), (light * albedo).astype(np.float32), albedo, alpha)
    inside = np.s_[8:-8, 8:-8]
    assert np.abs(clean - light)[inside].std() < 0.3 * 0.05
    assert np.abs(clean - light)[8:-8, 30:34].max() < 0.06  # the edge is as sharp as before
    np.testing.assert_array_equal(clean[:4], noisy[:4].astype(np.float32))
