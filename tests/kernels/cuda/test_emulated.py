# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels' own sources, run on the CPU by the stand-in device, against the float64 references."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.cuda.frame import MAX_ENTRIES
from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rasterizer import LossWeights, Step, Target
from interchange.errors import InputError
from interchange.splats import SplatCloud

from ..scenes import camera_for, scene, target_near
from . import checks
from .emulated import EmulatedDevice, compiler

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed: it compiles the CUDA sources here")


@pytest.fixture
def engine(device):
    return CudaEngine(device)


@pytest.mark.parametrize(("degree", "seed"), [(0, 1), (3, 4)])
def test_render_matches_the_reference(engine, degree, seed):
    checks.check_render(engine, degree, seed)


@pytest.mark.parametrize("case", checks.GRADIENT_CASES)
def test_gradients_match_autograd(engine, case):
    checks.check_gradients(engine, *case)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_checks(engine, check):
    check(engine)


@pytest.mark.parametrize("seed", range(4))
def test_fuzz_never_crashes_and_never_spreads(engine, seed):
    checks.check_fuzz(engine, seed)


def test_a_frame_with_too_many_entries_grows_the_buffers_and_loses_nothing(engine, monkeypatch):
    plenty = checks.a_short_run(engine)
    monkeypatch.setattr("backend.kernels.cuda.session.first_capacity", lambda count: 64)
    for a, b in zip(plenty, checks.a_short_run(engine), strict=True):
        np.testing.assert_array_equal(a, b)


def test_long_runs_go_on_after_a_full_flight(engine, monkeypatch):
    plenty = checks.a_short_run(engine, 6)
    monkeypatch.setattr("backend.kernels.cuda.session.STEPS_IN_FLIGHT", 4)
    monkeypatch.setattr("backend.kernels.cuda.session._HANDED_OVER", 2)
    for a, b in zip(plenty, checks.a_short_run(engine, 6), strict=True):
        np.testing.assert_array_equal(a, b)


def test_push_takes_over_what_the_host_has_changed(engine):
    parameters, camera = scene(0, 3, count=50)
    target = target_near(engine, parameters, camera, 1)
    session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights())
    parameters.block[10] = -50
    session.push()
    assert not session.render(camera)[1].any()
    session.close()


def test_empty_clouds_and_empty_views(engine):
    none = SplatParameters.from_cloud(SplatCloud(
        np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 4)), np.zeros(0), np.zeros((0, 1, 3))
    ))  # fmt: skip
    camera = camera_for(40, 30)
    image, alpha = engine.render(none, camera, (0.5, 0, 0))
    assert (image[..., 0] == 0.5).all() and not image[..., 1:].any() and not alpha.any()
    nothing = Target(camera, np.zeros((30, 40, 3), np.float32), np.zeros((30, 40), np.float32))
    session = engine.begin(none, AdamState.like(none), [nothing], LossWeights())
    assert session.run([Step(0, 1, np.zeros(14, np.float32), (0.3, 0.2, 0.1))])[0].loss == 0
    session.close()
    full = Target(camera, np.ones((30, 40, 3), np.float32))
    assert engine.gradients(none, full, (0, 0, 0), LossWeights())[0].l1 == 1


def test_bad_targets_are_refused(engine):
    parameters, camera = scene(0, 1)
    with pytest.raises(InputError, match="shape"):
        engine.begin(parameters, AdamState.like(parameters), [Target(camera, np.zeros((4, 4, 3)))], LossWeights())
    with pytest.raises(InputError, match="depth has shape"):
        deep = Target(camera, np.zeros((50, 70, 3), np.float32), depth=np.ones((4, 4), np.float32))
        engine.begin(parameters, AdamState.like(parameters), [deep], LossWeights(depth=0.1))
    with pytest.raises(InputError, match="NaN"):
        bad = Target(camera, np.full((50, 70, 3), np.nan, np.float32))
        engine.begin(parameters, AdamState.like(parameters), [bad], LossWeights())


