# SPDX-License-Identifier: Apache-2.0
"""The CPU engine's session: what the trainer sees of it."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
import torch

from backend.kernels.binning.reference import sort_by_depth
from backend.kernels.engine import AdamState, CpuEngine, SplatParameters
from backend.kernels.loss.reference import compare
from backend.kernels.projection.reference import project
from backend.kernels.rasterization.reference import rasterize
from backend.kernels.rasterizer import LossWeights, Step, Target
from interchange.errors import InputError

from .cuda import checks_between_steps
from .scenes import camera_for, random_cloud

WIDTH, HEIGHT, COUNT = 70, 50, 192


def _begin(statistics, seed=1):
    parameters = SplatParameters.from_cloud(random_cloud(COUNT, 1, seed))
    rng = np.random.default_rng(seed)
    cameras = [camera_for(WIDTH, HEIGHT), camera_for(WIDTH, HEIGHT, (-0.4, 0.1, 0.9))]
    targets = [Target(camera, rng.random((HEIGHT, WIDTH, 3)).astype(np.float32)) for camera in cameras]
    adam = AdamState.like(parameters)
    engine = CpuEngine(COUNT, WIDTH, HEIGHT, 1)
    return parameters, targets, engine.begin(parameters, adam, targets, LossWeights(), statistics=statistics)


def _screen_gradients(parameters, target):
    """Norms (COUNT,) by autograd: the projected means are given a gradient of their own."""
    block = torch.tensor(parameters.block[:, :COUNT].astype(np.float64))
    projected = project(block, 4, target.camera)
    means = projected.means.detach().requires_grad_()
    projected = projected._replace(means=means)
    colour, transmittance = rasterize(projected, sort_by_depth(projected), WIDTH, HEIGHT)
    ones = torch.ones(HEIGHT, WIDTH, dtype=torch.float64)
    wanted = torch.tensor(target.rgb.astype(np.float64))
    l1, dssim, alpha = compare(colour, transmittance, wanted, ones, torch.zeros(3, dtype=torch.float64), ones)
    (gradient,) = torch.autograd.grad(0.8 * l1 + 0.2 * dssim + 0.1 * alpha, means)
    return np.linalg.norm(gradient.numpy() * (WIDTH / 2, HEIGHT / 2), axis=1)


def test_statistics_are_the_screen_gradients_summed_over_steps():
    parameters, targets, session = _begin(statistics=True)
    still = np.zeros(len(parameters.block), np.float32)
    session.run([Step(view, i + 1, still) for i, view in enumerate((0, 1, 1))])
    found = session.statistics()
    first, second = (_screen_gradients(parameters, target) for target in targets)
    expected = first + 2 * second
    np.testing.assert_allclose(found.gradient_norm, expected, rtol=1e-3, atol=2e-4 * expected.max())
    np.testing.assert_array_equal(found.seen[expected > 0], ((first > 0) + 2.0 * (second > 0))[expected > 0])
    assert (found.seen[expected == 0] == 0).all() and (expected == 0).any() and set(found.seen) >= {0.0, 3.0}
    again = session.statistics()
    assert not again.gradient_norm.any() and not again.seen.any()


def test_statistics_do_not_change_the_steps():
    blocks = []
    for statistics in (False, True):
        parameters, _, session = _begin(statistics)
        rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
        session.run([Step(i % 2, i, rates) for i in (1, 2, 3)])
        blocks.append(parameters.block)
    np.testing.assert_array_equal(*blocks)


def test_splats_made_of_others_can_take_over():
    checks_between_steps.check_rearrange(CpuEngine(COUNT, WIDTH, HEIGHT, 1))


def test_other_pictures_can_take_over():
    checks_between_steps.check_retarget(CpuEngine(COUNT, WIDTH, HEIGHT, 1))


def test_statistics_must_be_asked_for():
    with pytest.raises(ValueError, match="without statistics"):
        _begin(statistics=False)[2].statistics()


def test_views_that_do_not_fit_into_memory_are_refused_in_words(monkeypatch):
    def no_room(*arguments):
        raise MemoryError

    monkeypatch.setattr(CpuEngine, "prepare_view", no_room)
    with pytest.raises(InputError, match="2 views do not fit into memory"):
        _begin(statistics=False)


def test_depth_is_fitted_where_it_is_asked_for():
    parameters, targets, _ = _begin(statistics=False)
    depth = np.full((HEIGHT, WIDTH), 0.9, np.float32)
    targets = [attrs.evolve(target, depth=depth) for target in targets]
    losses = {}
    for weight in (0.0, 5.0):
        start = parameters.copy()
        session = CpuEngine(COUNT, WIDTH, HEIGHT, 1).begin(
            start, AdamState.like(start), targets, LossWeights(depth=weight, length=0.1)
        )
        rates = start.learning_rates(2e-3, 6e-3, 1e-2, 5e-2, 3e-2)
        losses[weight] = [session.run([Step(i % 2, i, rates)])[0].depth for i in range(1, 41)]
    assert losses[0.0] == [0.0] * 40
    assert losses[5.0][-1] < 0.7 * losses[5.0][0]
