# SPDX-License-Identifier: Apache-2.0
"""What a CUDA engine must show on whatever device: the tests call these with the stand-in and with a real GPU."""

from __future__ import annotations

import attrs
import numpy as np
import torch

from backend.kernels.adam.reference import adam_steps
from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.parameters import AdamState
from backend.kernels.rasterizer import LossWeights, Step, Target

from ..scenes import (
    GROUPS,
    SIZE,
    camera_for,
    doubtful_pixels,
    odd_scene,
    reference_gradients,
    reference_render,
    scene,
    target_near,
)
from . import checks_between_steps

WEIGHTS = LossWeights(0.2, 0.3)
GRADIENT_CASES = [
    (0, 1, (0.0, 0.0, 0.0), 0.025), (1, 2, (0.2, 0.5, 0.8), 0.025), (2, 13, (1.0, 1.0, 1.0), 0.04),
    (3, 4, (0.9, 0.1, 0.4), 0.025), (3, 5, (0.0, 0.0, 0.0), 0.006), (1, 21, (0.2, 0.5, 0.8), 0.025, True),
    (1, 22, (0.0, 0.0, 0.0), 0.004, True),
]  # fmt: skip
"""SH degree, seed, background, scale, antialiased: the same scenes as the CPU engine's."""


def check_render(engine: CudaEngine, degree: int, seed: int) -> None:
    """Image and alpha against the float64 reference, the pixels at a cutoff excepted."""
    parameters, camera = scene(degree, seed)
    image, alpha = engine.render(parameters, camera, (0.1, 0.2, 0.3))
    block = torch.tensor(parameters.block[:, : parameters.count].astype(np.float64))
    colour, transmittance = reference_render(block, (degree + 1) ** 2, camera)
    expected = (colour + transmittance[..., None] * torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)).numpy()
    sure = ~doubtful_pixels(block, (degree + 1) ** 2, camera)
    np.testing.assert_allclose(image[sure], expected[sure], atol=2e-5)
    np.testing.assert_allclose(alpha[sure], 1 - transmittance.numpy()[sure], atol=2e-5)
    assert sure.mean() > 0.99 and image.std() > 0.05


def check_gradients(
    engine: CudaEngine, degree: int, seed: int, background: tuple[float, float, float], scale: float,
    antialiased: bool = False,
) -> dict[str, float]:  # fmt: skip
    """Loss and every gradient against float64 autograd; returns the relative error of each group."""
    parameters, camera = scene(degree, seed, scale=scale, antialiased=antialiased)
    target = target_near(engine, parameters, camera, seed, weighted=bool(seed % 2))
    block = torch.tensor(parameters.block[:, :192].astype(np.float64))
    doubtful = doubtful_pixels(block, (degree + 1) ** 2, camera, antialiased=antialiased)
    assert doubtful.sum() == 0, "choose another seed"
    result, gradient = engine.gradients(parameters, target, background, WEIGHTS)
    expected, reference = reference_gradients(
        parameters, camera, target.rgb, target.alpha, background, WEIGHTS, target.pixel_weights
    )
    np.testing.assert_allclose((result.loss, result.l1, result.dssim, result.alpha), expected, rtol=2e-5)
    errors = {}
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :192], reference[rows]
        if len(theirs):
            errors[name] = float(np.abs(mine - theirs).max() / np.abs(theirs).max())
            assert np.linalg.norm(mine - theirs) < 1e-4 * np.linalg.norm(theirs), name
    assert max(errors.values()) < 1e-4, errors
    assert not gradient[:, 192:].any()
    return errors


def check_long_lists(engine: CudaEngine) -> None:
    """Tiles with many batches of entries, and pixels that stop."""
    parameters, camera = scene(0, 11, count=1500, size=(40, 40), scale=0.05)
    parameters.block[10] += 2
    target = target_near(engine, parameters, camera, 1)
    _, gradient = engine.gradients(parameters, target, (0, 0, 0), LossWeights())
    _, reference = reference_gradients(parameters, camera, target.rgb, target.alpha, (0, 0, 0), LossWeights(), None)
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :1500], reference[rows]
        if len(theirs):
            # Some pixel always lies at a cutoff here; one flipped decision moves the norm by about 1e-4.
            assert np.linalg.norm(mine - theirs) < 5e-3 * np.linalg.norm(theirs), name


def with_depth(target: Target, seed: int) -> Target:
    """The target with a noisy depth map, some of which is zero, NaN or infinite."""
    height, width = target.camera.height, target.camera.width
    depth = (1 + 0.3 * np.random.default_rng(seed).normal(size=(height, width))).astype(np.float32)
    depth[:10], depth[10:12], depth[:, :8] = 0, np.nan, np.inf
    return attrs.evolve(target, depth=depth)


