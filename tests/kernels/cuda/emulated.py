# SPDX-License-Identifier: Apache-2.0
"""A Device that runs the CUDA kernels' own sources on the CPU, compiled by g++ against cuda_on_cpu.h."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from backend.kernels.cuda import sources
from backend.kernels.cuda.launches import Clear, Operation, Pointer
from backend.kernels.cuda.sources import Variant

HERE = Path(__file__).parent
EMULATORS = {
    sources.TRAINING: "emulator.cpp", sources.SWAP: "swap_emulator.cpp", sources.CHANGES: "changes_emulator.cpp",
}  # fmt: skip
_POISON = 0xFF  # as float32 this is NaN: reading what was never written shows


def compiler() -> str | None:
    """g++, if there is one."""
    return shutil.which("g++")


def build(variant: Variant, folder: Path) -> ctypes.CDLL:
    """The kernels for such splats as a library."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / sources.CONSTANTS).write_text(sources.constants(variant))
    library = folder / "kernels.so"
    includes = [f"-I{path}" for path in (folder, sources.ROOT, HERE)]
    # A GPU contracts a * b + c into one rounding, unless told not to; so does this, where the CPU can.
    contract = "off" if "--fmad=false" in variant.program.options else "fast"
    options = ["-std=c++17", "-O2", "-march=native", f"-ffp-contract={contract}", "-fPIC", "-shared",
               "-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-parameter", "-Werror"]  # fmt: skip
    main = str(HERE / EMULATORS[variant.program])
    subprocess.run([compiler() or "g++", *options, *includes, "-o", str(library), main], check=True)
    return ctypes.CDLL(str(library))


class EmulatedDevice:
    """See `backend.kernels.cuda.device.Device`."""

    def __init__(self, folder: Path, memory: int = 1 << 32) -> None:
        self._folder, self._memory = folder, memory
        self._libraries: dict[Variant, ctypes.CDLL] = {}
        self._blocks: dict[int, np.ndarray] = {}
        self.launches: list[str] = []

    def allocate(self, size: int) -> int:
        """Poisoned memory."""
        block = np.full(max(size, 16) + 256, _POISON, np.uint8)
        address = -(-block.ctypes.data // 256) * 256
        self._blocks[address] = block
        return address

    def free(self, address: int) -> None:
        """Forget a block; an unknown address is an error."""
        del self._blocks[address]

    @property
    def blocks(self) -> int:
        """How many allocations live."""
        return len(self._blocks)

    def upload(self, address: int, array: np.ndarray) -> None:
        """Copy in."""
        assert array.flags.c_contiguous
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def download(self, address: int, array: np.ndarray) -> None:
        """Copy out."""
        assert array.flags.c_contiguous
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def load(self, variant: Variant) -> ctypes.CDLL:
        """Compile at first use."""
        if variant not in self._libraries:
            kind = Path(EMULATORS[variant.program]).stem
            name = f"{kind}-degree{variant.sh_degree}{'aa' * variant.antialiased}{'-depth' * variant.depth}"
            self._libraries[variant] = build(variant, self._folder / name)
        return self._libraries[variant]

    def execute(self, kernels: Any, operations: Sequence[Operation]) -> None:
        """Run everything at once."""
        for operation in operations:
            if isinstance(operation, Clear):
                ctypes.memset(operation.address, 0, operation.size)
                continue
            self.launches.append(operation.kernel)
            arguments = [
                ctypes.c_void_p(a.address) if isinstance(a, Pointer) else ctypes.c_int(a) for a in operation.arguments
            ]
            pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(a) for a in arguments))
            grid = (ctypes.c_uint * 3)(*operation.grid)
            getattr(kernels, "launch_" + operation.kernel)(grid, ctypes.c_uint(operation.threads), pointers)

    def record(self, kernels: Any, operations: Sequence[Operation]) -> Any:
        """A graph is the list itself."""
        return kernels, list(operations)

    def replay(self, graph: Any) -> None:
        """Run it."""
        self.execute(*graph)

    def forget(self, graph: Any) -> None:
        """Nothing to give back."""

    def synchronize(self) -> None:
        """Everything is done already."""

    def free_memory(self) -> int:
        """What the test wants it to be."""
        return self._memory

    def describe(self) -> str:
        """For reports."""
        return "stand-in"
