# SPDX-License-Identifier: Apache-2.0
"""The rasterizer's CUDA sources, run on the CPU by the stand-in device, against the CPU kernel and the reference."""

from __future__ import annotations

import pytest

from backend.kernels.cuda.sources import SWAP, TRAINING, Variant, include_files
from backend.kernels.mesh_rasterization.gpu import grid, nearest_faces

from ..cuda.emulated import compiler
from . import gpu_checks

pytestmark = pytest.mark.skipif(compiler() is None, reason="g++ is not installed: it compiles the CUDA sources here")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("samples", [1, 3])
def test_equal_bits_to_the_cpu_and_the_reference(device, seed, samples):
    gpu_checks.check_soup(device, seed, samples)


@pytest.mark.parametrize("check", gpu_checks.CHECKS, ids=lambda check: check.__name__)
def test_checks(device, check):
    check(device)


def test_small_faces_take_a_thread_and_large_ones_blocks():
    names = ("vertices", "faces", "prepared", "large", "nearest", "codes")
    operations = nearest_faces(1000, 64, 48, {name: 4096 * (i + 1) for i, name in enumerate(names)})
    launches = [(o.kernel, o.grid[0]) for o in operations[3:]]
    assert launches[0] == ("prepare_faces", 8) and launches[1] == ("nearest_small", 8)
    assert [name for name, _ in launches[1:]] == ["nearest_small", "nearest_large"] * 2
    assert [o.size for o in operations[:3]] == [4, 8 * 64 * 48, 4 * 64 * 48]
    assert grid(0) == (1, 1, 1) and grid(129) == (2, 1, 1)


def test_programs_do_not_share_sources():
    swap, training = set(include_files(SWAP)), set(include_files(TRAINING))
    assert {name for name in swap & training} == {"cuda/common.cuh"}
    assert "mesh_rasterization/cuda/nearest_faces.cu" in swap and "projection/cuda/project.cu" in training
    assert Variant(0) != Variant(0, program=SWAP)
