# SPDX-License-Identifier: Apache-2.0
"""What changing views must do on any device, the stand-in or a GPU: what the CPU does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import attrs
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.gpu import GpuExchange
from backend.faceswap.views import Skins, exchange_skin, filtered_skin
from backend.kernels.cuda.device import Device
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.colour import linear_from_srgb
from interchange.mesh import Mesh

from .synthetic import Light, dome_camera, head, paint, render

TOLERANCE = 2e-5
OLD, NEW = (linear_from_srgb(paint(who, 256)).astype(np.float32) for who in "AB")
CAMERA = dome_camera(25, 5, 60)


def a_view(noise: float = 0.0, camera: Camera = CAMERA) -> tuple[Mesh, ViewImages]:
    mesh = head("A")
    return mesh, render(mesh, OLD, camera, Light(), noise=noise)


def patched() -> np.ndarray:
    """The old skin with a patch of the new."""
    new = OLD.copy()
    new[110:140, 90:120] = NEW[110:140, 90:120]
    return new


def check_filter(device: Device, samples: int) -> None:
    """The filtered skin is the CPU's bit by bit."""
    mesh, skins = head("A"), Skins.of(OLD, NEW)
    with closing(GpuExchange(device, 0, skins, samples, False, [CAMERA])) as gpu:
        seen = gpu.filtered_skin(mesh, CAMERA)
    difference, old, coverage = filtered_skin(mesh, 0, CAMERA, skins, samples)
    assert_array_equal(seen[..., :3], difference)
    assert_array_equal(seen[..., 3:6], old)
    assert_array_equal(seen[..., 6], coverage)
    assert coverage.max() > 0.99


def check_uv_seams(device: Device) -> None:
    """UVs beyond the texture and faces across its whole width: looked up at its edge, as on the CPU."""
    mesh = head("A")
    mesh = attrs.evolve(mesh, face_uvs=(mesh.face_uvs - 0.5) * np.float32(1.7) + 0.5)
    skins = Skins.of(OLD, NEW)
    with closing(GpuExchange(device, 0, skins, 2, False, [CAMERA])) as gpu:
        seen = gpu.filtered_skin(mesh, CAMERA)
    assert_array_equal(seen[..., :3], filtered_skin(mesh, 0, CAMERA, skins, 2)[0])


def check_exchange(device: Device, noisy: bool, new: np.ndarray, changes: dict | None = None) -> np.ndarray:
    """The new picture is the CPU's, and where the skin stays its bits are the old picture's; returns it."""
    mesh, images = a_view(0.3 if noisy else 0.0)
    images = attrs.evolve(images, **(changes or {}))
    skins = Skins.of(OLD, new)
    with closing(GpuExchange(device, 0, skins, 2, noisy, [CAMERA])) as gpu:
        seen = gpu.change(images, mesh, CAMERA)
    expected = exchange_skin(images, mesh, 0, CAMERA, skins, 2, noisy)
    assert_allclose(seen, expected, atol=TOLERANCE, rtol=0)
    same = (expected == images.rgb).all(-1)
    assert_array_equal(seen[same], images.rgb[same])
    assert same.mean() > 0.3
    return seen


def check_missing_passes(device: Device) -> None:
    """Captures without masks, normals or depth."""
    for noisy, changes in ((False, {"masks": {}}), (True, {"normal": None, "depth": None})):
        check_exchange(device, noisy, NEW, changes)


def check_unchanged(device: Device) -> None:
    mesh, images = a_view()
    assert_array_equal(check_exchange(device, False, OLD), images.rgb)
    assert (check_exchange(device, False, patched()) != images.rgb).any()


def check_views_of_many_sizes_and_threads(device: Device) -> None:
    """Smaller views after larger ones, another mesh in between, from several threads: each as if it were alone."""
    cameras = [dome_camera(25, 5, 60), dome_camera(-40, 10, 33), dome_camera(0, 0, 47)]
    meshes = [head("A"), head("A", mouth_open=1.0)]
    work = [(mesh, camera, render(mesh, OLD, camera, Light())) for mesh in meshes for camera in cameras]
    skins = Skins.of(OLD, NEW)
    with closing(GpuExchange(device, 0, skins, 2, False, cameras)) as gpu, ThreadPoolExecutor(4) as pool:
        seen = list(pool.map(lambda item: gpu.change(item[2], item[0], item[1]), work * 2))
    for (mesh, camera, images), picture, again in zip(work, seen[: len(work)], seen[len(work) :], strict=True):
        assert_array_equal(picture, again)
        assert_allclose(picture, exchange_skin(images, mesh, 0, camera, skins, 2, False), atol=TOLERANCE, rtol=0)


CHECKS = (check_uv_seams, check_missing_passes, check_unchanged, check_views_of_many_sizes_and_threads)
