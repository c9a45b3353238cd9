# SPDX-License-Identifier: Apache-2.0
"""The buffers and the recorded graphs that turn splats on the device into images, and steps into better splats."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

from .device import Device
from .launches import Clear, Sizes, backward, buffer_sizes, forward, scratch_sizes, training_sizes
from .memory import Buffers
from .records import CONTROL, FRAME

Array = npt.NDArray[np.float32]
MAX_ENTRIES = 1 << 28
"""Pairs of splat and tile in one frame; 16 GiB of buffers."""
_GROWTH = 1.3


class Pipeline:
    """Forward (and backward) over splats whose `block` (and moments) lie at given addresses.

    `outside` holds the addresses of what the caller owns: block, views, steps, control, and for training first,
    second, results, statistics, output.
    """

    def __init__(
        self, device: Device, kernels: Any, sizes: Sizes, outside: dict[str, int], training: bool = False,
        gradients_only: bool = False, statistics: bool = False,
    ) -> None:  # fmt: skip
        self._device, self._kernels = device, kernels
        self.outside = outside
        self._training, self._gradients_only, self._statistics = training, gradients_only, statistics
        self.sizes = sizes
        self._buffers = Buffers(device)
        self._graphs: dict[int, Any] = {}
        self._planes = np.empty((4, 0, 0), np.float32)  # kept: fresh memory costs more than the copy
        try:
            self.operations = self._make()
        except BaseException:
            self._buffers.free()
            raise

    def _make(self) -> list[Any]:
        buffers, sizes = self._buffers, self.sizes
        wanted = buffer_sizes(sizes)
        buffers.add(wanted)
        # No kernel writes the planes' padding, but `image` downloads it with the rest: one copy is faster than many.
        self._device.execute(self._kernels, [Clear(buffers.at["image"], wanted["image"])])
        if self._training:
            buffers.add(training_sizes(sizes))
        scratch = buffers.add(scratch_sizes(sizes))
        at = {**buffers.at, **self.outside}
        operations = forward(sizes, at, scratch)
        if self._training:
            operations += backward(sizes, at, self._gradients_only, self._statistics)
        return operations

    @property
    def at(self) -> dict[str, int]:
        """Addresses of the buffers, by name."""
        return self._buffers.at

    def run_once(self) -> None:
        """Put one frame on the stream."""
        self._device.execute(self._kernels, self.operations)

    def replay(self, times: int) -> None:
        """Put `times` frames on the stream, as graphs: eight at a time where possible, to save launches."""
        while times > 0:
            batch = 8 if times >= 8 else 1
            if batch not in self._graphs:
                self._graphs[batch] = self._device.record(self._kernels, self.operations * batch)
            self._device.replay(self._graphs[batch])
            times -= batch

    def control_record(self) -> npt.NDArray[np.void]:
        """A fresh Control for these buffers."""
        control = np.zeros((), CONTROL)
        control["capacity"] = self.sizes.capacity
        return control

    def entries(self) -> int:
        """Entries of the last frame, whether they fitted or not."""
        frame = np.zeros((), FRAME)
        self._device.download(self.at["frame"], frame)
        return int(frame["entries"])

    def grow(self, needed: int) -> None:
        """Make room for frames with `needed` entries. Raises InputError beyond all reason."""
        if needed > MAX_ENTRIES:
            raise InputError(
                f"The splats cover too much of the frame ({needed} pairs of splat and tile).",
                "Make them smaller or fewer, or render a smaller frame.",
            )
        self.close()
        self.sizes = attrs.evolve(self.sizes, capacity=int(needed * _GROWTH) + 1024)
        self.operations = self._make()

    def image(self, width: int, height: int, stride: int, rows: int) -> Array:
        """(4, height, width) colour and transmittance of the last frame; the next call writes into the same memory."""
        if self._planes.shape[1:] != (rows, stride):
            self._planes = np.empty((4, rows, stride), np.float32)
        self._device.download(self.at["image"], self._planes)
        return self._planes[:, :height, :width]

    def close(self) -> None:
        """Give buffers and graphs back."""
        for graph in self._graphs.values():
            self._device.forget(graph)
        self._graphs.clear()
        self._buffers.free()
