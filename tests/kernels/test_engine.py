# SPDX-License-Identifier: Apache-2.0
"""The whole step: gradients of all parameters, Adam, determinism, odd input."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels.adam.reference import adam_steps
from backend.kernels.engine import AdamState, CpuEngine, SplatParameters, compile_kernels
from backend.kernels.layout import padded
from backend.kernels.rasterizer import LossWeights
from interchange.errors import InputError
from interchange.splats import SplatCloud

from .scenes import (
    GROUPS,
    SIZE,
    camera_for,
    doubtful_pixels,
    odd_scene,
    random_cloud,
    reference_gradients,
    scene,
    target_near,
)


def _target(parameters, camera, seed, engine):
    target = target_near(engine, parameters, camera, seed)
    return target.rgb, target.alpha


def _scene(degree, seed, count=192, size=SIZE, scale=0.025):
    parameters, camera = scene(degree, seed, count, size, scale)
    return parameters, camera, CpuEngine(count, *size, degree)


@pytest.mark.parametrize(
    ("degree", "seed", "background", "scale"),
    [(0, 1, (0.0, 0.0, 0.0), 0.025), (1, 2, (0.2, 0.5, 0.8), 0.025), (2, 13, (1.0, 1.0, 1.0), 0.04),
     (3, 4, (0.9, 0.1, 0.4), 0.025), (3, 5, (0.0, 0.0, 0.0), 0.006)],
)  # fmt: skip
def test_gradients_match_autograd(degree, seed, background, scale):
    parameters, camera, engine = _scene(degree, seed, scale=scale)
    target, alpha = _target(parameters, camera, seed, engine)
    block = torch.tensor(parameters.block[:, :192].astype(np.float64))
    weights = np.random.default_rng(seed).random(alpha.shape).astype(np.float32)
    assert doubtful_pixels(block, (degree + 1) ** 2, camera).sum() == 0, "choose another seed"
    view = engine.prepare_view(camera, target, alpha, weights if seed % 2 else None)
    result, gradient = engine.gradients(parameters, view, background, LossWeights(0.2, 0.3))
    expected, reference = reference_gradients(
        parameters, camera, target, alpha, background, LossWeights(0.2, 0.3), weights if seed % 2 else None
    )
    np.testing.assert_allclose((result.loss, result.l1, result.dssim, result.alpha), expected, rtol=5e-6)
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :192], reference[rows]
        if len(theirs):
            error = np.abs(mine - theirs).max() / np.abs(theirs).max()
            assert error < 1e-4, f"{name}: {error:.1e}"
            assert np.linalg.norm(mine - theirs) < 1e-4 * np.linalg.norm(theirs), name
    assert not gradient[:, 192:].any()


@pytest.mark.parametrize(("seed", "scale"), [(21, 0.025), (22, 0.004)])
def test_gradients_of_antialiased_splats_match_autograd(seed, scale):
    parameters, camera, engine = _scene(1, seed, scale=scale)
    parameters.antialiased = True
    target, alpha = _target(parameters, camera, seed, engine)
    block = torch.tensor(parameters.block[:, :192].astype(np.float64))
    assert doubtful_pixels(block, 4, camera, antialiased=True).sum() == 0, "choose another seed"
    result, gradient = engine.gradients(parameters, engine.prepare_view(camera, target, alpha))
    expected, reference = reference_gradients(parameters, camera, target, alpha, (0, 0, 0), LossWeights(), None)
    np.testing.assert_allclose((result.loss, result.l1, result.dssim, result.alpha), expected, rtol=5e-6)
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :192], reference[rows]
        assert np.abs(mine - theirs).max() < 1e-4 * np.abs(theirs).max(), name
        assert np.linalg.norm(mine - theirs) < 1e-4 * np.linalg.norm(theirs), name


@pytest.mark.parametrize("seed", [31, 32])
def test_depth_gradients_match_autograd_and_leave_no_trace(seed):
    parameters, camera, engine = _scene(1, seed)
    target, alpha = _target(parameters, camera, seed, engine)
    rng = np.random.default_rng(seed)
    depth = (1 + 0.3 * rng.normal(size=alpha.shape)).astype(np.float32)
    depth[:10], depth[10:12], depth[:, :8] = 0, np.nan, np.inf
    weights = rng.random(alpha.shape).astype(np.float32)
    block = torch.tensor(parameters.block[:, :192].astype(np.float64))
    assert doubtful_pixels(block, 4, camera).sum() == 0, "choose another seed"
    view = engine.prepare_view(camera, target, alpha, weights, depth)
    mix = LossWeights(depth=0.5, length=0.2)
    _, before = engine.gradients(parameters, view, (0.1, 0.2, 0.3))
    result, gradient = engine.gradients(parameters, view, (0.1, 0.2, 0.3), mix)
    expected, reference = reference_gradients(parameters, camera, target, alpha, (0.1, 0.2, 0.3), mix, weights, depth)
    np.testing.assert_allclose((result.loss, result.l1, result.dssim, result.alpha), expected, rtol=5e-6)
    assert result.depth > 0.01
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :192], reference[rows]
        assert np.abs(mine - theirs).max() < 1e-4 * np.abs(theirs).max(), name
    np.testing.assert_array_equal(engine.gradients(parameters, view, (0.1, 0.2, 0.3))[1], before)
    with pytest.raises(InputError, match="depth has shape"):
        engine.prepare_view(camera, target, alpha, None, depth[:5])


def test_antialiased_splats_fade_where_they_are_thinner_than_a_pixel():
    parameters, camera, engine = _scene(0, 3)
    parameters.block[7:10] = np.log(0.002)  # a seventh of a pixel
    plain = engine.render(parameters, camera)[1]
    parameters.antialiased = True
    assert engine.render(parameters, camera)[1].sum() < 0.2 * plain.sum()


def test_gradients_with_long_lists_and_stopped_pixels():
    parameters, camera, engine = _scene(0, 11, count=1500, size=(40, 40), scale=0.05)
    parameters.block[10] += 2
    target, alpha = _target(parameters, camera, 1, engine)
    view = engine.prepare_view(camera, target, alpha)
    _, gradient = engine.gradients(parameters, view)
    _, reference = reference_gradients(parameters, camera, target, alpha, (0, 0, 0), LossWeights(), None)
    counts = np.diff(engine._frame.tile_start[:10])
    assert counts.max() > 600  # several chunks
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :1500], reference[rows]
        if len(theirs):
            # Some pixel always lies at a cutoff here; one flipped decision moves the norm by about 1e-4.
            assert np.linalg.norm(mine - theirs) < 5e-3 * np.linalg.norm(theirs), name


def test_adam_is_torchs():
    parameters, camera, engine = _scene(1, 2)
    target, alpha = _target(parameters, camera, 2, engine)
    view = engine.prepare_view(camera, target, alpha)
    rates = parameters.learning_rates(1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4)
    start = torch.tensor(parameters.block.astype(np.float64))
    adam, gradients = AdamState.like(parameters), []
    for iteration in (1, 2, 3):
        gradients.append(torch.tensor(engine.gradients(parameters, view)[1].astype(np.float64)))
        engine.train_step(parameters, adam, view, rates, iteration)
    seen = (gradients[0] != 0).any(dim=0) & (gradients[1] != 0).any(dim=0) & (gradients[2] != 0).any(dim=0)
    expected = adam_steps(start, gradients, torch.tensor(rates)).numpy()[:, seen]
    mine = parameters.block[:, seen.numpy()]
    strong = np.abs(gradients[0].numpy()[:, seen]) > 1e-9  # tiny first gradients: float32 rounding decides the step
    np.testing.assert_allclose(mine[strong], expected[strong], rtol=1e-4, atol=2e-6)
    unseen = ~(sum((g != 0).any(dim=0) for g in gradients) > 0).numpy()
    assert unseen.any()
    np.testing.assert_array_equal(parameters.block[:, unseen], start.numpy()[:, unseen].astype(np.float32))


def test_training_reproduces_a_picture():
    goal, camera, engine = _scene(0, 6, count=300, size=(48, 48), scale=0.03)
    image, alpha = engine.render(goal, camera)
    views = [engine.prepare_view(camera, image, alpha)]
    parameters = goal.copy()
    rng = np.random.default_rng(0)
    parameters.block[:14, :300] += rng.normal(size=(14, 300)).astype(np.float32) * 0.05
    adam = AdamState.like(parameters)
    rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    losses = [engine.train_step(parameters, adam, views[0], rates, i).loss for i in range(1, 121)]
    assert losses[-1] < 0.25 * losses[0]


def _steps(threads, background=(0.1, 0.2, 0.3)):
    parameters, camera, _ = _scene(2, 7, count=900, size=(150, 120))
    engine = CpuEngine(900, 150, 120, 2, threads=threads)
    other = camera_for(90, 60, (-0.4, 0.1, 0.9))
    views = [engine.prepare_view(c, *_target(parameters, c, i, engine)) for i, c in enumerate((camera, other))]
    adam = AdamState.like(parameters)
    rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    results = [engine.train_step(parameters, adam, views[i % 2], rates, i, background) for i in range(1, 7)]
    return parameters.block, adam.second, engine.render(parameters, camera)[0], [r.loss for r in results]


def test_bit_identical_for_threads_and_reruns():
    first = _steps(1)
    for threads in (1, 2, 2):
        for a, b in zip(first, _steps(threads), strict=True):
            np.testing.assert_array_equal(a, b)


def test_background_can_change_every_step():
    parameters, camera, engine = _scene(0, 8)
    target, alpha = _target(parameters, camera, 8, engine)
    view = engine.prepare_view(camera, target, alpha)
    fresh = engine.prepare_view(camera, target, alpha)
    engine.gradients(parameters, view, (1, 1, 1))
    a, b = engine.gradients(parameters, view, (0.3, 0, 0)), engine.gradients(parameters, fresh, (0.3, 0, 0))
    assert a[0] == b[0]
    np.testing.assert_array_equal(a[1], b[1])


@pytest.mark.parametrize("seed", range(8))
def test_fuzz_never_crashes_and_never_spreads(seed):
    parameters, target = odd_scene(seed)
    before = parameters.block.copy()
    engine = CpuEngine(1, 1, 1, 0)
    view = engine.prepare_view(target.camera, target.rgb)
    result = engine.train_step(parameters, AdamState.like(parameters), view, np.full(23, 1e-3, np.float32), 1)
    image, alpha = engine.render(parameters, target.camera)
    assert np.isfinite(image).all() and np.isfinite(result.loss)
    assert (alpha >= 0).all() and (alpha <= 1).all()
    assert (np.isfinite(parameters.block) >= np.isfinite(before)).all()  # nothing finite became NaN


def test_empty_clouds_and_empty_views():
    none = SplatParameters.from_cloud(SplatCloud(
        np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 4)), np.zeros(0), np.zeros((0, 1, 3))
    ))  # fmt: skip
    engine = CpuEngine(0, 40, 30, 0)
    camera = camera_for(40, 30)
    image, alpha = engine.render(none, camera)
    assert not image.any() and not alpha.any()
    nothing = engine.prepare_view(camera, np.zeros((30, 40, 3)), np.zeros((30, 40)))
    result = engine.train_step(none, AdamState.like(none), nothing, np.zeros(14), 1)
    assert result.loss == 0
    assert len(none.to_cloud()) == 0
    full = engine.prepare_view(camera, np.ones((30, 40, 3)))
    assert engine.gradients(none, full)[0].l1 == 1


def test_clouds_survive_the_round_trip():
    cloud = random_cloud(37, 2, 0)
    parameters = SplatParameters.from_cloud(cloud)
    assert parameters.block.shape == (11 + 27, 48) and parameters.sh_degree == 2
    back = parameters.to_cloud()
    for name in ("means", "log_scales", "opacity_logits", "sh"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cloud, name))
    norms = np.linalg.norm(cloud.quats_wxyz, axis=1, keepdims=True)
    np.testing.assert_allclose(back.quats_wxyz, cloud.quats_wxyz / norms, atol=1e-6)
    wider = SplatParameters.from_cloud(cloud, sh_degree=3)
    assert wider.block.shape[0] == 11 + 48 and not wider.block[11 + 27 :].any()
    assert parameters.with_sh_degree(1).block.shape[0] == 11 + 12
    assert AdamState.like(parameters).with_sh_degree(3).first.shape == wider.block.shape
    assert not back.antialiased
    cloud.antialiased = True
    flagged = SplatParameters.from_cloud(cloud)
    assert flagged.copy().antialiased and flagged.with_sh_degree(0).antialiased and flagged.to_cloud().antialiased


def test_compile_reports_progress():
    seen = []
    compile_kernels(lambda stage, fraction, message: seen.append((stage, fraction)))
    assert seen[0] == ("compile", 0.0) and seen[-1] == ("compile", 1.0)


def test_wrong_use_is_refused():
    parameters, camera, engine = _scene(0, 1)
    view = engine.prepare_view(camera, np.zeros((50, 70, 3)))
    with pytest.raises(ValueError, match="from 1"):
        engine.train_step(parameters, AdamState.like(parameters), view, np.zeros(14), 0)
    with pytest.raises(ValueError, match="fit"):
        engine.train_step(parameters, AdamState.like(parameters), view, np.zeros(5), 1)
    with pytest.raises(InputError, match="SH degree"):
        CpuEngine(1, 1, 1, 4)
    with pytest.raises(InputError, match="threads"):
        CpuEngine(1, 1, 1, 0, threads=0)
    assert padded(17) == 32
