# SPDX-License-Identifier: Apache-2.0
"""What the engine needs of a GPU: memory, kernels, recorded graphs.

`CudaDevice` offers it through NVIDIA's cuda-bindings, the driver's own interface; torch is not needed. The tests have a
stand-in that runs the same kernels on the CPU.

All work of a device goes through one stream, in order. Any thread may use it, one at a time.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError, Progress

from .launches import Clear, Operation, Pointer
from .sources import Variant

Array = npt.NDArray[Any]
MEMORY_VARIABLE = "DIGIDOUBLE_GPU_MEMORY_MIB"


class Device(Protocol):
    """A GPU, or what stands in for one."""

    def allocate(self, size: int) -> int:
        """Address of `size` bytes of undefined content. Raises InputError when memory is short."""

    def free(self, address: int) -> None:
        """Give memory back."""

    def upload(self, address: int, array: Array) -> None:
        """Copy a C-contiguous array to the device; the array may be changed afterwards."""

    def download(self, address: int, array: Array) -> None:
        """Fill a C-contiguous array from the device; waits for all work before."""

    def load(self, variant: Variant) -> Any:
        """The kernels for such splats."""

    def execute(self, kernels: Any, operations: Sequence[Operation]) -> None:
        """Put operations on the stream."""

    def record(self, kernels: Any, operations: Sequence[Operation]) -> Any:
        """A graph of operations, to be replayed."""

    def replay(self, graph: Any) -> None:
        """Put a graph on the stream."""

    def forget(self, graph: Any) -> None:
        """Give a graph back."""

    def synchronize(self) -> None:
        """Wait for all work. Raises RuntimeError if a kernel failed."""

    def free_memory(self) -> int:
        """Bytes that can still be allocated."""

    def describe(self) -> str:
        """Name of the device and what else matters, for reports."""


class CudaError(RuntimeError):
    """The driver refused a call, or a kernel failed."""


def checked(result: tuple[Any, ...], what: str) -> Any:
    """The value of a cuda-bindings call; CudaError if it failed."""
    code, *values = result
    if int(code) != 0:
        raise CudaError(f"CUDA could not {what}: {code.name if hasattr(code, 'name') else code}.")
    return values[0] if len(values) == 1 else values


def memory_cap() -> int | None:
    """Bytes that $DIGIDOUBLE_GPU_MEMORY_MIB allows, None if it is not set. InputError if it is no number."""
    text = os.environ.get(MEMORY_VARIABLE, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{MEMORY_VARIABLE} is {text!r}.", "Give a whole number of MiB, or unset it.")
    return int(text) << 20


class CudaDevice:
    """One NVIDIA GPU, by the driver's primary context: torch in the same process sees the same memory."""

    def __init__(self, number: int = 0, progress: Progress | None = None) -> None:
        """`progress` hears about compilation. Raises CudaError where there is no such GPU, ImportError without
        cuda-bindings, an error of cuda-bindings' own without a driver, InputError for a cap that is no number.
        """
        from cuda.bindings import driver

        self._progress, self._cap = progress, memory_cap()
        self._taken: dict[int, int] = {}  # bytes by address
        self._driver = self.driver = driver
        checked(driver.cuInit(0), "start")
        self._device = checked(driver.cuDeviceGet(number), f"find GPU {number}")
        self._context = checked(driver.cuDevicePrimaryCtxRetain(self._device), "open the GPU")
        self._here = threading.local()
        self._come_here()
        self._stream = checked(driver.cuStreamCreate(driver.CUstream_flags.CU_STREAM_NON_BLOCKING), "make a stream")
        self._functions: dict[Variant, Any] = {}

    def _come_here(self) -> None:
        """The driver keeps the current context by thread: make it the calling one's.

        Noted in the thread itself: a thread's number goes to another one after its end.
        """
        if not getattr(self._here, "is_current", False):
            checked(self._driver.cuCtxSetCurrent(self._context), "open the GPU")
            self._here.is_current = True

    def close(self) -> None:
        """Give the stream back. The context stays: it is the process's, and to open it again takes a while."""
        self._come_here()
        checked(self._driver.cuStreamDestroy(self._stream), "drop a stream")

    @property
    def name(self) -> str:
        """As the driver has it."""
        raw = checked(self._driver.cuDeviceGetName(128, self._device), "ask for the GPU's name")
        return str(raw.split(b"\0")[0].decode())

    @property
    def architecture(self) -> int:
        """Compute capability, 90 for 9.0."""
        names = self._driver.CUdevice_attribute
        major, minor = (
            checked(self._driver.cuDeviceGetAttribute(name, self._device), "ask for the compute capability")
            for name in (names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
                         names.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        )  # fmt: skip
        return 10 * int(major) + int(minor)

    @property
    def driver_version(self) -> int:
        """The CUDA version that the driver offers, 13000 for 13.0."""
        return int(checked(self._driver.cuDriverGetVersion(), "ask for the driver's version"))

    @property
    def stream(self) -> int:
        """The stream's handle, for other libraries."""
        return int(self._stream)

    def describe(self) -> str:
        """See `Device`."""
        version = self.driver_version
        return f"{self.name} (sm_{self.architecture}, driver for CUDA {version // 1000}.{version % 1000 // 10})"

    def allocate(self, size: int) -> int:
        """See `Device`."""
        self._come_here()
        size = max(size, 16)
        if self._cap is not None and sum(self._taken.values()) + size > self._cap:
            raise self._short_of(size)
        code, address = self._driver.cuMemAlloc(size)
        if code == self._driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise self._short_of(size)
        place = int(checked((code, address), "allocate memory"))
        self._taken[place] = size
        return place

    def _short_of(self, size: int) -> InputError:
        return InputError(
            f"The GPU {self.name} has no {size / 2**20:.0f} MiB left ({self.free_memory() / 2**20:.0f} MiB are free).",
            "Close other programs that use it, or take fewer splats, fewer or smaller views.", "RES_GPU_MEMORY",
        )  # fmt: skip

    def free(self, address: int) -> None:
        """See `Device`."""
        self.synchronize()
        checked(self._driver.cuMemFree(address), "free memory")
        del self._taken[address]

    def upload(self, address: int, array: Array) -> None:
        """See `Device`. From pageable memory the driver copies the array aside before it returns."""
        self._come_here()
        assert array.flags.c_contiguous
        if array.nbytes:
            checked(
                self._driver.cuMemcpyHtoDAsync(address, array.ctypes.data, array.nbytes, self._stream),
                "copy to the GPU",
            )

    def download(self, address: int, array: Array) -> None:
        """See `Device`."""
        self._come_here()
        assert array.flags.c_contiguous
        if array.nbytes:
            checked(
                self._driver.cuMemcpyDtoHAsync(array.ctypes.data, address, array.nbytes, self._stream),
                "copy from the GPU",
            )
        self.synchronize()

    def load(self, variant: Variant) -> Any:
        """See `Device`: compiled by NVRTC for this GPU, or read from the cache."""
        self._come_here()
        from .compiler import compiled

        if variant not in self._functions:
            image = compiled(variant, self.architecture, self.driver_version, progress=self._progress)
            self._functions[variant] = _Functions(self._driver, image)
        return self._functions[variant]

    def execute(self, kernels: Any, operations: Sequence[Operation]) -> None:
        """See `Device`."""
        self._come_here()
        for operation in operations:
            if isinstance(operation, Clear):
                words = operation.size // 4
                checked(self._driver.cuMemsetD32Async(operation.address, 0, words, self._stream), "clear memory")
                continue
            values = tuple(a.address if isinstance(a, Pointer) else a for a in operation.arguments)
            types = tuple(
                ctypes.c_void_p if isinstance(a, Pointer) else ctypes.c_int for a in operation.arguments
            )
            checked(
                self._driver.cuLaunchKernel(
                    kernels.get(operation.kernel), *operation.grid, operation.threads, 1, 1, 0, self._stream,
                    (values, types), 0,
                ),
                f"launch {operation.kernel}",
            )  # fmt: skip

    def record(self, kernels: Any, operations: Sequence[Operation]) -> Any:
        """See `Device`."""
        driver = self._driver
        self._come_here()
        mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        checked(driver.cuStreamBeginCapture(self._stream, mode), "record a graph")
        try:
            self.execute(kernels, operations)
        except BaseException:
            driver.cuStreamEndCapture(self._stream)  # which only repeats that something went wrong
            raise
        graph = checked(driver.cuStreamEndCapture(self._stream), "record a graph")
        try:
            return checked(driver.cuGraphInstantiate(graph, 0), "make a graph")
        finally:
            driver.cuGraphDestroy(graph)

    def replay(self, graph: Any) -> None:
        """See `Device`."""
        self._come_here()
        checked(self._driver.cuGraphLaunch(graph, self._stream), "replay a graph")

    def forget(self, graph: Any) -> None:
        """See `Device`."""
        self.synchronize()
        checked(self._driver.cuGraphExecDestroy(graph), "give a graph back")

    def synchronize(self) -> None:
        """See `Device`."""
        self._come_here()
        checked(self._driver.cuStreamSynchronize(self._stream), "run its kernels")

    def free_memory(self) -> int:
        """See `Device`; at most what $DIGIDOUBLE_GPU_MEMORY_MIB leaves."""
        self._come_here()
        free, _ = checked(self._driver.cuMemGetInfo(), "ask for free memory")
        return int(free) if self._cap is None else max(0, min(int(free), self._cap - sum(self._taken.values())))


class _Functions:
    """A loaded module and its kernels."""

    def __init__(self, driver: Any, image: bytes) -> None:
        self._driver = self.driver = driver
        self._image = np.frombuffer(image + b"\0", np.uint8).copy()
        self._module = checked(driver.cuModuleLoadData(self._image.ctypes.data), "load the kernels")
        self._found: dict[str, Any] = {}

    def get(self, name: str) -> Any:
        """The kernel of this name."""
        if name not in self._found:
            self._found[name] = checked(
                self._driver.cuModuleGetFunction(self._module, name.encode()), f"find the kernel {name}"
            )
        return self._found[name]