def check_depth(engine: CudaEngine) -> None:
    """The depth term and what it adds to the gradients, against float64 autograd and the CPU engine's term."""
    from backend.kernels.engine import CpuEngine

    background, mix = (0.1, 0.2, 0.3), LossWeights(depth=0.5, length=0.2)
    for seed, weighted in ((31, True), (32, False)):
        parameters, camera = scene(1, seed)
        target = with_depth(target_near(engine, parameters, camera, seed, weighted), seed)
        block = torch.tensor(parameters.block[:, :192].astype(np.float64))
        assert doubtful_pixels(block, 4, camera).sum() == 0, "choose another seed"
        result, gradient = engine.gradients(parameters, target, background, mix)
        expected, reference = reference_gradients(
            parameters, camera, target.rgb, target.alpha, background, mix, target.pixel_weights, target.depth
        )
        np.testing.assert_allclose((result.loss, result.l1, result.dssim, result.alpha), expected, rtol=2e-5)
        cpu = CpuEngine(192, camera.width, camera.height, 1)
        view = cpu.prepare_view(camera, target.rgb, target.alpha, target.pixel_weights, target.depth)
        np.testing.assert_allclose(result.depth, cpu.gradients(parameters, view, background, mix)[0].depth, rtol=1e-4)
        assert result.depth > 0.01
        for name, rows in GROUPS.items():
            mine, theirs = gradient[rows, :192], reference[rows]
            assert np.abs(mine - theirs).max() < 1e-4 * np.abs(theirs).max(), name


def check_depth_in_long_lists(engine: CudaEngine) -> None:
    """Depth is taken up from snapshots, too."""
    parameters, camera = scene(1, 11, count=1500, size=(40, 40), scale=0.05)
    parameters.block[10] += 2
    target = with_depth(target_near(engine, parameters, camera, 1), 1)
    mix = LossWeights(0.0, 0.0, 20.0, 1.0)
    _, gradient = engine.gradients(parameters, target, (0, 0, 0), mix)
    _, reference = reference_gradients(
        parameters, camera, target.rgb, target.alpha, (0, 0, 0), mix, None, target.depth
    )
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :1500], reference[rows]
        assert np.linalg.norm(mine - theirs) < 5e-3 * np.linalg.norm(theirs), name


def check_views_without_depth(engine: CudaEngine) -> None:
    """In a run with a depth term a view without depth has the gradients of a run without the term."""
    parameters, camera = scene(1, 31)
    bare = target_near(engine, parameters, camera, 31)
    rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    ends = []
    for mix, targets in ((LossWeights(depth=0.5), [with_depth(bare, 1), bare]), (LossWeights(), [bare, bare])):
        mine = parameters.copy()
        session = engine.begin(mine, AdamState.like(mine), targets, mix)
        results = session.run([Step(1, 1, rates), Step(1, 2, rates)])
        assert session.render(camera)[0].std() > 0.05
        session.pull()
        session.close()
        ends.append(mine.block)
        assert not any(result.depth for result in results)
    assert np.abs(ends[0] - parameters.block).max() > 1e-3
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-4, atol=1e-5)


def check_adam(engine: CudaEngine) -> None:
    """Three steps against torch's optimiser; splats that no step saw stay bit-identical."""
    parameters, camera = scene(1, 2)
    target = target_near(engine, parameters, camera, 2)
    rates = parameters.learning_rates(1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4)
    start = torch.tensor(parameters.block.astype(np.float64))
    adam, gradients = AdamState.like(parameters), []
    session = engine.begin(parameters, adam, [target], WEIGHTS)
    for iteration in (1, 2, 3):
        gradients.append(torch.tensor(engine.gradients(parameters, target, (0, 0, 0), WEIGHTS)[1].astype(np.float64)))
        session.run([Step(0, iteration, rates)])
        session.pull()
    session.close()
    seen = (gradients[0] != 0).any(dim=0) & (gradients[1] != 0).any(dim=0) & (gradients[2] != 0).any(dim=0)
    expected = adam_steps(start, gradients, torch.tensor(rates)).numpy()[:, seen]
    mine = parameters.block[:, seen.numpy()]
    strong = np.abs(gradients[0].numpy()[:, seen]) > 1e-9  # tiny first gradients: float32 rounding decides the step
    np.testing.assert_allclose(mine[strong], expected[strong], rtol=1e-4, atol=2e-6)
    unseen = ~(sum((g != 0).any(dim=0) for g in gradients) > 0).numpy()
    assert unseen.any()
    np.testing.assert_array_equal(parameters.block[:, unseen], start.numpy()[:, unseen].astype(np.float32))


