# SPDX-License-Identifier: Apache-2.0
"""The stand-in device, for all tests of CUDA sources: it compiles them once."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def emulated_device(tmp_path_factory):
    from .kernels.cuda.emulated import EmulatedDevice  # here: Blender's tests run without the backend

    return EmulatedDevice(tmp_path_factory.mktemp("cuda-on-cpu"))


@pytest.fixture
def device(emulated_device):
    """The stand-in device; a test that does not give every byte back fails."""
    before = emulated_device.blocks
    yield emulated_device
    assert emulated_device.blocks == before
