# SPDX-License-Identifier: Apache-2.0
"""A Device that computes nothing but knows what it was given: allocations, and every operation in order. And the
kernels' C signatures, read out of their sources.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np

from backend.kernels.cuda import sources
from backend.kernels.cuda.launches import Launch, Operation, Pointer
from backend.kernels.cuda.sources import TRAINING, Program, Variant

THREADS = {"SPLAT_THREADS": 128, "SORT_THREADS": 256, "LOSS_THREADS": 256, "RASTER_WARPS * 32": 64, "256": 256}
"""What the sources' names for a block's threads stand for."""
_GAP = 4096  # between allocations, so that one byte too far is outside


class RecordingDevice:
    """See `backend.kernels.cuda.device.Device`; addresses are numbers and nothing more."""

    def __init__(self, memory: int = 1 << 45) -> None:
        self._memory, self._next = memory, 1 << 20
        self.allocations: dict[int, int] = {}
        self.operations: list[Operation] = []
        self.uploads: list[tuple[int, int]] = []

    def allocate(self, size: int) -> int:
        """A new address, 256-byte aligned."""
        address = self._next
        self.allocations[address] = size
        self._next = -(-(address + size + _GAP) // 256) * 256
        return address

    def free(self, address: int) -> None:
        """Forget it; an unknown address is an error."""
        del self.allocations[address]

    def holds(self, address: int, size: int) -> bool:
        """True if these bytes lie in one allocation."""
        return any(base <= address and address + size <= base + room for base, room in self.allocations.items())

    def upload(self, address: int, array: np.ndarray) -> None:
        """Check, and note."""
        assert array.flags.c_contiguous and self.holds(address, array.nbytes)
        self.uploads.append((address, array.nbytes))

    def download(self, address: int, array: np.ndarray) -> None:
        """Zeros."""
        assert array.flags.c_contiguous and self.holds(address, array.nbytes)
        array[...] = np.zeros((), array.dtype)

    def load(self, variant: Variant) -> Variant:
        """Nothing to load."""
        return variant

    def execute(self, kernels: Any, operations: Sequence[Operation]) -> None:
        """Note."""
        self.operations.extend(operations)

    def record(self, kernels: Any, operations: Sequence[Operation]) -> list[Operation]:
        """A graph is the list itself."""
        return list(operations)

    def replay(self, graph: list[Operation]) -> None:
        """Note."""
        self.operations.extend(graph)

    def forget(self, graph: Any) -> None:
        """Nothing to give back."""

    def synchronize(self) -> None:
        """Everything is done already."""

    def free_memory(self) -> int:
        """What the test wants it to be."""
        return self._memory

    def describe(self) -> str:
        """For reports."""
        return "recorder"


@attrs.frozen
class Parameter:
    """One parameter of a kernel."""

    name: str
    is_pointer: bool
    is_read_only: bool  # const


@attrs.frozen
class Signature:
    """A kernel as C++ declares it; `threads` is its launch bound, as written."""

    threads: str
    parameters: tuple[Parameter, ...]


_KERNEL = re.compile(r'extern "C" __global__ void __launch_bounds__\((.*?)\)\s+(\w+)\(([^{]*?)\)\s*\{', re.DOTALL)
_PARAMETER = re.compile(r"(const )?(?:volatile |unsigned )?\w+( ?\*)? ?(?:__restrict__ )?(\w+)")


def signatures(program: Program = TRAINING) -> dict[str, Signature]:
    """All kernels in the program's sources, by name."""
    found = {}
    for text in sources.include_files(program).values():
        for threads, name, parameters in _KERNEL.findall(re.sub(r"//.*", "", text)):
            parts = [_PARAMETER.fullmatch(" ".join(part.split())) for part in parameters.split(",")]
            assert all(parts), name
            found[name] = Signature(
                threads, tuple(Parameter(p[3], p[2] is not None, p[1] is not None) for p in parts if p)
            )
    return found


def assert_inside(device: RecordingDevice, launch: Launch) -> None:
    """Every pointer points into something that is allocated now."""
    for argument in launch.arguments:
        if isinstance(argument, Pointer) and argument.address:
            assert device.holds(argument.address, 1), launch.kernel
