# SPDX-License-Identifier: Apache-2.0
"""What the engine `gsplat` does around gsplat: layouts, loss, Adam, sessions, on the CPU over a stand-in in torch.

gsplat's own kernels are tested on a GPU only (tests/gpu).
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from backend.kernels.engine import AdamState, CpuEngine
from backend.kernels.gsplat import check
from backend.kernels.gsplat.adam import group_rates
from backend.kernels.gsplat.build import Kernels
from backend.kernels.parameters import SplatParameters
from backend.kernels.rasterizer import LossWeights, Step, Target
from interchange.errors import InputError
from interchange.splats import SplatCloud

from .cuda import checks, checks_between_steps
from .gsplat_standin import STANDIN, EngineOnCpu
from .scenes import camera_for, random_cloud

RATES = (1e-3, 6e-3, 1e-2, 5e-2, 3e-2)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_everything_around_the_kernels_agrees_with_the_reference(degree):
    errors = check.compare(EngineOnCpu(), degree)
    assert len(errors) == 8
    check.require_agreement(errors)


def test_antialiased_splats_agree_with_the_reference():
    checks.check_gradients(EngineOnCpu(), *checks.GRADIENT_CASES[5])


def test_statistics_are_those_of_the_cpu_engine():
    checks.check_statistics(EngineOnCpu())
    parameters, target = check.scene(0)
    session = EngineOnCpu().begin(parameters, AdamState.like(parameters), [target], LossWeights())
    with pytest.raises(ValueError, match="without statistics"):
        session.statistics()


def test_a_depth_term_is_refused_rather_than_left_out():
    parameters, target = check.scene(0)
    with pytest.raises(InputError, match="gsplat has no depth term"):
        EngineOnCpu().begin(parameters, AdamState.like(parameters), [target], LossWeights(depth=0.1))


def test_other_splats_can_take_over():
    checks.check_replace(EngineOnCpu())


def test_changes_between_steps_are_the_cpu_engines():
    checks_between_steps.check_changes_between_steps(EngineOnCpu())
    checks_between_steps.check_faces_follow_the_splats(EngineOnCpu())


def test_splats_made_of_others_can_take_over():
    checks_between_steps.check_rearrange(EngineOnCpu())


def test_other_pictures_can_take_over():
    checks_between_steps.check_retarget(EngineOnCpu())


def test_broken_splats_are_not_mended_by_a_change():
    parameters, target = check.scene(1)
    for column, (row, value) in enumerate({0: np.nan, 3: np.inf, 7: 50.0, 10: np.nan}.items()):
        parameters.block[row, column] = value
    before = parameters.block.copy()
    after = checks_between_steps.changed_between_steps(EngineOnCpu(), parameters, target)[-1]
    np.testing.assert_array_equal(after[11:], before[11:])
    np.testing.assert_array_equal(after[3:, :4], before[3:, :4])
    assert (after[3:11, 4:192] != before[3:11, 4:192]).any(axis=1).all()


def _fit(engine, steps=4, degree=1):
    parameters, target = check.scene(degree)
    adam = AdamState.like(parameters)
    session = engine.begin(parameters, adam, [target], check.WEIGHTS)
    rates = parameters.learning_rates(*RATES)
    results = session.run([Step(0, i, rates, (0.1 * i, 0.5, 0.2)) for i in range(1, steps + 1)])
    image, _ = session.render(target.camera)
    session.pull()
    session.close()
    return parameters, adam, results, image


def test_steps_are_those_of_the_cpu_engine():
    mine, adam, results, image = _fit(EngineOnCpu())
    cpu, cpu_adam, expected, cpu_image = _fit(CpuEngine(192, 70, 50, 1))
    np.testing.assert_allclose([r.loss for r in results], [r.loss for r in expected], rtol=1e-4)
    assert np.abs(image - cpu_image).max() < 0.02
    moved = np.abs(cpu.block - check.scene(1)[0].block) > 0
    assert moved.any() and not moved.all()
    # Where a gradient is tiny, rounding decides Adam's first steps; nearly all go the same way.
    same = np.isclose(mine.block, cpu.block, rtol=1e-3, atol=1e-3)
    assert same[moved].mean() > 0.99
    assert np.isclose(adam.second, cpu_adam.second, rtol=1e-2, atol=1e-12).mean() > 0.99
    untouched = ~moved.any(axis=0)
    np.testing.assert_array_equal(mine.block[:, untouched], cpu.block[:, untouched])


def test_all_splats_can_be_optimised_by_torch():
    parameters, adam, results, _ = _fit(EngineOnCpu(optimiser="all"))
    seen, _, expected, _ = _fit(EngineOnCpu(optimiser="in_view"))
    np.testing.assert_allclose([r.loss for r in results], [r.loss for r in expected], rtol=1e-4)
    always = (adam.second != 0).all(axis=0)
    assert always.sum() > 100
    assert np.isclose(parameters.block[:, always], seen.block[:, always], rtol=1e-3, atol=1e-3).mean() > 0.99


def test_a_run_in_two_sittings_is_the_same_run():
    engine = EngineOnCpu()
    whole, whole_adam, _, _ = _fit(engine)
    parameters, target = check.scene(1)
    adam, rates = AdamState.like(parameters), parameters.learning_rates(*RATES)
    for half in (range(1, 3), range(3, 5)):
        session = engine.begin(parameters, adam, [target], check.WEIGHTS)
        session.run([Step(0, i, rates, (0.1 * i, 0.5, 0.2)) for i in half])
        session.pull()
        session.close()
    np.testing.assert_array_equal(parameters.block, whole.block)
    np.testing.assert_array_equal(adam.second, whole_adam.second)


def test_push_takes_over_what_the_caller_changed():
    engine = EngineOnCpu()
    parameters, target = check.scene(0)
    session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights())
    parameters.block[10] = -100  # nothing is visible
    session.push()
    image, alpha = session.render(target.camera, (0.3, 0.2, 0.1))
    assert not alpha.any()
    np.testing.assert_array_equal(image, np.broadcast_to(np.float32((0.3, 0.2, 0.1)), image.shape))


def test_broken_splats_are_not_drawn_and_not_changed():
    parameters, target = check.scene(1)
    clean = EngineOnCpu().render(parameters, target.camera)[0]
    spare = parameters.copy()
    bad = {0: np.nan, 3: np.inf, 7: 50.0, 10: np.nan, 12: 1e30}
    for column, (row, value) in enumerate(bad.items()):
        parameters.block[row, column] = value
    spare.block[10, : len(bad)] = -100
    expected = EngineOnCpu().render(spare, target.camera)[0]
    np.testing.assert_array_equal(EngineOnCpu().render(parameters, target.camera)[0], expected)
    assert np.abs(clean - expected).max() > 0
    before = parameters.block.copy()
    session = EngineOnCpu().begin(parameters, AdamState.like(parameters), [target], LossWeights())
    result = session.run([Step(0, 1, parameters.learning_rates(*RATES))])
    session.pull()
    assert np.isfinite(result[0].loss)
    np.testing.assert_array_equal(parameters.block[:, : len(bad)], before[:, : len(bad)])
    assert (parameters.block[:, len(bad) : 192] != before[:, len(bad) : 192]).any()
    assert np.isfinite(parameters.block[:, len(bad) :]).all()


def test_no_splats_and_no_steps():
    none = SplatParameters.from_cloud(SplatCloud(
        np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 4)), np.zeros(0), np.zeros((0, 1, 3))
    ))  # fmt: skip
    target = Target(camera_for(40, 30), np.zeros((30, 40, 3), np.float32), np.zeros((30, 40), np.float32))
    session = EngineOnCpu().begin(none, AdamState.like(none), [target], LossWeights())
    assert session.run([]) == []
    before = none.block.copy()
    assert session.run([Step(0, 1, none.learning_rates(*RATES))])[0].loss == pytest.approx(0, abs=1e-6)
    session.pull()
    np.testing.assert_array_equal(none.block, before)


def test_a_loss_can_be_put_in():
    calls = []

    def squared(colour, alpha, target, background, weights):
        calls.append((colour.shape, alpha.shape, background.shape, weights))
        loss = ((colour - target.rgb) ** 2).mean()
        return torch.stack([loss, loss * 0, loss * 0, loss * 0])

    stages = []
    engine = EngineOnCpu(loss=squared, on_stage=stages.append)
    _, _, results, _ = _fit(engine, steps=10)
    assert results[-1].loss < results[0].loss
    assert calls[0] == ((50, 70, 3), (50, 70), (3,), check.WEIGHTS)
    assert stages[:4] == ["forward", "loss", "backward", "adam"]


def test_wrong_input_is_refused_in_words():
    engine = EngineOnCpu()
    parameters = SplatParameters.from_cloud(random_cloud(20, 1, 0))
    camera = camera_for(40, 30)

    def begin(target, free=10**9):
        EngineOnCpu(free).begin(parameters, AdamState.like(parameters), [target], LossWeights())

    with pytest.raises(InputError, match="shape"):
        begin(Target(camera, np.zeros((40, 30, 3), np.float32)))
    with pytest.raises(InputError, match="NaN"):
        begin(Target(camera, np.full((30, 40, 3), np.nan, np.float32)))
    good = Target(camera, np.zeros((30, 40, 3), np.float32))
    with pytest.raises(InputError, match="has 0.0 GB free") as caught:
        begin(good, free=1000)
    assert caught.value.code == "RES_GPU_MEMORY"
    session = engine.begin(parameters, AdamState.like(parameters), [good], LossWeights())
    with pytest.raises(ValueError, match="from 1"):
        session.run([Step(0, 0, parameters.learning_rates(*RATES))])
    rates = parameters.learning_rates(*RATES)
    rates[1] *= 2
    with pytest.raises(ValueError, match="rows 0 to 2"):
        session.run([Step(0, 1, rates)])
    with pytest.raises(ValueError, match="optimiser"):
        EngineOnCpu(optimiser="fastest")
    assert group_rates(parameters.learning_rates(*RATES)) == pytest.approx([*RATES, RATES[-1] / 20])


def test_disagreement_is_named():
    class Off(EngineOnCpu):
        def gradients(self, *arguments):
            result, gradient = super().gradients(*arguments)
            gradient[3:7] *= 1.001
            return result, gradient

    with pytest.raises(InputError, match=r"gradient of quat is off by 1.0e-03, where 1e-04 is allowed"):
        check.require_agreement(check.compare(Off(), 0))
    with pytest.raises(InputError, match="image is off by nan"):
        check.require_agreement({"image": float("nan"), "alpha": 3.0})


def test_a_pass_is_remembered_for_the_very_module(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "test GPU")
    module = tmp_path / "csrc.so"
    module.write_bytes(b"one build")
    kernels = Kernels(STANDIN, module, tmp_path / "cache")
    assert not check._has_passed(kernels)
    check._remember(kernels, {"image": 1e-6})
    assert check._has_passed(kernels)
    assert json.loads((tmp_path / "cache" / check.PASSED).read_text())["errors"] == {"image": 1e-6}
    module.write_bytes(b"another build")
    assert not check._has_passed(kernels)
    (tmp_path / "cache" / check.PASSED).write_text("{")
    assert not check._has_passed(kernels)
