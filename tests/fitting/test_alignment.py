# SPDX-License-Identifier: Apache-2.0
"""The normal term: turning splats flat, and what it does to a fit."""

import attrs
import numpy as np

from backend.fitting.alignment import splat_normals, turned
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from interchange.splats import read_ply

from .scene import make_capture

SETTINGS = FitSettings(iterations=120, splats=500, sh_degree=0, early_stop=False, evaluations=0, threads=1)


def _random(count=200):
    rng = np.random.default_rng(0)
    quats, thin, normals = rng.normal(size=(count, 4)) * 3, rng.integers(0, 3, count), rng.normal(size=(count, 3))
    return quats, thin, normals / np.linalg.norm(normals, axis=1, keepdims=True)


def test_a_whole_turn_lays_splats_flat_and_keeps_their_length():
    quats, thin, normals = _random()
    after = turned(quats, thin, normals, 1.0)
    np.testing.assert_allclose(np.abs((splat_normals(after, thin) * normals).sum(axis=1)), 1, atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(after, axis=1), np.linalg.norm(quats, axis=1))


def test_a_part_of_a_turn_is_that_part_of_the_angle():
    quats, thin, normals = _random()

    def angles(q):
        return np.arccos(np.clip(np.abs((splat_normals(q, thin) * normals).sum(axis=1)), 0, 1))

    np.testing.assert_allclose(angles(turned(quats, thin, normals, 0.3)), 0.7 * angles(quats), atol=1e-7)
    np.testing.assert_array_equal(turned(quats, thin, np.zeros_like(normals), 0.5), quats)


def _flatness(capture, out, weight):
    result = fit(capture.folder, out, attrs.evolve(SETTINGS, normal_weight=weight))
    cloud = read_ply(out / "splats.ply")
    outward = cloud.means - cloud.means.mean(axis=0)  # a ball
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    normals = splat_normals(cloud.quats_wxyz, cloud.log_scales.argmin(axis=1))
    return float(np.abs((normals * outward).sum(axis=1)).mean()), result.psnr


def test_splats_of_a_fit_lie_flatter_with_it(tmp_path):
    capture = make_capture(tmp_path / "capture")
    loose, psnr = _flatness(capture, tmp_path / "loose", 0.0)
    flat, psnr_flat = _flatness(capture, tmp_path / "flat", 0.05)
    assert 1 - flat < 0.8 * (1 - loose)  # the ball's triangles are no ball: some angle is left
    assert psnr_flat > psnr - 1.5
