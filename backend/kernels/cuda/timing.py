# SPDX-License-Identifier: Apache-2.0
"""How long operations take on the GPU itself, by events on its stream; for benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .device import CudaDevice, checked
from .launches import Clear, Operation


class Stopwatch:
    """Events on a device's stream."""

    def __init__(self, device: CudaDevice) -> None:
        self._driver, self._device = device.driver, device
        self._events: list[Any] = []

    def mark(self) -> None:
        """Now, on the stream."""
        event = checked(self._driver.cuEventCreate(0), "make an event")
        checked(self._driver.cuEventRecord(event, self._device.stream), "record an event")
        self._events.append(event)

    def milliseconds(self) -> list[float]:
        """Between neighbouring marks; waits for the work."""
        self._device.synchronize()
        pairs = zip(self._events, self._events[1:], strict=False)
        times = [float(checked(self._driver.cuEventElapsedTime(a, b), "read an event")) for a, b in pairs]
        for event in self._events:
            checked(self._driver.cuEventDestroy(event), "drop an event")
        self._events.clear()
        return times


def milliseconds_of(device: CudaDevice, work: Callable[[], object]) -> float:
    """Of all that `work` puts on the stream."""
    watch = Stopwatch(device)
    watch.mark()
    work()
    watch.mark()
    return watch.milliseconds()[0]


def stage_milliseconds(
    device: CudaDevice, kernels: Any, operations: Sequence[Operation]
) -> list[tuple[str, float]]:
    """(kernel, milliseconds) of each operation, run one by one: gaps between launches count, so the sum is too high."""
    watch = Stopwatch(device)
    watch.mark()
    for operation in operations:
        device.execute(kernels, [operation])
        watch.mark()
    names = ["clear" if isinstance(operation, Clear) else operation.kernel for operation in operations]
    return list(zip(names, watch.milliseconds(), strict=True))
