# SPDX-License-Identifier: Apache-2.0
"""Buffers on the device, by name, given back together; and how many bytes a fit will need before it starts."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

from .device import Device
from .launches import Sizes, buffer_sizes, scratch_sizes, training_sizes

_ALIGNMENT = 256
FIRST_ENTRIES_PER_SPLAT = 8
"""Room for entries before a frame has been seen; it grows when a frame needs more."""
RESERVE = 64 << 20
"""Bytes that are left to the driver and to other programs."""


class Buffers:
    """Addresses by name. One allocation a group keeps the driver's calls few."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._groups: list[int] = []
        self.at: dict[str, int] = {}

    def add(self, sizes: Mapping[str, int]) -> int:
        """Make room for several buffers, each aligned, in this order; returns the bytes that they span together."""
        offsets, total = {}, 0
        for name, size in sizes.items():
            offsets[name] = total
            total += -(-size // _ALIGNMENT) * _ALIGNMENT
        base = self._device.allocate(total)
        self._groups.append(base)
        self.at.update({name: base + offset for name, offset in offsets.items()})
        return total

    def put(self, name: str, array: npt.NDArray) -> None:
        """Make room for an array and copy it."""
        self.add({name: array.nbytes})
        self._device.upload(self.at[name], np.ascontiguousarray(array))

    def free(self) -> None:
        """Give everything back."""
        while self._groups:
            self._device.free(self._groups.pop())
        self.at.clear()


def frame_bytes(sizes: Sizes, training: bool) -> int:
    """Bytes of the buffers of a frame (and of a step, if training)."""
    total = sum(buffer_sizes(sizes).values()) + sum(scratch_sizes(sizes, training).values())
    return total + (sum(training_sizes(sizes).values()) if training else 0)


def fit_bytes(sizes: Sizes, target_bytes: int) -> int:
    """Bytes that a fit needs on the device: splats and moments, targets, the buffers of a step."""
    return 3 * 4 * sizes.rows * sizes.stride + target_bytes + frame_bytes(sizes, training=True)


def first_capacity(count: int) -> int:
    """Entries to make room for before any frame has been seen."""
    return max(1 << 16, FIRST_ENTRIES_PER_SPLAT * count)


def check_memory(device: Device, sizes: Sizes, target_bytes: int) -> None:
    """InputError (RES_GPU_MEMORY) if a fit does not fit, before anything is allocated."""
    needed, free = fit_bytes(sizes, target_bytes) + RESERVE, device.free_memory()
    if needed > free:
        raise InputError(
            f"The fit needs {needed / 2**20:.0f} MiB on the GPU, where {free / 2**20:.0f} MiB are free.",
            "Close other programs that use the GPU, or take fewer splats, fewer or smaller views, or the engine cpu.",
            "RES_GPU_MEMORY",
        )