def a_short_run(engine: CudaEngine, steps_at_once: int = 4) -> list[np.ndarray]:
    """A few steps over two views of different sizes: parameters, moments, a render and the losses."""
    parameters, camera = scene(2, 7, count=400, size=(90, 70))
    cameras = (camera, camera_for(60, 40, (-0.4, 0.1, 0.9)))
    views = [target_near(engine, parameters, c, i) for i, c in enumerate(cameras)]
    adam = AdamState.like(parameters)
    rates = parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    session = engine.begin(parameters, adam, views, LossWeights())
    losses: list[float] = []
    for first in range(1, 7, steps_at_once):
        steps = (Step(i % 2, i, rates, (0.1, 0.2, 0.3)) for i in range(first, min(7, first + steps_at_once)))
        losses += [result.loss for result in session.run(steps)]
    image, _ = session.render(camera)
    session.pull()
    session.close()
    return [parameters.block, adam.first, adam.second, image, np.array(losses)]


def check_determinism(engine: CudaEngine) -> None:
    """Bit-identical on reruns and for any grouping of the steps."""
    first = a_short_run(engine)
    assert np.isfinite(first[0]).all() and first[4][5] < first[4][1]  # of the same view
    for at_once in (4, 1, 6):
        for a, b in zip(first, a_short_run(engine, at_once), strict=True):
            np.testing.assert_array_equal(a, b)


def check_fuzz(engine: CudaEngine, seed: int) -> None:
    """NaN, infinity, huge and tiny numbers: nothing crashes, nothing finite becomes NaN."""
    parameters, target = odd_scene(seed)
    before = parameters.block.copy()
    session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights())
    (result,) = session.run([Step(0, 1, np.full(23, 1e-3, np.float32))])
    image, alpha = session.render(target.camera)
    session.pull()
    session.close()
    assert np.isfinite(image).all() and np.isfinite(result.loss)
    assert (alpha >= 0).all() and (alpha <= 1).all()
    assert (np.isfinite(parameters.block) >= np.isfinite(before)).all()


def check_agreement_with_cpu(engine: CudaEngine) -> None:
    """The CPU engine renders and differentiates the same scene alike."""
    from backend.kernels.engine import CpuEngine

    parameters, camera = scene(1, 2, count=600, size=(120, 90))
    cpu = CpuEngine(600, 120, 90, 1)
    target = target_near(engine, parameters, camera, 3)
    mine, theirs = engine.render(parameters, camera)[0], cpu.render(parameters, camera)[0]
    assert np.sqrt(((mine - theirs) ** 2).mean()) < 1e-4
    view = cpu.prepare_view(camera, target.rgb, target.alpha)
    result, gradient = engine.gradients(parameters, target, (0.2, 0.5, 0.8), WEIGHTS)
    expected, reference = cpu.gradients(parameters, view, (0.2, 0.5, 0.8), WEIGHTS)
    np.testing.assert_allclose(result.loss, expected.loss, rtol=1e-4)
    for name, rows in GROUPS.items():
        assert np.linalg.norm(gradient[rows] - reference[rows]) < 5e-3 * np.linalg.norm(reference[rows]), name


def check_statistics(engine: CudaEngine) -> None:
    """The same sums as the CPU's session, which is held to autograd; and they begin anew when they were read."""
    from backend.kernels.engine import CpuEngine

    found = []
    for which in (engine, CpuEngine(192, *SIZE, 1)):
        parameters, camera = scene(1, 2)
        target = target_near(engine, parameters, camera, 2)
        session = which.begin(parameters, AdamState.like(parameters), [target], LossWeights(), True)
        rates = np.zeros(len(parameters.block), np.float32)
        session.run([Step(0, i, rates) for i in (1, 2)])
        found.append(session.statistics())
        assert not session.statistics().seen.any()
        session.close()
    mine, theirs = found
    np.testing.assert_allclose(
        mine.gradient_norm, theirs.gradient_norm, rtol=1e-3, atol=1e-4 * theirs.gradient_norm.max()
    )
    assert (mine.seen == theirs.seen).mean() > 0.98 and set(mine.seen) >= {0.0, 2.0}


def check_replace(engine: CudaEngine) -> None:
    """Other splats, more of them and of a higher degree, in the middle of a run: as a new session with them."""
    parameters, camera = scene(0, 3, count=50)
    target = target_near(engine, parameters, camera, 1)
    session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights())
    session.run([Step(0, 1, parameters.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2))])
    more, _ = scene(2, 4, count=300)
    fresh = more.copy()
    rates = more.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    session.replace(more, AdamState.like(more))
    other = engine.begin(fresh, AdamState.like(fresh), [target], LossWeights())
    for which in (session, other):
        which.run([Step(0, 1, rates), Step(0, 2, rates)])
        which.pull()
        which.close()
    np.testing.assert_array_equal(more.block, fresh.block)


CHECKS = [
    check_long_lists, check_depth, check_depth_in_long_lists, check_views_without_depth, check_adam, check_determinism,
    check_statistics, check_replace, check_agreement_with_cpu, *checks_between_steps.CHECKS,
]  # fmt: skip
"""What takes nothing but the engine."""
