# SPDX-License-Identifier: Apache-2.0
"""What both passes of the rasterizer share: a tile's blocks of pixels, and the arrays as addresses."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..buffers import address
from ..jit import kernel
from ..layout import TILE
from ..simd import (
    BLOCK_HEIGHT,
    BLOCK_WIDTH,
    VECTOR_WIDTH,
    floor,
    lane_numbers,
    mask_bits,
    select,
    store,
)  # fmt: skip

f = np.float32
BLOCKS_X, BLOCKS_Y = TILE // BLOCK_WIDTH, TILE // BLOCK_HEIGHT
BLOCKS = BLOCKS_X * BLOCKS_Y
AREA = TILE * TILE
LOWEST_EXPONENT = f(-16)
"""Far from a splat exp2 would make denormals, which are a hundred times slower; anything below the cutoff will do."""


class Tiles(NamedTuple):
    """What both passes read, as addresses, and the frame's measures."""

    records: int
    entry_splat: int
    entry_mask: int  # 0: nobody wants the masks
    frame: int
    width: int
    height: int
    across: int  # tiles in a row
    stride: int  # of the frame's rows
    plane: int  # pixels of a plane of the frame


@kernel
def tiles_of(records: Any, entry_splat: Any, entry_mask: Any, frame: Any, width: int, height: int) -> Tiles:
    """From arrays to addresses; an empty `entry_mask` becomes 0."""
    across, down = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    mask = address(entry_mask) if entry_mask.size > 0 else 0
    return Tiles(
        address(records), address(entry_splat), mask, address(frame), width, height, across, across * TILE,
        across * TILE * down * TILE,
    )  # fmt: skip


@kernel
def pixel_offsets() -> Any:
    """x and y of each lane's pixel centre in a block."""
    lanes = lane_numbers()
    row = floor(lanes * (f(1) / f(BLOCK_WIDTH)))
    return lanes - row * f(BLOCK_WIDTH) + f(0.5), row + f(0.5)


@kernel
def open_tile(t: Tiles, tile_x: int, tile_y: int, state: int) -> int:
    """Reset a tile's transmittance; returns the bits of the blocks that lie in the frame at least in part.

    Transmittance is kept with a sign: negative where a pixel is done, as those outside the frame are at once.
    """
    x, y = pixel_offsets()
    bits = 0
    for block in range(BLOCKS):
        inside = (x + f(tile_x + block % BLOCKS_X * BLOCK_WIDTH)) < f(t.width)
        inside = inside & ((y + f(tile_y + block // BLOCKS_X * BLOCK_HEIGHT)) < f(t.height))
        store(state, block * VECTOR_WIDTH, select(inside, 1.0, -1.0))
        if mask_bits(inside) != 0:
            bits |= 1 << block
    return bits
