# SPDX-License-Identifier: Apache-2.0
"""What a session launches and takes: its own buffers, given back in the end. No device and no compiler is needed."""

from __future__ import annotations

import math

import attrs
import numpy as np
import pytest

from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.cuda.launches import Launch
from backend.kernels.parameters import AdamState
from backend.kernels.rasterizer import LossWeights, Step, Target

from ..scenes import camera_for, scene
from .recorder import RecordingDevice, assert_inside


@pytest.mark.parametrize(("degree", "depth"), [(0, 0.0), (3, 0.0), (1, 0.5)])
def test_a_session_makes_the_plan_and_gives_everything_back(degree, depth):
    device = RecordingDevice()
    engine = CudaEngine(device)
    parameters, camera = scene(degree, 1)
    other = camera_for(60, 90)
    targets = [Target(c, np.zeros((c.height, c.width, 3), np.float32)) for c in (camera, other)]
    targets[0] = attrs.evolve(targets[0], depth=np.ones((camera.height, camera.width), np.float32))
    weights = LossWeights(depth=depth)
    session = engine.begin(parameters, AdamState.like(parameters), targets, weights, statistics=True)
    depths = 8 * camera.height * camera.width  # two planes
    assert any(size == depths for _, size in device.uploads) == bool(depth)
    rates = np.zeros(len(parameters.block), np.float32)
    _, operations = session.stages_at(Step(1, 1, rates))
    kernels = [operation.kernel for operation in operations if isinstance(operation, Launch)]
    assert kernels[0] == "project" and kernels[-1] == "finish_step"
    for operation in operations:
        if isinstance(operation, Launch):
            assert_inside(device, operation)
            assert operation.grid[:2] == (3, 3) or operation.kernel not in ("compare", "differentiate")
    session.render(camera, (0.1, 0.2, 0.3))
    for operation in device.operations:
        if isinstance(operation, Launch):
            assert_inside(device, operation)
    session.close()
    assert device.allocations == {}


def test_other_pictures_of_the_same_sizes_go_where_the_old_ones_lie():
    device = RecordingDevice()
    parameters, camera = scene(1, 1)
    black = Target(camera, np.zeros((camera.height, camera.width, 3), np.float32))
    weighted = attrs.evolve(black, pixel_weights=np.ones((camera.height, camera.width), np.float32))
    session = CudaEngine(device).begin(parameters, AdamState.like(parameters), [black, black], LossWeights())
    _, before = session.stages_at(Step(0, 1, np.zeros(23, np.float32)))
    lie = dict(device.allocations)
    session.retarget([black, black])
    assert device.allocations == lie
    session.retarget([black, weighted])
    assert sum(device.allocations.values()) == sum(lie.values()) + 256 * math.ceil(4 * 70 * 50 / 256)
    again = dict(device.allocations)
    session.retarget([black, weighted])
    assert device.allocations == again
    _, after = session.stages_at(Step(0, 1, np.zeros(23, np.float32)))
    assert after == before  # nothing to record anew
    session.close()
    assert device.allocations == {}


