# SPDX-License-Identifier: Apache-2.0
"""The CPU engine's memory: what it keeps for splats, for a frame, and for pairs of splat and tile."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from .buffers import aligned_zeros
from .simd import RECORD_SIZE

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

SLACK = 64  # elements that whole-vector loads and prefetches may touch past the end


@attrs.define(eq=False)
class SplatBuffers:
    """What the kernels keep for each splat."""

    stride: int  # padded number of splats
    records: Array
    depths: Array
    rect_low: Ints
    rect_high: Ints
    order: Ints
    keys: Ints
    slot_first: Ints
    slot_count: Ints

    @classmethod
    def of(cls, stride: int) -> SplatBuffers:
        """For `stride` splats, a multiple of the padding."""
        def ints(factor: int = 1) -> Ints:
            return aligned_zeros(factor * stride, np.int32)

        records = aligned_zeros(RECORD_SIZE * stride + SLACK)
        return cls(stride, records, aligned_zeros(stride), ints(), ints(), ints(), ints(3), ints(), ints())


@attrs.define(eq=False)
class FrameBuffers:
    """What the kernels keep for a frame; views of the start serve smaller frames."""

    pixels: int  # padded
    tiles: int
    frame: Array
    gradient: Array
    histograms: Ints
    tile_start: Ints
    schedule: Ints

    @classmethod
    def of(cls, pixels: int, tiles: int, threads: int) -> FrameBuffers:
        """For frames of up to so many padded pixels and tiles."""
        return cls(
            pixels, tiles, aligned_zeros(4 * pixels), aligned_zeros(4 * pixels),
            np.zeros((threads, tiles), np.int32), np.zeros(tiles + 1, np.int32),
            np.zeros(tiles, np.int32),
        )  # fmt: skip


@attrs.define(eq=False)
class EntryBuffers:
    """What the kernels keep for each pair of splat and tile."""

    capacity: int
    splat: Ints
    slot: Ints
    mask: Ints
    slots: Array
    slot_used: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, capacity: int) -> EntryBuffers:
        """For up to `capacity` pairs."""
        size = capacity + SLACK
        return cls(
            capacity, np.zeros(size, np.int32), np.zeros(size, np.int32), np.zeros(size, np.int32),
            aligned_zeros(RECORD_SIZE * size), np.zeros(size, np.uint8),
        )  # fmt: skip
