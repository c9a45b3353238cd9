# SPDX-License-Identifier: Apache-2.0
"""Blending of depth-sorted splats, tile by tile (3D Gaussian Splatting, Kerbl et al. 2023).

A vector of pixels is a block of 4 x BLOCK_HEIGHT pixels, which a small splat fills better than a row of 8 or 16 would.

Forward works a tile through in chunks of its list. For VECTOR_WIDTH entries at once and one block after the other it
finds which ellipses meet the block: a bit an entry. Then every block runs down its set bits with colour and
transmittance in registers, and stops when its last pixel is done. What is left of the bits, those of entries that
reached a pixel, is turned into a mask of blocks for each entry.

Depth is one more channel, sum w z, for losses that ask for it. Its arguments are None where they do not: Numba compiles
each kind of argument apart and leaves out the branches of the other, so it costs nothing then.

Inner functions take addresses in place of arrays, see simd/memory.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange

from .. import layout as at
from ..buffers import address, address_or_none, keep, scratch
from ..jit import inlined_kernel, kernel, parallel_kernel
from ..layout import LOG2_CUTOFF, MAX_ALPHA, MIN_TRANSMITTANCE, TILE
from ..simd import (
    BLOCK_HEIGHT,
    BLOCK_WIDTH,
    RECORD_SIZE,
    VECTOR_WIDTH,
    absolute,
    broadcast_int,
    exp2,
    get,
    get_int,
    get_long,
    lane_numbers,
    load,
    load_mask,
    load_records_at,
    mask_bits,
    maximum,
    minimum,
    prefetch,
    put_int,
    put_long,
    select,
    store,
    store_four_blocks,
    store_mask,
    take_ticket,
    trailing_zeros,
    zeros,
)  # fmt: skip
from .tiles import AREA, BLOCKS, BLOCKS_X, BLOCKS_Y, LOWEST_EXPONENT, Tiles, f, open_tile, pixel_offsets, tiles_of

CHUNK = 256
"""Entries whose bits are found at a time; their records (16 KB) stay in the first cache."""
WORDS = CHUNK // 64
"""64-bit words of a block's bits."""
GROUPS = CHUNK // VECTOR_WIDTH
NEARLY_NOTHING = f(1e-20)
ROUNDING = f(1e-3)
"""Slack of the block test, in log2(alpha)."""
BLOCK_WIDTH_F, BLOCK_HEIGHT_F = f(BLOCK_WIDTH), f(BLOCK_HEIGHT)


class Scratch(NamedTuple):
    """A thread's own memory for the forward pass, as addresses."""

    state: int  # a tile's transmittance, red, green, blue by blocks
    starts: int  # of the chunk's records
    bits: int  # WORDS words a block: which entries of the chunk reach it
    rows: int  # of `_meet_blocks`


@inlined_kernel
def meet_blocks(
    records: int, starts: int, group: int, number: int, tile_x: int, tile_y: int, rows: int, bits: int
) -> None:
    """Bits of the chunk's entries number `group` * VECTOR_WIDTH on, of which the chunk has `number` in all: set if the
    block can hold a pixel with alpha >= 1/255; a few set bits too many do no harm.

    log2(alpha) is concave, so over a block's box it is largest at the mean if that lies inside, else on the edges that
    face the mean: both candidates are evaluated, for VECTOR_WIDTH entries and one block at a time.
    """
    u, v, a, b, c, log2_opacity, slope_y, slope_x = load_records_at(records, starts, group * VECTOR_WIDTH)
    level = (LOG2_CUTOFF - ROUNDING) - log2_opacity
    level = select(lane_numbers() < f(number - group * VECTOR_WIDTH), level, f(1e30))
    x_low, y_low = f(tile_x) + f(0.5) - u, f(tile_y) + f(0.5) - v
    for row in range(BLOCKS_Y):
        y_edge = minimum(maximum(y_low, 0.0), y_low + (BLOCK_HEIGHT_F - f(1)))
        place = row * 5 * VECTOR_WIDTH
        store(rows, place, y_low)
        store(rows, place + VECTOR_WIDTH, y_low + (BLOCK_HEIGHT_F - f(1)))
        store(rows, place + 2 * VECTOR_WIDTH, y_edge * slope_x)
        store(rows, place + 3 * VECTOR_WIDTH, y_edge * b)
        store(rows, place + 4 * VECTOR_WIDTH, y_edge * y_edge * c - level)
        y_low = y_low + BLOCK_HEIGHT_F
    for column in range(BLOCKS_X):
        x_high = x_low + (BLOCK_WIDTH_F - f(1))
        x_edge = minimum(maximum(x_low, 0.0), x_high)
        y_wanted, by_y, alone = x_edge * slope_y, x_edge * b, x_edge * x_edge * a - level
        for row in range(BLOCKS_Y):
            place = row * 5 * VECTOR_WIDTH
            y_best = minimum(maximum(y_wanted, load(rows, place)), load(rows, place + VECTOR_WIDTH))
            x_best = minimum(maximum(load(rows, place + 2 * VECTOR_WIDTH), x_low), x_high)
            on_column = (y_best * c + by_y) * y_best + alone
            on_row = (x_best * a + load(rows, place + 3 * VECTOR_WIDTH)) * x_best + load(rows, place + 4 * VECTOR_WIDTH)
            block = row * BLOCKS_X + column
            store_mask(bits, block * GROUPS + group, maximum(on_column, on_row) >= 0.0)
        x_low = x_low + BLOCK_WIDTH_F


