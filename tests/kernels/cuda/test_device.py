# SPDX-License-Identifier: Apache-2.0
"""CudaDevice against a strict stand-in for the driver: one stream, order, errors, memory and its cap."""

from __future__ import annotations

import sys
import threading
from types import ModuleType

import numpy as np
import pytest

from backend.kernels import cuda
from backend.kernels.cuda import compiler
from backend.kernels.cuda.device import MEMORY_VARIABLE, CudaDevice, CudaError
from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.cuda.launches import Clear, Launch, Pointer
from backend.kernels.cuda.memory import Buffers
from backend.kernels.cuda.sources import Variant
from interchange.errors import InputError

from ..scenes import camera_for
from .fake_driver import CUresult, FakeDriver

MIB = 1 << 20


def install(monkeypatch, driver: FakeDriver) -> FakeDriver:
    """Let `from cuda.bindings import driver` find it."""
    package = ModuleType("cuda.bindings")
    package.driver = driver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "cuda.bindings", package)
    monkeypatch.setattr(compiler, "compiled", lambda *_, **__: b"\x7fELF machine code")
    monkeypatch.setattr(compiler, "compiler_version", lambda: (12, 9))
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    return driver


@pytest.fixture
def driver(monkeypatch) -> FakeDriver:
    return install(monkeypatch, FakeDriver())


@pytest.fixture
def device(driver) -> CudaDevice:
    return CudaDevice()


def some_work(device: CudaDevice) -> list:
    """A clear and two kernels."""
    place = device.allocate(1024)
    return [
        Clear(place, 512), Launch("project", (3, 1, 1), 128, (Pointer(place), 7, Pointer(0), -1)),
        Launch("rasterize", (2, 4, 3), 64, (Pointer(place + 512),)),
    ]  # fmt: skip


def expected(operations: list) -> list:
    """As the driver should see `some_work`."""
    clear, first, second = operations
    return [
        ("clear", clear.address, clear.size),
        ("project", (3, 1, 1), 128, "pipi", (first.arguments[0].address, 7, 0, -1)),
        ("rasterize", (2, 4, 3), 64, "p", (second.arguments[0].address,)),
    ]


def test_what_it_says_of_itself(driver, device):
    assert device.describe() == "GeForce Imaginary (sm_90, driver for CUDA 12.8)"
    assert (device.architecture, device.driver_version, device.stream) == (90, 12080, 77)
    fine, sentence = cuda.availability()
    assert fine and sentence == f"CUDA runs on {device.describe()}, kernels compiled by NVRTC 12.9."


def test_copies_go_there_and_back(driver, device):
    array = np.arange(100, dtype=np.float32)
    place = device.allocate(array.nbytes)
    device.upload(place, array)
    back = np.empty_like(array)
    device.download(place, back)
    np.testing.assert_array_equal(back, array)
    assert driver.calls[-2:] == ["cuMemcpyDtoHAsync", "cuStreamSynchronize"]  # the array is there when it returns
    before = len(driver.calls)
    device.upload(place, np.empty(0, np.float32))
    assert len(driver.calls) == before
    with pytest.raises(AssertionError):
        device.upload(place, array[::2])


def test_every_thread_opens_the_gpu_for_itself_also_one_with_the_number_of_a_dead_one(driver, device):
    def look() -> None:
        device.free_memory()
        device.free_memory()

    for _ in range(5):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    look()
    assert driver.calls.count("cuCtxSetCurrent") == 6


def test_operations_reach_the_one_stream_in_order_with_their_types(driver, device):
    kernels = device.load(Variant(1))
    operations = some_work(device)
    device.execute(kernels, operations)
    assert driver.done == expected(operations) and driver.streams == 1
    assert device.load(Variant(1)) is kernels and driver.calls.count("cuModuleLoadData") == 1
    assert device.load(Variant(2)) is not kernels
    device.execute(kernels, operations)
    assert driver.calls.count("cuModuleGetFunction") == 2  # looked up once each


def test_a_graph_does_the_same_as_often_as_it_is_replayed(driver, device):
    kernels = device.load(Variant(1))
    operations = some_work(device)
    graph = device.record(kernels, operations)
    assert driver.done == [] and not driver.templates  # recorded, not done; the template is given back
    device.replay(graph)
    device.replay(graph)
    assert driver.done == 2 * expected(operations)
    device.forget(graph)  # waits first: the stand-in insists
    assert driver.graphs == {} and driver.calls[-2:] == ["cuStreamSynchronize", "cuGraphExecDestroy"]


def test_memory_is_given_back_when_the_gpu_is_done(driver, device):
    kernels = device.load(Variant(1))
    buffers = Buffers(device)
    buffers.add({"a": 10, "b": 300})
    device.execute(kernels, some_work(device))
    buffers.free()
    assert driver.calls[-2:] == ["cuStreamSynchronize", "cuMemFree"] and len(driver.blocks) == 1


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("cuMemcpyHtoDAsync", "copy to the GPU"), ("cuMemcpyDtoHAsync", "copy from the GPU"),
        ("cuStreamSynchronize", "run its kernels"), ("cuLaunchKernel", "launch project"),
        ("cuMemsetD32Async", "clear memory"), ("cuModuleLoadData", "load the kernels"),
        ("cuStreamBeginCapture", "record a graph"), ("cuStreamEndCapture", "record a graph"),
        ("cuGraphInstantiate", "make a graph"), ("cuGraphLaunch", "replay a graph"), ("cuMemAlloc", "allocate memory"),
        ("cuMemFree", "free memory"), ("cuGraphExecDestroy", "give a graph back"), ("cuMemGetInfo", "free memory"),
    ],
)  # fmt: skip
def test_no_failure_goes_unnoticed(driver, device, function, words):
    driver.fail[function] = CUresult.CUDA_ERROR_ILLEGAL_ADDRESS
    with pytest.raises(CudaError, match=f"{words}.*CUDA_ERROR_ILLEGAL_ADDRESS"):
        everything(device)
    driver.fail.clear()
    everything(device)  # the device is none the worse for it


