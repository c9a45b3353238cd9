# SPDX-License-Identifier: Apache-2.0
"""Stands in for the module cuda.bindings.driver: one GPU with a little memory, whose kernels are only written down.

It is strict where the real driver is: unknown handles and addresses, work on another stream, waiting or allocating
while a graph is recorded, and giving back what the GPU may still use are errors.
"""

from __future__ import annotations

import ctypes
import enum
from types import SimpleNamespace
from typing import Any


class CUresult(enum.IntEnum):
    """Some results."""

    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900
    CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901


FINE = CUresult.CUDA_SUCCESS
STREAM = 77
KERNELS = ("project", "rasterize")


class FakeDriver:
    """See the module's docstring. `fail` holds results to be given instead, by function."""

    CUresult = CUresult
    CUstream_flags = SimpleNamespace(CU_STREAM_NON_BLOCKING=1)
    CUstreamCaptureMode = SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1)
    CUdevice_attribute = SimpleNamespace(
        CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR=75, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR=76
    )

    def __init__(self, memory: int = 1 << 30, architecture: tuple[int, int] = (9, 0)) -> None:
        self.memory, self._architecture = memory, architecture
        self.blocks: dict[int, Any] = {}
        self.fail: dict[str, CUresult] = {}
        self.calls: list[str] = []
        self.done: list[Any] = []  # kernels and clears, in the order in which the GPU would do them
        self.templates: set[int] = set()
        self.graphs: dict[int, list[Any]] = {}
        self.streams = 0
        self._recording: list[Any] | None = None
        self._busy = False  # something is under way that nobody has waited for
        self._handles = 1000

    def _call(self, name: str) -> CUresult:
        self.calls.append(name)
        return self.fail.get(name, FINE)

    def _handle(self) -> int:
        self._handles += 1
        return self._handles

    # -- device

    def cuInit(self, flags):  # noqa: N802
        return (self._call("cuInit"),)

    def cuDeviceGet(self, number):  # noqa: N802
        code = self._call("cuDeviceGet")
        return (code if number == 0 else CUresult.CUDA_ERROR_NO_DEVICE), 5

    def cuDevicePrimaryCtxRetain(self, device):  # noqa: N802
        assert device == 5
        return self._call("cuDevicePrimaryCtxRetain"), 6

    def cuCtxSetCurrent(self, context):  # noqa: N802
        assert context == 6
        return (self._call("cuCtxSetCurrent"),)

    def cuDeviceGetName(self, length, device):  # noqa: N802
        return self._call("cuDeviceGetName"), b"GeForce Imaginary".ljust(length, b"\0")

    def cuDeviceGetAttribute(self, attribute, device):  # noqa: N802
        return self._call("cuDeviceGetAttribute"), self._architecture[attribute - 75]

    def cuDriverGetVersion(self):  # noqa: N802
        return self._call("cuDriverGetVersion"), 12080

    # -- memory

    def _room(self) -> int:
        return self.memory - sum(len(block) for block in self.blocks.values())

    def cuMemGetInfo(self):  # noqa: N802
        return self._call("cuMemGetInfo"), self._room(), self.memory

    def cuMemAlloc(self, size):  # noqa: N802
        code = self._call("cuMemAlloc")
        assert size > 0
        if self._recording is not None:
            return CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, 0
        if code == FINE and size > self._room():
            code = CUresult.CUDA_ERROR_OUT_OF_MEMORY
        if code != FINE:
            return code, 0
        block = ctypes.create_string_buffer(size)
        self.blocks[ctypes.addressof(block)] = block
        return code, ctypes.addressof(block)

    def cuMemFree(self, address):  # noqa: N802
        assert not self._busy, "memory was given back while the GPU worked"
        code = self._call("cuMemFree")
        return (code if self.blocks.pop(address, None) is not None else CUresult.CUDA_ERROR_INVALID_VALUE,)

    def _holds(self, address: int, size: int) -> bool:
        return any(base <= address and address + size <= base + len(block) for base, block in self.blocks.items())

    def _copy(self, name: str, target: int, source: int, size: int, place: int, stream: int) -> tuple[CUresult]:
        code = self._call(name)
        assert stream == STREAM and self._recording is None and self._holds(place, size)
        self._busy = True
        ctypes.memmove(target, source, size)
        return (code,)

    def cuMemcpyHtoDAsync(self, target, source, size, stream):  # noqa: N802
        return self._copy("cuMemcpyHtoDAsync", target, source, size, target, stream)

    def cuMemcpyDtoHAsync(self, target, source, size, stream):  # noqa: N802
        return self._copy("cuMemcpyDtoHAsync", target, source, size, source, stream)

    def _queue(self, work: Any, stream: int) -> None:
        assert stream == STREAM
        self._busy = True
        (self.done if self._recording is None else self._recording).append(work)

    def cuMemsetD32Async(self, address, value, words, stream):  # noqa: N802
        code = self._call("cuMemsetD32Async")
        assert value == 0 and self._holds(address, 4 * words)
        self._queue(("clear", address, 4 * words), stream)
        return (code,)

    # -- work

    def cuStreamCreate(self, flags):  # noqa: N802
        self.streams += 1
        return self._call("cuStreamCreate"), STREAM

    def cuStreamDestroy(self, stream):  # noqa: N802
        assert stream == STREAM and not self._busy
        return (self._call("cuStreamDestroy"),)

    def cuStreamSynchronize(self, stream):  # noqa: N802
        assert stream == STREAM
        if self._recording is not None:
            return (CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,)
        self._busy = False
        return (self._call("cuStreamSynchronize"),)

    def cuModuleLoadData(self, address):  # noqa: N802
        assert ctypes.string_at(address, 4) == b"\x7fELF"
        return self._call("cuModuleLoadData"), 8

    def cuModuleGetFunction(self, module, name):  # noqa: N802
        assert module == 8
        known = name.decode() in KERNELS
        return self._call("cuModuleGetFunction") if known else CUresult.CUDA_ERROR_INVALID_VALUE, name.decode()

    def cuLaunchKernel(self, function, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra):  # noqa: N802
        code = self._call("cuLaunchKernel")
        values, types = parameters
        assert len(values) == len(types) and function in KERNELS and (by, bz, shared, extra) == (1, 1, 0, 0)
        packed = tuple(kind(value).value or 0 for kind, value in zip(types, values, strict=True))
        kinds = "".join("p" if kind is ctypes.c_void_p else "i" for kind in types)
        if code == FINE:
            self._queue((function, (gx, gy, gz), bx, kinds, packed), stream)
        return (code,)

    # -- graphs

    def cuStreamBeginCapture(self, stream, mode):  # noqa: N802
        assert stream == STREAM and mode == 1 and self._recording is None
        code = self._call("cuStreamBeginCapture")
        self._recording = [] if code == FINE else None
        return (code,)

    def cuStreamEndCapture(self, stream):  # noqa: N802
        assert stream == STREAM and self._recording is not None
        recorded, self._recording = self._recording, None
        code, handle = self._call("cuStreamEndCapture"), self._handle()
        if code == FINE:
            self.templates.add(handle)
            self.graphs[handle] = recorded
        return code, handle

    def cuGraphInstantiate(self, graph, flags):  # noqa: N802
        assert graph in self.templates and flags == 0
        code, handle = self._call("cuGraphInstantiate"), self._handle()
        if code == FINE:
            self.graphs[handle] = list(self.graphs[graph])
        return code, handle

    def cuGraphDestroy(self, graph):  # noqa: N802
        self.templates.remove(graph)
        del self.graphs[graph]
        return (self._call("cuGraphDestroy"),)

    def cuGraphLaunch(self, graph, stream):  # noqa: N802
        code = self._call("cuGraphLaunch")
        if code == FINE:
            for work in self.graphs[graph]:
                self._queue(work, stream)
        return (code,)

    def cuGraphExecDestroy(self, graph):  # noqa: N802
        assert not self._busy, "a graph was given back while the GPU worked"
        del self.graphs[graph]
        return (self._call("cuGraphExecDestroy"),)
