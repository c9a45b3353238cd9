# SPDX-License-Identifier: Apache-2.0
"""What is launched between steps, against what the sources say that is touched. No device and no compiler is needed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.kernels.cuda import sources
from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.cuda.launches import Launch, Pointer, change, rearrange
from backend.kernels.cuda.memory import Buffers
from backend.kernels.cuda.records import CHANGE
from backend.kernels.parameters import AdamState
from backend.kernels.rasterizer import LossWeights, Target

from ..scenes import scene
from .recorder import THREADS, RecordingDevice, assert_inside, signatures

BETWEEN = signatures(sources.CHANGES)


@pytest.mark.parametrize("kernel", ["decay", "align", "wander"])
@pytest.mark.parametrize(("stride", "count"), [(16, 1), (16, 16), (144, 129), (100_000, 99_999), (5_000_000, 4 << 20)])
def test_a_change_between_steps_reaches_all_splats_and_no_further(kernel, stride, count):
    device = RecordingDevice()
    buffers = Buffers(device)
    buffers.add({"block": 4 * 23 * stride, "change": CHANGE.itemsize, "normals": 12 * 77, "columns": 4 * count})
    (launch,) = change(kernel, stride, count, buffers.at)
    signature = BETWEEN[kernel]
    assert signature.threads == "SPLAT_THREADS" and launch.threads == THREADS["SPLAT_THREADS"]
    assert launch.kernel == kernel and launch.grid == (math.ceil(count / 128), 1, 1)
    reach = {"block": 4 * 11 * stride, "change": CHANGE.itemsize, "normals": 12 * 77, "columns": 4 * count}
    named = dict(zip([p.name for p in signature.parameters], launch.arguments, strict=True))
    for parameter in signature.parameters:
        argument = named[parameter.name]
        assert isinstance(argument, Pointer if parameter.is_pointer else int)
        if isinstance(argument, Pointer):
            assert argument.address == buffers.at[parameter.name]
            assert device.holds(argument.address, reach[parameter.name])
            assert parameter.is_read_only == (parameter.name != "block")
    assert (named["stride"], named["count"]) == (stride, count)


@pytest.mark.parametrize(("rows", "old", "new"), [(14, 16, 16), (59, 5_000_000, 16), (23, 144, 100_016)])
def test_a_rearrangement_reaches_all_numbers_and_no_further(rows, old, new):
    device = RecordingDevice()
    before, after = Buffers(device), Buffers(device)
    before.add({name: 4 * rows * old for name in ("block", "first", "second")})
    room = {name: 4 * rows * new for name in ("block", "first", "second")}
    after.add({**room, "source": 4 * new, "rested": new})
    launch = rearrange(rows, old, new, before.at, after.at)
    signature = BETWEEN["rearrange"]
    assert launch.grid == (math.ceil(new / 128), rows, 1) and launch.threads == THREADS[signature.threads] == 128
    named = dict(zip([p.name for p in signature.parameters], launch.arguments, strict=True))
    assert (named["old_stride"], named["stride"]) == (old, new)
    for parameter in signature.parameters:
        name, argument = parameter.name, named[parameter.name]
        assert isinstance(argument, Pointer if parameter.is_pointer else int)
        if isinstance(argument, Pointer):
            place = (after if name in ("source", "rested") or name.endswith("_out") else before).at
            assert argument.address == place[name.removesuffix("_out")]
            assert parameter.is_read_only == (not name.endswith("_out"))


def test_a_rearrangement_moves_only_the_rows_of_the_shape():
    device = RecordingDevice()
    parameters, camera = scene(3, 1, count=300)
    targets = [Target(camera, np.zeros((camera.height, camera.width, 3), np.float32))]
    session = CudaEngine(device).begin(parameters, AdamState.like(parameters), targets, LossWeights())
    other, _ = scene(3, 2, count=500)
    width = other.block.shape[1]
    device.uploads.clear()
    device.operations.clear()
    session.rearrange(other, AdamState.like(other), np.zeros(width, np.int32), np.zeros(width, bool))
    sent = [size for _, size in device.uploads if size]
    assert sorted(sent) == [width, 4 * width, 4 * 11 * width]
    (launch,) = [operation for operation in device.operations if isinstance(operation, Launch)]
    assert launch.kernel == "rearrange"
    session.close()
    assert device.allocations == {}


def test_the_kernels_between_steps_are_those_that_we_name():
    assert set(BETWEEN) == set(sources.CHANGES.kernels)
    assert change("decay", 16, 0, {"block": 0, "change": 0}) == []


def test_normals_and_faces_go_to_the_device_once():
    device = RecordingDevice()
    parameters, camera = scene(1, 1, count=300)
    targets = [Target(camera, np.zeros((camera.height, camera.width, 3), np.float32))]
    session = CudaEngine(device).begin(parameters, AdamState.like(parameters), targets, LossWeights())
    normals, face = np.ones((50, 3), np.float32), np.zeros(300, np.int32)
    device.operations.clear()

    def sent(work):
        device.uploads.clear()
        work()
        return sorted(size for _, size in device.uploads)

    assert sent(lambda: session.align(0.1, normals, face)) == [CHANGE.itemsize, 12 * 50, 4 * 300]
    assert sent(lambda: session.align(0.1, normals, face)) == [CHANGE.itemsize]
    assert sent(lambda: session.decay(0.9, 0.0)) == sent(lambda: session.wander(0.1, 1, 2, 3)) == [CHANGE.itemsize]
    assert sent(lambda: session.align(0.1, normals, face.copy())) == [CHANGE.itemsize, 4 * 300]
    assert sent(lambda: session.align(0.1, normals.copy(), face)) == [CHANGE.itemsize, 12 * 50, 4 * 300]
    more, _ = scene(1, 2, count=500)
    session.replace(more, AdamState.like(more))
    mesh, born = normals.copy(), np.zeros(500, np.int32)
    session.align(0.1, mesh, born)
    other, _ = scene(1, 3, count=500)
    session.replace(other, AdamState.like(other))  # the same faces, but of splats in another order
    assert sent(lambda: session.align(0.1, mesh, born)) == [CHANGE.itemsize, 4 * 500]
    for launch in device.operations:
        if isinstance(launch, Launch):
            assert launch.kernel in ("align", "decay", "wander")
    assert_inside(device, device.operations[-1])
    session.close()
    assert device.allocations == {}
