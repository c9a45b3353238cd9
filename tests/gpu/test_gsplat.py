# SPDX-License-Identifier: Apache-2.0
"""The engine `gsplat` on a GPU: gsplat's kernels against the float64 references and the CPU engine.

gsplat adds gradients up atomically, in an order that changes from run to run; so nothing here compares bits of two
fits, and `test_runs_differ_in_rounding_only` says how far two runs may be apart.
Run with `pytest -m gpu -s tests/gpu`: -s shows the errors that were measured.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.evaluation.metrics import psnr
from backend.fitting.dataset import FitView
from backend.fitting.settings import FitSettings
from backend.fitting.state import FitState, RunState
from backend.fitting.trainer import Observer, Trainer
from backend.kernels.adam.reference import adam_steps
from backend.kernels.engine import AdamState, CpuEngine
from backend.kernels.gsplat import build, check
from backend.kernels.gsplat.engine import ALL, IN_VIEW, GsplatEngine
from backend.kernels.parameters import SplatParameters
from backend.kernels.rasterizer import LossWeights, Step, Target
from interchange.errors import InputError
from tests.kernels.cuda import checks
from tests.kernels.scenes import (
    GROUPS,
    camera_for,
    doubtful_pixels,
    random_cloud,
    reference_gradients,
    reference_render,
    scene,
    target_near,
)  # fmt: skip

pytestmark = pytest.mark.gpu
BACKGROUND = (0.2, 0.5, 0.8)


@pytest.fixture(scope="module")
def kernels():
    if torch.version.cuda is None or not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU, or a torch without CUDA")
    try:
        build.require_package()
    except InputError as error:
        pytest.skip(error.message)
    return build.load(progress=lambda stage, fraction, message: print(message))


@pytest.fixture(scope="module")
def engine(kernels):
    return GsplatEngine(kernels)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_forward_and_gradients_match_the_reference(engine, degree):
    errors = check.compare(engine, degree)
    for name, error in errors.items():
        print(f"SH {degree}  {name:24} {error:.2e}")
    check.require_agreement(errors)


@pytest.mark.parametrize(
    ("count", "size", "scale", "seed"),
    [(192, (70, 50), 0.025, 1), (192, (64, 48), 0.025, 2), (40, (33, 17), 0.2, 3), (500, (50, 70), 0.006, 4),
     (1500, (40, 40), 0.06, 5)],
)  # fmt: skip
def test_images_match_the_reference(engine, count, size, scale, seed):
    cloud = random_cloud(count, 1, seed, scale)
    cloud.log_scales[9] = np.log(0.1), np.log(0.005), np.log(0.002)  # gsplat's determinant cannot follow a real needle
    parameters = SplatParameters.from_cloud(cloud)
    camera = camera_for(*size)
    image, alpha = engine.render(parameters, camera, BACKGROUND)
    block = torch.tensor(parameters.block[:, :count].astype(np.float64))
    colour, transmittance = reference_render(block, 4, camera)
    expected = (colour + transmittance[..., None] * torch.tensor(BACKGROUND)).numpy()
    sure = ~doubtful_pixels(block, 4, camera, check.DOUBTFUL_BAND)
    assert sure.mean() > 0.85
    worst = np.abs(image[sure] - expected[sure]).max(), np.abs(alpha[sure] - 1 + transmittance.numpy()[sure]).max()
    print(f"image {worst[0]:.1e}, alpha {worst[1]:.1e}, {sure.mean():.1%} of the pixels")
    assert max(worst) < 1e-4
    assert np.abs(image - expected).max() < 0.02  # even at a cutoff not more than one splat of 1/255 or so


@pytest.mark.parametrize(
    ("degree", "seed", "background", "scale"),
    [(0, 1, (0.0, 0.0, 0.0), 0.025), (1, 2, (0.2, 0.5, 0.8), 0.025), (2, 13, (1.0, 1.0, 1.0), 0.04),
     (3, 4, (0.9, 0.1, 0.4), 0.025), (3, 5, (0.0, 0.0, 0.0), 0.006)],
)  # fmt: skip
def test_gradients_match_autograd(engine, degree, seed, background, scale):
    parameters, camera = scene(degree, seed, scale=scale)
    target = target_near(engine, parameters, camera, seed)
    result, gradient = engine.gradients(parameters, target, background, LossWeights(0.2, 0.3))
    expected, reference = reference_gradients(
        parameters, camera, target.rgb, target.alpha, background, LossWeights(0.2, 0.3), None
    )
    np.testing.assert_allclose((result.loss, result.l1, result.dssim, result.alpha), expected, rtol=2e-5)
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :192], reference[rows]
        if len(theirs):
            error = np.abs(mine - theirs).max() / np.abs(theirs).max()
            norm = np.linalg.norm(mine - theirs) / np.linalg.norm(theirs)
            print(f"{name}: largest {error:.1e}, norm {norm:.1e}")
            assert error < 1e-4 and norm < 1e-4, name
    assert not gradient[:, 192:].any()


def test_gradients_with_long_lists_and_stopped_pixels(engine):
    parameters, camera = scene(0, 11, count=1500, size=(40, 40), scale=0.05)
    parameters.block[10] += 2
    target = target_near(engine, parameters, camera, 1)
    _, gradient = engine.gradients(parameters, target)
    _, reference = reference_gradients(parameters, camera, target.rgb, target.alpha, (0, 0, 0), LossWeights(), None)
    for name, rows in GROUPS.items():
        mine, theirs = gradient[rows, :1500], reference[rows]
        if len(theirs):
            # Some pixel always lies at a cutoff here; one flipped decision moves the norm by about 1e-4.
            assert np.linalg.norm(mine - theirs) < 5e-3 * np.linalg.norm(theirs), name


def test_alpha_is_clamped_as_everywhere_else(engine):
    parameters, camera = scene(0, 1)
    parameters.block[10] = -100
    parameters.block[[0, 1, 2], 0], parameters.block[7:10, 0], parameters.block[10, 0] = 0, np.log(0.2), 20
    _, alpha = engine.render(parameters, camera)
    assert alpha.max() == pytest.approx(0.99, abs=1e-6)


def test_adam_is_torchs(engine):
    parameters, camera = scene(1, 2)
    target = target_near(engine, parameters, camera, 2)
    rates = parameters.learning_rates(1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4)
    start = torch.tensor(parameters.block.astype(np.float64))
    adam, gradients = AdamState.like(parameters), []
    session = engine.begin(parameters, adam, [target], LossWeights())
    for iteration in (1, 2, 3):
        gradients.append(torch.tensor(engine.gradients(parameters, target)[1].astype(np.float64)))
        session.run([Step(0, iteration, rates)])
        session.pull()
    seen = torch.stack([(g != 0).any(dim=0) for g in gradients]).all(dim=0)
    expected = adam_steps(start, gradients, torch.tensor(rates)).numpy()[:, seen]
    mine = parameters.block[:, seen.numpy()]
    strong = np.abs(gradients[0].numpy()[:, seen]) > 1e-7  # tiny gradients: the order of additions decides the step
    np.testing.assert_allclose(mine[strong], expected[strong], rtol=1e-4, atol=2e-6)
    unseen = ~torch.stack([(g != 0).any(dim=0) for g in gradients]).any(dim=0).numpy()
    assert unseen.any() and seen.any()
    np.testing.assert_array_equal(parameters.block[:, unseen], start.numpy()[:, unseen].astype(np.float32))


def _goal(engine, views=6, size=(64, 64)):
    """Pictures of a random cloud from several sides, and a start that is not quite it."""
    goal = SplatParameters.from_cloud(random_cloud(400, 1, 6, 0.03))
    fit_views = []
    for i in range(views):
        angle = 2 * np.pi * i / views
        camera = camera_for(*size, eye=(np.sin(angle), 0.3, np.cos(angle)))
        image, alpha = engine.render(goal, camera)
        fit_views.append(FitView(f"view{i}", camera, np.clip(image, 0, 1), alpha, None, None))
    start = goal.copy()
    noise = np.random.default_rng(0).normal(size=(14, 400)).astype(np.float32)
    start.block[:14, :400] += noise * np.float32(0.05)
    start.block[:3, :400] += noise[:3] * np.float32(-0.04)
    return start, fit_views


@pytest.mark.parametrize("optimiser", [IN_VIEW, ALL])
def test_gsplats_own_optimisers_learn(kernels, optimiser):
    engine = GsplatEngine(kernels, optimiser=optimiser)
    start, views = _goal(engine)
    session = engine.begin(
        start, AdamState.like(start), [Target(v.camera, v.rgb, v.alpha) for v in views], LossWeights()
    )
    rates = start.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    results = session.run([Step(i % 6, i, rates, BACKGROUND) for i in range(1, 121)])
    assert np.mean([r.loss for r in results[-6:]]) < 0.4 * np.mean([r.loss for r in results[:6]])


def _trained(engine, start, views):
    settings = FitSettings(iterations=200, sh_degree=1, early_stop=False, evaluations=2)
    parameters = start.copy()
    nowhere = np.full(parameters.count, -1, np.int32), np.zeros((parameters.count, 3), np.float32)
    run = RunState(planned=200)
    state = FitState("", parameters, AdamState.like(parameters), run, 0.01, "points", *nowhere)
    Trainer(engine, state, views[1:], views[:1], settings, Observer(), lambda: None).train()
    return run


def test_a_fit_through_the_trainer_ends_where_the_cpu_engine_ends(engine):
    cpu = CpuEngine(400, 64, 64, 1)
    start, views = _goal(cpu, views=7)
    mine, theirs = _trained(engine, start, views), _trained(cpu, start, views)
    print(f"held-out PSNR: gsplat {mine.curve['psnr']}, CPU {theirs.curve['psnr']}")
    assert mine.iteration == theirs.iteration == 200
    before = psnr(np.clip(cpu.render(start, views[0].camera)[0], 0, 1), views[0].rgb)
    assert mine.curve["psnr"][-1] > before + 3
    assert abs(mine.curve["psnr"][-1] - theirs.curve["psnr"][-1]) < 0.2


@pytest.mark.parametrize("case", checks.GRADIENT_CASES[5:])
def test_antialiased_splats_come_near_the_reference(engine, case):
    """Near only: gsplat takes the determinant of a thin splat as a difference, and its compensation has no floor."""
    degree, seed, background, scale, antialiased = case
    parameters, camera = scene(degree, seed, scale=scale, antialiased=antialiased)
    target = target_near(engine, parameters, camera, seed, weighted=True)
    _, gradient = engine.gradients(parameters, target, background, checks.WEIGHTS)
    _, reference = reference_gradients(
        parameters, camera, target.rgb, target.alpha, background, checks.WEIGHTS, target.pixel_weights
    )
    for name, rows in GROUPS.items():
        error = np.linalg.norm(gradient[rows, :192] - reference[rows]) / np.linalg.norm(reference[rows])
        print(f"{name}: norm {error:.1e}")
        assert error < 5e-3, name


def test_statistics_and_other_splats(engine):
    checks.check_statistics(engine)
    start, views = _goal(engine)
    targets = [Target(v.camera, v.rgb, v.alpha) for v in views]
    session = engine.begin(start, AdamState.like(start), targets, LossWeights())
    more, _ = scene(2, 4, count=600)
    rates = more.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
    session.run([Step(0, 1, start.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2))])
    fresh = more.copy()
    session.replace(more, AdamState.like(more))
    session_of = [(session, more), (engine.begin(fresh, AdamState.like(fresh), targets, LossWeights()), fresh)]
    for which, _ in session_of:
        which.run([Step(0, 1, rates)])
        which.pull()
        which.close()
    assert np.isclose(more.block, fresh.block, rtol=1e-4, atol=1e-4).mean() > 0.995


def test_runs_differ_in_rounding_only(engine):
    """Two epochs: each view sees what the others' gradients did, but rounding is still rounding.

    A forward pass adds nothing atomically, so the first losses are one number. Noise of 1e-6 of each splat's gradients,
    put into the stand-in on a CPU, made losses differ by 4e-6 at most in twelve steps, by 5e-5 in the thirteenth:
    training amplifies it, to some 1e-2 after sixty steps on a GPU, which tells nothing. A wrong gradient shows at once.
    """
    losses = []
    for _ in range(2):
        start, views = _goal(engine)
        session = engine.begin(
            start, AdamState.like(start), [Target(v.camera, v.rgb, v.alpha) for v in views], LossWeights()
        )
        rates = start.learning_rates(1e-3, 6e-3, 1e-2, 5e-2, 3e-2)
        losses.append([r.loss for r in session.run([Step(i % 6, i, rates) for i in range(1, 13)])])
        session.close()
    difference = np.abs(np.array(losses[0]) / losses[1] - 1)
    print(f"losses of two runs differ by {difference[0]:.1e} in the first step, by {difference.max():.1e} in twelve")
    assert difference[0] < 1e-6 and difference.max() < 1e-3


def test_a_pass_is_remembered(kernels, tmp_path):
    first = check.open_engine()
    assert (kernels.folder / check.PASSED).is_file()
    seen = []
    again = check.open_engine(progress=lambda *arguments: seen.append(arguments))
    assert not seen and again.describe() == first.describe()