def everything(device: CudaDevice) -> None:
    """Call all that can fail."""
    operations = some_work(device)
    numbers = np.zeros(4, np.float32)
    device.free_memory()
    device.upload(operations[0].address, numbers)
    device.download(operations[0].address, numbers)
    device.synchronize()
    kernels = device.load(Variant(0))
    device.execute(kernels, operations)
    graph = device.record(kernels, operations)
    device.replay(graph)
    device.forget(graph)
    device.free(operations[0].address)


@pytest.mark.parametrize("function", ["cuInit", "cuDeviceGet", "cuDevicePrimaryCtxRetain", "cuStreamCreate"])
def test_a_gpu_that_does_not_start_is_one_sentence(driver, function):
    driver.fail[function] = CUresult.CUDA_ERROR_NO_DEVICE
    with pytest.raises(CudaError):
        CudaDevice()
    fine, sentence = cuda.availability()
    assert not fine and "CUDA could not" in sentence and "CUDA_ERROR_NO_DEVICE" in sentence
    with pytest.raises(InputError) as refused:
        cuda.open_engine()
    assert refused.value.code == "RES_NO_GPU"


def test_an_unknown_kernel_is_named(driver, device):
    with pytest.raises(CudaError, match="find the kernel colour_in"):
        device.execute(device.load(Variant(0)), [Launch("colour_in", (1, 1, 1), 32, ())])


def test_an_old_gpu_is_refused_with_its_number(monkeypatch):
    install(monkeypatch, FakeDriver(architecture=(6, 1)))
    fine, sentence = cuda.availability()
    assert not fine and "compute capability 6.1" in sentence and "7.5 or newer" in sentence


# -- memory -----------------------------------------------------------------------------------------------------------


def assert_short(device: CudaDevice, size: int, words: str) -> None:
    """Refused in the user's words, and nothing is taken."""
    free = device.free_memory()
    with pytest.raises(InputError, match=words) as short:
        device.allocate(size)
    assert short.value.code == "RES_GPU_MEMORY" and "fewer splats" in short.value.hint
    assert device.free_memory() == free


def test_a_full_gpu_is_a_sentence_for_the_user(monkeypatch):
    install(monkeypatch, FakeDriver(memory=100 * MIB))
    device = CudaDevice()
    place = device.allocate(60 * MIB)
    assert_short(device, 50 * MIB, r"GeForce Imaginary has no 50 MiB left \(40 MiB are free\)")
    device.free(place)
    device.allocate(100 * MIB)


def test_the_cap_holds_for_the_estimate_and_for_each_piece(monkeypatch):
    driver = install(monkeypatch, FakeDriver(memory=1000 * MIB))
    monkeypatch.setenv(MEMORY_VARIABLE, "200")
    device = CudaDevice()
    assert device.free_memory() == 200 * MIB
    place = device.allocate(150 * MIB)
    assert device.free_memory() == 50 * MIB
    assert_short(device, 51 * MIB, r"has no 51 MiB left \(50 MiB are free\)")
    device.allocate(50 * MIB)
    assert device.free_memory() == 0
    device.free(place)
    assert device.free_memory() == 150 * MIB and len(driver.blocks) == 1
    with pytest.raises(InputError, match="MiB on the GPU, where 150 MiB are free") as refused:
        CudaEngine(device).check_memory(1_000_000, [camera_for(64, 64)], 3)
    assert refused.value.code == "RES_GPU_MEMORY"
    with pytest.raises(InputError, match="MiB on the GPU"):
        cuda.open_engine(1_000_000, [camera_for(64, 64)], 3)
    opened, closed = (driver.calls.count(name) for name in ("cuStreamCreate", "cuStreamDestroy"))
    assert opened == closed + 1  # only this test's own device is open


def test_a_cap_above_what_there_is_changes_nothing(monkeypatch):
    install(monkeypatch, FakeDriver(memory=100 * MIB))
    monkeypatch.setenv(MEMORY_VARIABLE, "5000")
    device = CudaDevice()
    assert device.free_memory() == 100 * MIB
    assert_short(device, 101 * MIB, "no 101 MiB left")


@pytest.mark.parametrize("text", ["much", "-5", "1.5", "8 GiB"])
def test_a_cap_that_is_no_number_is_said(driver, monkeypatch, text):
    monkeypatch.setenv(MEMORY_VARIABLE, text)
    with pytest.raises(InputError, match="DIGIDOUBLE_GPU_MEMORY_MIB"):
        CudaDevice()
    fine, sentence = cuda.availability()
    assert not fine and MEMORY_VARIABLE in sentence and text in sentence


@pytest.mark.parametrize(
    ("tool", "words"), [(None, "no NVIDIA driver here"), ("/usr/bin/nvidia-smi", "install.py install")]
)
def test_without_the_package_it_is_the_driver_that_matters(monkeypatch, tool, words):
    monkeypatch.setitem(sys.modules, "cuda.bindings", None)
    monkeypatch.setattr("backend.kernels.cuda.shutil.which", lambda name: tool)
    fine, sentence = cuda.availability()
    assert not fine and words in sentence