def test_memory_is_estimated_before_the_start(device):
    parameters, camera = scene(0, 1)
    small = EmulatedDevice(device._folder, memory=1 << 20)
    target = Target(camera, np.zeros((50, 70, 3), np.float32))
    with pytest.raises(InputError, match="MiB") as refused:
        CudaEngine(small).begin(parameters, AdamState.like(parameters), [target], LossWeights())
    assert refused.value.code == "RES_GPU_MEMORY"
    with pytest.raises(InputError, match="MiB"):
        CudaEngine(small).check_memory(1_000_000, [camera], 3)
    CudaEngine(device).check_memory(1000, [camera], 3)
    assert small.blocks == 0


def test_frames_of_many_sizes_cost_the_memory_of_the_largest(engine, device):
    parameters, camera = scene(1, 5)
    target = target_near(engine, parameters, camera, 1)
    session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights())
    session.render(camera_for(70, 50))
    held = device.blocks
    for size in ((40, 60), (70, 61), (33, 20), (90, 8), (40, 60)):
        seen = camera_for(*size)
        for own, fresh in zip(session.render(seen), engine.render(parameters, seen), strict=True):
            np.testing.assert_array_equal(own, fresh)
        assert device.blocks == held
    session.close()


class StrictDevice(EmulatedDevice):
    """Downloads nothing that was never written, as compute-sanitizer's initcheck asks: such memory is poisoned."""

    def download(self, address, array):
        super().download(address, array)
        assert not (np.frombuffer(array.tobytes(), np.uint32) == 0xFFFFFFFF).any()


def test_nothing_is_downloaded_that_was_never_written(device):
    strict = StrictDevice(device._folder)
    strict._libraries = device._libraries
    engine = CudaEngine(strict)
    for width, height in ((70, 50), (33, 17)):
        parameters, camera = scene(1, 5, size=(width, height))
        assert engine.render(parameters, camera)[1].any()
        target = target_near(engine, parameters, camera, 1)
        session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights(), True)
        session.run([Step(0, 1, np.full(23, 1e-3, np.float32))])
        session.render(camera_for(20, 30))
        session.statistics()
        session.pull()
        session.close()


class ShortDevice(EmulatedDevice):
    """Has room for so many allocations more, then none."""

    left = 1 << 30

    def allocate(self, size):
        if self.left == 0:
            raise InputError("The stand-in has no memory left.", "Try another test.", "RES_GPU_MEMORY")
        self.left -= 1
        return super().allocate(size)


def test_memory_that_runs_out_at_any_moment_is_given_back(device):
    short = ShortDevice(device._folder)
    short._libraries = device._libraries
    engine = CudaEngine(short)
    parameters, camera = scene(0, 1)
    target = Target(camera, np.zeros((50, 70, 3), np.float32))
    refused = 0
    for short.left in range(100):
        session = None
        try:
            session = engine.begin(parameters, AdamState.like(parameters), [target], LossWeights())
            session.render(camera)
            session.replace(parameters, AdamState.like(parameters))
            engine.render(parameters, camera)
        except InputError as error:
            assert error.code == "RES_GPU_MEMORY"
            refused += 1
        else:
            break
        finally:
            if session:
                session.close()
            assert short.blocks == 0
    assert 15 < refused < 100


def test_a_frame_beyond_all_reason_is_refused(engine, monkeypatch):
    parameters, camera = scene(0, 1)
    assert MAX_ENTRIES > 1 << 20
    monkeypatch.setattr("backend.kernels.cuda.frame.MAX_ENTRIES", 100)
    monkeypatch.setattr("backend.kernels.cuda.engine.first_capacity", lambda count: 64)
    with pytest.raises(InputError, match="cover too much"):
        engine.render(parameters, camera)


def test_the_sentence_for_reports(engine):
    assert engine.describe() == "Fitted on the GPU stand-in with our CUDA kernels."
