# SPDX-License-Identifier: Apache-2.0
"""The pictures as the loss sees them: sizes, colours, weights, depth; and the arithmetic of trust."""

import numpy as np
import pytest

from backend.fitting.colour_affine import AFFINE, IDENTITY, centred, matched, solve_affine
from backend.fitting.fit import fit
from backend.fitting.inputs import load_input
from backend.fitting.robust import WEIGHTS, patch_residual, pixel_weights, threshold
from backend.fitting.settings import FitSettings
from backend.fitting.targets import prepare_targets
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.splats import read_ply

from .scene import CENTRE, RADIUS, make_capture


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    return make_capture(tmp_path_factory.mktemp("ball") / "capture", train=8, held_out=0, size=48)


@pytest.fixture(scope="module")
def views(capture):
    return load_input(capture.folder).train


def test_smaller_pictures_are_means_over_areas_with_their_own_cameras(views):
    targets = prepare_targets(views, {}, FitSettings(coarse_levels=2, depth_weight=1))
    assert len(targets) == 3 * len(views)
    for number, view in enumerate(views):
        for level in range(3):
            target, side = targets[level * len(views) + number], 2**level
            assert (target.camera.width, target.camera.height) == (48 // side, 48 // side)
            assert target.camera.K[0, 0] == pytest.approx(view.camera.K[0, 0] / side)
            blocks = view.rgb.reshape(48 // side, side, 48 // side, side, 3).mean(axis=(1, 3))
            assert np.allclose(target.rgb, blocks, atol=1e-5)
            assert target.alpha.mean() == pytest.approx(view.alpha.mean(), abs=1e-5)
            known = target.depth[target.depth > 0]
            full = view.depth[view.depth > 0]
            assert full.min() - 1e-5 <= known.min() <= known.max() <= full.max() + 1e-5  # never mixed with the void


def test_depth_is_left_out_where_it_does_not_count(views):
    assert all(target.depth is None for target in prepare_targets(views, {}, FitSettings()))


def test_colours_and_weights_come_from_the_memory(views):
    affine = np.tile(IDENTITY, (len(views), 1, 1))
    affine[2] *= 0.5
    memory = {AFFINE: affine, f"{WEIGHTS}1": np.full((48, 48), 51, np.uint8)}
    targets = prepare_targets(views, memory, FitSettings())
    assert np.allclose(targets[2].rgb, views[2].rgb / 2) and np.allclose(targets[0].rgb, views[0].rgb)
    assert targets[0].pixel_weights is None and np.allclose(targets[1].pixel_weights, 0.2)


def test_an_affine_change_is_found_and_undone(views):
    view = views[0]
    truth = np.array([[0.8, 0.05, 0, 0.02], [0, 1.1, -0.03, 0.01], [0.02, 0, 0.9, -0.01]], np.float32)
    rendered = matched(view.rgb, view.alpha, truth)
    found = solve_affine(view.rgb, view.alpha, rendered)
    assert np.abs(matched(view.rgb, view.alpha, found) - rendered).max() < 0.02
    assert np.abs(solve_affine(view.rgb, view.alpha, view.rgb) - IDENTITY).max() < 1e-6
    spoiled = rendered.copy()
    spoiled[:24] = 0.9  # not to be believed, and marked so
    trust = np.ones((48, 48), np.float32)
    trust[:24] = 0
    found = solve_affine(view.rgb, view.alpha, spoiled, trust)
    assert np.abs(matched(view.rgb, view.alpha, found) - rendered)[24:].max() < 0.02
    assert np.array_equal(solve_affine(view.rgb, np.zeros_like(view.alpha), rendered), IDENTITY)


def test_what_all_views_share_is_no_change():
    changes = np.stack([IDENTITY * s for s in (0.5, 0.7, 0.9)])
    assert np.allclose(centred(changes).mean(axis=0), IDENTITY, atol=1e-6)
    assert np.allclose(centred(changes)[0] - centred(changes)[2], changes[0] - changes[2], atol=1e-6)


def test_the_worst_part_counts_less_and_the_rest_fully():
    rng = np.random.default_rng(0)
    residuals = [(rng.random((40, 50)) * 0.1).astype(np.float16) for _ in range(3)]
    residuals[1][:10] += 0.5
    alphas = [np.ones((40, 50), np.float32) for _ in residuals]
    limit = threshold(residuals, alphas, 0.05)
    above = np.mean([residual > limit for residual in residuals])
    assert 0.03 < above <= 0.0505
    weights = pixel_weights(residuals, limit)[1]
    assert (weights[residuals[1] <= limit] == 255).all()
    worst = np.unravel_index(residuals[1].argmax(), (40, 50))
    assert weights[worst] == round(255 * (limit / float(residuals[1].max())) ** 2)
    nothing = [np.zeros((4, 4), np.float16)]
    limit = threshold(nothing, [np.ones((4, 4), np.float32)], 0.1)
    assert limit > 0 and (pixel_weights(nothing, limit)[0] == 255).all()  # a perfect fit divides by nothing
    odd = np.array([[np.inf, np.nan, -0.0, 60000]], np.float16)
    assert pixel_weights([odd], 0.01)[0].tolist() == [[0, 0, 255, 0]]


def test_residuals_are_means_over_patches():
    picture = np.zeros((9, 9, 3), np.float32)
    rendered = picture.copy()
    rendered[4, 4] = 1
    residual = patch_residual(picture, np.ones((9, 9), np.float32), IDENTITY, rendered)
    assert residual[4, 4] == pytest.approx(1 / 25, rel=1e-3) and residual[2, 6] == residual[4, 4]
    assert residual[1, 4] == 0
    half = np.eye(3, 4, dtype=np.float32) / 2
    residual = patch_residual(rendered, np.ones((9, 9), np.float32), half, rendered)
    assert residual[4, 4] == pytest.approx(1 / 50, rel=1e-3)


def test_depth_pulls_splats_to_the_surface(capture, tmp_path):
    def distance(weight):
        settings = FitSettings(iterations=200, splats=500, sh_degree=0, start="random", depth_weight=weight,
                               early_stop=False, engine="cpu", threads=1)  # fmt: skip
        fit(capture.folder, tmp_path / str(weight), settings)
        cloud = read_ply(tmp_path / str(weight) / "splats.ply")
        off = np.abs(np.linalg.norm(cloud.means - CENTRE @ SPLAT_FROM_BLENDER.T, axis=1) - RADIUS)
        return np.average(off, weights=cloud.opacities)

    assert distance(0.5) < 0.85 * distance(0.0)
