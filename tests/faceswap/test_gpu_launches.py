# SPDX-License-Identifier: Apache-2.0
"""What the swap launches on a GPU, against the kernels' own signatures; nothing is computed."""

from __future__ import annotations

from contextlib import closing

import attrs
import numpy as np
import pytest

from backend.faceswap.gpu import GpuExchange
from backend.faceswap.views import Skins
from backend.kernels.cuda.launches import Clear, Launch, Pointer
from backend.kernels.cuda.sources import MESH_THREADS, SWAP
from interchange.capture import ViewImages

from ..kernels.cuda.recorder import RecordingDevice, signatures
from .synthetic import dome_camera, head

SIGNATURES = signatures(SWAP)
MAY_BE_NULL = {("as_rendered", "mask"), ("exchange_skin", "smoothed")}
WIDTH, HEIGHT, SAMPLES = 48, 48, 2


def view_of(masks: bool) -> ViewImages:
    plane, colour = np.zeros((HEIGHT, WIDTH), np.float32), np.zeros((HEIGHT, WIDTH, 3), np.float32)
    return ViewImages(
        colour, plane, colour, colour, depth=plane, normal=colour, masks={"skin": plane} if masks else {}
    )


@pytest.fixture(params=[(False, True), (True, True), (True, False)], ids=["denoised", "noisy", "without masks"])
def device(request):
    noisy, masks = request.param
    recorder = RecordingDevice()
    camera, texture = dome_camera(0, 0, WIDTH), np.zeros((20, 30, 3), np.float32)
    with closing(GpuExchange(recorder, 0, Skins.of(texture, texture), SAMPLES, noisy, [camera])) as gpu:
        gpu.change(view_of(masks), head("A"), camera)
        yield recorder
    assert not recorder.allocations


def test_every_kernel_is_named_and_launched(device):
    assert set(SIGNATURES) == set(SWAP.kernels)
    launched = [operation.kernel for operation in device.operations if isinstance(operation, Launch)]
    assert set(SWAP.kernels) - set(launched) <= {"guide_light", "smooth_light"}
    assert launched[-1] == "exchange_skin" and len(launched) == len(set(launched)) + 2  # two passes over the faces


def test_arguments_are_what_the_kernels_take(device):
    for operation in device.operations:
        if isinstance(operation, Clear):
            assert operation.size % 4 == 0 and device.holds(operation.address, operation.size)
            continue
        signature = SIGNATURES[operation.kernel]
        assert signature.threads == "MESH_THREADS" and operation.threads == MESH_THREADS
        for parameter, argument in zip(signature.parameters, operation.arguments, strict=True):
            where = operation.kernel, parameter.name
            assert isinstance(argument, Pointer if parameter.is_pointer else int), where
            if not parameter.is_pointer:
                assert 0 <= argument < 2**31
            elif argument.address == 0:
                assert where in MAY_BE_NULL
            else:
                assert device.holds(argument.address, 4) and argument.address % 16 == 0, where


def test_there_is_a_thread_for_every_pixel_sample_and_face(device):
    pixels, faces = WIDTH * HEIGHT, len(head("A").faces)
    wanted = {"look_up": pixels * SAMPLES**2, "prepare_faces": faces, "nearest_small": faces}
    for operation in device.operations:
        if isinstance(operation, Launch) and operation.kernel != "nearest_large":
            threads = wanted.get(operation.kernel, pixels)
            assert 0 <= operation.grid[0] * MESH_THREADS - threads < MESH_THREADS
            assert operation.grid[1:] == (1, 1)


def test_textures_and_mesh_go_to_the_device_once():
    recorder, camera = RecordingDevice(), dome_camera(0, 0, WIDTH)
    texture, mesh = np.zeros((20, 30, 3), np.float32), head("A")
    with closing(GpuExchange(recorder, 0, Skins.of(texture, texture), SAMPLES, False, [camera])) as gpu:
        gpu.change(view_of(True), mesh, camera)
        first = len(recorder.uploads)
        gpu.change(view_of(True), mesh, camera)
        again = len(recorder.uploads) - first
        gpu.change(view_of(True), attrs.evolve(mesh), camera)
    assert again == 7  # vertices, five passes, the usual share
    assert len(recorder.uploads) - first - again == again + 3  # faces, which are the head's, UVs