@kernel
def _find_bits(t: Tiles, first: int, number: int, tile_x: int, tile_y: int, s: Scratch) -> None:
    """The bits of the chunk of `number` entries from `first` on."""
    for k in range(number):
        start = get_int(t.entry_splat, first + k) * RECORD_SIZE
        prefetch(t.records, start)
        put_int(s.starts, k, start)
    groups = (number + VECTOR_WIDTH - 1) // VECTOR_WIDTH
    for k in range(number, groups * VECTOR_WIDTH):
        put_int(s.starts, k, get_int(s.starts, number - 1))
    last_word = (number - 1) // 64
    for block in range(BLOCKS):
        put_long(s.bits, block * WORDS + last_word, 0)
    for group in range(groups):
        meet_blocks(t.records, s.starts, group, number, tile_x, tile_y, s.rows, s.bits)


@inlined_kernel
def _blend_block(records: int, block: int, words: int, tile_x: int, tile_y: int, s: Scratch, depth: Any) -> bool:
    """Run one block down its bits; returns False when all its pixels are done. Bits of entries that reached no pixel
    are cleared."""
    x, y = pixel_offsets()
    x = x + f(tile_x + block % BLOCKS_X * BLOCK_WIDTH)
    y = y + f(tile_y + block // BLOCKS_X * BLOCK_HEIGHT)
    at_state = block * VECTOR_WIDTH
    signed = load(s.state, at_state)
    # Entries of a block wait for each other's transmittance, so this chain is kept short: `running` goes on falling in
    # pixels that are done, which the value itself shows, and `transmittance` stays what was left when they were.
    open_pixels = signed > 0.0
    running, transmittance = maximum(signed, 0.0), absolute(signed)
    red, green = load(s.state, AREA + at_state), load(s.state, 2 * AREA + at_state)
    blue = load(s.state, 3 * AREA + at_state)
    if depth is not None:
        distance = load(s.state, 4 * AREA + at_state)
    word, end = block * WORDS, block * WORDS + words
    starts = s.starts
    while word < end:
        bits, reached = get_long(s.bits, word), np.int64(0)
        while bits != 0:
            lowest = bits & -bits
            r = get_int(starts, trailing_zeros(bits))
            bits ^= lowest
            dx, dy = x - get(records, r + at.MEAN_X), y - get(records, r + at.MEAN_Y)
            power = dx * (dx * get(records, r + at.A) + dy * get(records, r + at.B)) + get(records, r + at.LOG2_OPACITY)
            power = dy * (dy * get(records, r + at.C)) + power
            touched = power >= LOG2_CUTOFF
            alpha = minimum(exp2(maximum(power, LOWEST_EXPONENT)), MAX_ALPHA)
            left = running * select(touched, 1.0 - alpha, 1.0)
            enough = left >= MIN_TRANSMITTANCE
            weight = select(touched & enough, running * alpha, zeros())
            transmittance = select(enough, left, transmittance)
            running = maximum(left, NEARLY_NOTHING)
            touched = touched & open_pixels
            open_pixels = enough
            red = weight * get(records, r + at.RED) + red
            green = weight * get(records, r + at.GREEN) + green
            blue = weight * get(records, r + at.BLUE) + blue
            if depth is not None:
                distance = weight * get(records, r + at.DEPTH) + distance
            # Entries that only end a pixel count as well: backward must end it at the same place.
            reached |= lowest if mask_bits(touched) != 0 else np.int64(0)
            if mask_bits(open_pixels) == 0:
                break
        put_long(s.bits, word, reached)
        word += 1
        starts += 64 * 4
        # Branches, not selections: what comes next must not wait for the pixels, the processor shall guess.
        if mask_bits(open_pixels) == 0:
            break
    while word < end:
        put_long(s.bits, word, 0)
        word += 1
    store(s.state, at_state, select(open_pixels, transmittance, 0.0 - transmittance))
    store(s.state, AREA + at_state, red)
    store(s.state, 2 * AREA + at_state, green)
    store(s.state, 3 * AREA + at_state, blue)
    if depth is not None:
        store(s.state, 4 * AREA + at_state, distance)
    return mask_bits(open_pixels) != 0


@kernel
def _write_masks(t: Tiles, first: int, number: int, open_blocks: int, s: Scratch) -> None:
    """From a bit an entry for each block to a bit a block for each entry; blocks that were not open have none."""
    for group in range((number + VECTOR_WIDTH - 1) // VECTOR_WIDTH):
        masks = broadcast_int(0)
        for block in range(BLOCKS):
            bit = np.int32((open_blocks & (1 << block)) & 0xFFFFFFFF)
            masks = masks | select(load_mask(s.bits, block * GROUPS + group), broadcast_int(bit), broadcast_int(0))
        done = group * VECTOR_WIDTH
        if done + VECTOR_WIDTH <= number:
            store(t.entry_mask, first + done, masks)
        else:  # the rest of the vector belongs to the next tile's entries
            store(s.starts, 0, masks)
            for k in range(number - done):
                put_int(t.entry_mask, first + done + k, get_int(s.starts, k))


@kernel
def _row_of(state: int, i: int) -> Any:
    """The four blocks of a row of blocks, from i on."""
    return (
        load(state, i), load(state, i + VECTOR_WIDTH), load(state, i + 2 * VECTOR_WIDTH),
        load(state, i + 3 * VECTOR_WIDTH),
    )  # fmt: skip


@kernel
def _forward_tile(t: Tiles, tile: int, entry: int, end: int, s: Scratch, depth: Any) -> None:
    tile_x, tile_y = tile % t.across * TILE, tile // t.across * TILE
    open_blocks = open_tile(t, tile_x, tile_y, s.state)
    for i in range(AREA, 5 * AREA, VECTOR_WIDTH):
        store(s.state, i, zeros())
    while entry < end and open_blocks != 0:
        number = min(CHUNK, end - entry)
        _find_bits(t, entry, number, tile_x, tile_y, s)
        were_open = open_blocks
        for block in range(BLOCKS):
            if (open_blocks >> block) & 1 != 0 and not _blend_block(
                t.records, block, (number + 63) // 64, tile_x, tile_y, s, depth
            ):
                open_blocks &= ~(1 << block)
        if t.entry_mask != 0:
            _write_masks(t, entry, number, were_open, s)
        entry += number
    if t.entry_mask != 0:
        for hidden in range(entry, end):
            put_int(t.entry_mask, hidden, 0)
    for row in range(BLOCKS_Y):
        place, i = (tile_y + row * BLOCK_HEIGHT) * t.stride + tile_x, row * BLOCKS_X * VECTOR_WIDTH
        for plane in range(1, 4):
            store_four_blocks(t.frame, (plane - 1) * t.plane + place, t.stride, _row_of(s.state, plane * AREA + i))
        a, b, c, d = _row_of(s.state, i)
        store_four_blocks(t.frame, 3 * t.plane + place, t.stride, (absolute(a), absolute(b), absolute(c), absolute(d)))
        if depth is not None:
            store_four_blocks(depth, place, t.stride, _row_of(s.state, 4 * AREA + i))


@kernel
def _forward_worker(
    tickets: Any, tiles: int, schedule: Any, records: Any, entry_splat: Any, entry_mask: Any, tile_start: Any,
    width: int, height: int, frame: Any, depth: Any,
) -> int:  # fmt: skip
    t = tiles_of(records, entry_splat, entry_mask, frame, width, height)
    state, rows = scratch(5 * AREA), scratch(5 * BLOCKS_Y * VECTOR_WIDTH)
    starts, bits = np.empty(CHUNK, np.int32), np.empty(BLOCKS * CHUNK // 32, np.int32)
    s = Scratch(address(state), address(starts), address(bits), address(rows))
    while True:
        k = take_ticket(tickets, 0)
        if k >= tiles:
            break
        tile = get_int(schedule, k)
        _forward_tile(t, tile, get_int(tile_start, tile), get_int(tile_start, tile + 1), s, address_or_none(depth))
    return keep(state) + keep(rows) + keep(starts) + keep(bits)


@parallel_kernel
def rasterize(
    threads: int,
    records: Any,
    entry_splat: Any,  # (entries,) int32
    entry_mask: Any,  # (entries,) int32, out: bit b: the entry reached block b of its tile; empty: not kept
    tile_start: Any,  # (tiles + 1,) int32
    schedule: Any,  # (tiles,) int32
    width: int,
    height: int,
    frame: Any,  # 4 planes: premultiplied colour, transmittance; out
    depth: Any,  # a plane: sum of weight times planar depth; out. None: not wanted
) -> None:
    """Blend all tiles, without background."""
    tiles = ((width + TILE - 1) // TILE) * ((height + TILE - 1) // TILE)
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _forward_worker(
            tickets, tiles, schedule, records, entry_splat, entry_mask, tile_start, width, height, frame, depth
        )


__all__ = ["meet_blocks", "rasterize"]
