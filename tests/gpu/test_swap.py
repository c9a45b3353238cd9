# SPDX-License-Identifier: Apache-2.0
"""The swap's kernels on a real GPU: the same checks as on the stand-in."""

from __future__ import annotations

import pytest

from backend.faceswap.engines import open_gpu
from tests.faceswap import gpu_checks as views
from tests.kernels.mesh_rasterization import gpu_checks as faces

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def device():
    gpu, sentence = open_gpu(None)
    if gpu is None:
        pytest.skip(sentence)
    return gpu


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("samples", [1, 3])
def test_faces_are_the_cpus(device, seed, samples):
    faces.check_soup(device, seed, samples)


@pytest.mark.parametrize("check", faces.CHECKS, ids=lambda check: check.__name__)
def test_faces(device, check):
    check(device)


@pytest.mark.parametrize("samples", [1, 2, 3, 5])
def test_the_filtered_skin_is_the_cpus(device, samples):
    views.check_filter(device, samples)


@pytest.mark.parametrize("noisy", [False, True])
def test_the_picture_is_the_cpus(device, noisy):
    views.check_exchange(device, noisy, views.NEW)


@pytest.mark.parametrize("check", views.CHECKS, ids=lambda check: check.__name__)
def test_views(device, check):
    check(device)
