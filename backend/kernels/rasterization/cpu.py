# SPDX-License-Identifier: Apache-2.0
"""Blending of depth-sorted splats, tile by tile (3D Gaussian Splatting, Kerbl et al. 2023), and its gradient.

A vector of pixels is a block of 4 x BLOCK_HEIGHT pixels, which a small splat fills better than a row of 8 or 16 would.

Forward works a tile through in chunks of its list: one vector operation a splat finds the blocks that its ellipse
meets, and the splat joins their lists; then every block runs down its own list with colour and transmittance in
registers, and stops when its last pixel is done. A bit mask an entry remembers which blocks it reached.

Backward goes front to back once more, splat by splat, over exactly those blocks. Each pixel keeps S, what is still to
come: dL/dcolour . (colour behind) + dL/dT T_final. With w = alpha T: S -= w (c . g), dL/dalpha = T (c . g) - S /
(1 - alpha). The sums over a tile's pixels go to the entry's own slot: no atomics, one result for any thread count.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from .. import layout as at
from ..buffers import scratch
from ..jit import kernel, parallel_kernel
from ..layout import LOG2_CUTOFF, MAX_ALPHA, MIN_TRANSMITTANCE, TILE
from ..simd import (
    BLOCK_HEIGHT,
    BLOCK_WIDTH,
    RECORD_SIZE,
    VECTOR_WIDTH,
    absolute,
    exp2,
    floor,
    get,
    get_int,
    invert,
    lane_numbers,
    lane_sum,
    load,
    load_block,
    mask_bits,
    maximum,
    minimum,
    prefetch,
    put,
    put_int,
    select,
    store,
    store_block,
    store_eight_sums,
    take_ticket,
    trailing_zeros,
    zeros,
)  # fmt: skip

f = np.float32
BLOCKS_X = TILE // BLOCK_WIDTH
BLOCKS = TILE * TILE // VECTOR_WIDTH
ALL_BLOCKS = (1 << BLOCKS) - 1
AREA = TILE * TILE
CHUNK = 128
"""Entries whose block lists are built at a time; their records (8 KB) stay in the first cache."""
LOWEST_EXPONENT = f(-16)
"""Far from a splat exp2 would make denormals, which are a hundred times slower; anything below the cutoff will do."""
ROUNDING = f(1e-3)
"""Slack of the block test, in log2(alpha)."""
LOOK_AHEAD = 4
WIDTH_F, BLOCK_WIDTH_F, BLOCK_HEIGHT_F = f(VECTOR_WIDTH), f(BLOCK_WIDTH), f(BLOCK_HEIGHT)


@kernel
def _pixel_offsets() -> Any:
    """x and y of each lane's pixel centre in a block."""
    lanes = lane_numbers()
    row = floor(lanes * (f(1) / BLOCK_WIDTH_F))
    return lanes - row * BLOCK_WIDTH_F + f(0.5), row + f(0.5)


@kernel
def blocks_met(records: Any, record: int, tile_x: int, tile_y: int) -> int:
    """Bit b is set if block b of the tile can hold a pixel with alpha >= 1/255; a few set bits too many do no harm.

    log2(alpha) is concave, so over a block's box it is largest at the mean if that lies inside, else on the edges that
    face the mean: both candidates are evaluated, one lane a block.
    """
    u, v = get(records, record + at.MEAN_X), get(records, record + at.MEAN_Y)
    a, b, c = get(records, record + at.A), get(records, record + at.B), get(records, record + at.C)
    slope_y, slope_x = get(records, record + at.SLOPE_Y), get(records, record + at.SLOPE_X)
    level = LOG2_CUTOFF - ROUNDING - get(records, record + at.LOG2_OPACITY)
    lanes = lane_numbers()
    row = floor(lanes * (f(1) / f(BLOCKS_X)))
    x_low = (lanes - row * f(BLOCKS_X)) * BLOCK_WIDTH_F + (f(tile_x) + f(0.5) - u)
    x_high = x_low + (BLOCK_WIDTH_F - f(1))
    y_low = row * BLOCK_HEIGHT_F + (f(tile_y) + f(0.5) - v)
    x_edge = minimum(maximum(x_low, 0.0), x_high)
    bits = 0
    for first in range(0, BLOCKS, VECTOR_WIDTH):
        y_high = y_low + (BLOCK_HEIGHT_F - f(1))
        y_edge = minimum(maximum(y_low, 0.0), y_high)
        y_best = minimum(maximum(x_edge * slope_y, y_low), y_high)
        x_best = minimum(maximum(y_edge * slope_x, x_low), x_high)
        on_column = (y_best * c + x_edge * b) * y_best + x_edge * x_edge * a
        on_row = (y_edge * c + x_best * b) * y_edge + x_best * x_best * a
        met = (on_column >= level) | (on_row >= level)
        bits |= int(mask_bits(met)) << first
        y_low = y_low + f(VECTOR_WIDTH // BLOCKS_X) * BLOCK_HEIGHT_F
    return bits


@kernel
def _list_blocks(
    records: Any, entry_splat: Any, entry_mask: Any, first: int, last: int, tile_x: int, tile_y: int, open_blocks: int,
    starts: Any, lists: Any, counts: Any,
) -> None:  # fmt: skip
    """Distribute the entries first..last over the lists of the blocks that are still open."""
    counts[:] = 0
    for entry in range(first, last):
        record = get_int(entry_splat, entry) * RECORD_SIZE
        prefetch(records, get_int(entry_splat, min(entry + LOOK_AHEAD, last - 1)) * RECORD_SIZE)
        put_int(starts, entry - first, record)
        put_int(entry_mask, entry, 0)
        bits = blocks_met(records, record, tile_x, tile_y) & open_blocks
        for block in range(BLOCKS):
            # Branch-free: the entry is always written, but it only counts where the bit is set.
            number = get_int(counts, block)
            put_int(lists, block * CHUNK + number, entry - first)
            put_int(counts, block, number + ((bits >> block) & 1))


@kernel
def _blend_block(
    records: Any, entry_mask: Any, first: int, block: int, number: int, tile_x: int, tile_y: int, starts: Any,
    lists: Any, state: Any,
) -> bool:  # fmt: skip
    """Run one block down its list; returns False when all its pixels are done."""
    x, y = _pixel_offsets()
    x = x + f(tile_x + block % BLOCKS_X * BLOCK_WIDTH)
    y = y + f(tile_y + block // BLOCKS_X * BLOCK_HEIGHT)
    at_state = block * VECTOR_WIDTH
    signed = load(state, at_state)
    open_pixels = signed > 0.0
    transmittance = absolute(signed)
    red, green = load(state, AREA + at_state), load(state, 2 * AREA + at_state)
    blue = load(state, 3 * AREA + at_state)
    bit = 1 << block
    k = 0
    while k < number:
        entry = get_int(lists, block * CHUNK + k)
        r = get_int(starts, entry)
        dx, dy = x - get(records, r + at.MEAN_X), y - get(records, r + at.MEAN_Y)
        power = dx * (dx * get(records, r + at.A) + dy * get(records, r + at.B)) + get(records, r + at.LOG2_OPACITY)
        power = dy * (dy * get(records, r + at.C)) + power
        touched = open_pixels & (power >= LOG2_CUTOFF)
        alpha = minimum(exp2(maximum(power, LOWEST_EXPONENT)), MAX_ALPHA)
        left = transmittance * (1.0 - alpha)  # one multiplication: entries of a block wait for each other here
        enough = left >= MIN_TRANSMITTANCE
        blended = touched & enough
        open_pixels = open_pixels & (enough | invert(touched))
        weight = select(blended, transmittance * alpha, zeros())
        transmittance = select(blended, left, transmittance)
        red = weight * get(records, r + at.RED) + red
        green = weight * get(records, r + at.GREEN) + green
        blue = weight * get(records, r + at.BLUE) + blue
        # Entries that only end a pixel count as well: backward must end it at the same place.
        reached = bit if mask_bits(touched) != 0 else 0
        put_int(entry_mask, first + entry, get_int(entry_mask, first + entry) | reached)
        k = k + 1 if mask_bits(open_pixels) != 0 else number  # no break: one exit lets Numba drop reference counts
    store(state, at_state, select(open_pixels, transmittance, 0.0 - transmittance))
    store(state, AREA + at_state, red)
    store(state, 2 * AREA + at_state, green)
    store(state, 3 * AREA + at_state, blue)
    return mask_bits(open_pixels) != 0


@kernel
def _open_tile(tile_x: int, tile_y: int, width: int, height: int, state: Any) -> int:
    """Reset a tile's state; returns the bits of the blocks that lie in the frame at least in part.

    Transmittance is kept with a sign: negative where a pixel is done, as those outside the frame are at once.
    """
    x, y = _pixel_offsets()
    bits = 0
    for block in range(BLOCKS):
        inside = (x + f(tile_x + block % BLOCKS_X * BLOCK_WIDTH)) < f(width)
        inside = inside & ((y + f(tile_y + block // BLOCKS_X * BLOCK_HEIGHT)) < f(height))
        store(state, block * VECTOR_WIDTH, select(inside, 1.0, -1.0))
        if mask_bits(inside) != 0:
            bits |= 1 << block
    for i in range(AREA, 4 * AREA, VECTOR_WIDTH):
        store(state, i, zeros())
    return bits


@kernel
def _forward_tile(
    tile: int, records: Any, entry_splat: Any, entry_mask: Any, tile_start: Any, width: int, height: int, frame: Any,
    state: Any, starts: Any, lists: Any, counts: Any,
) -> None:  # fmt: skip
    tiles_x = (width + TILE - 1) // TILE
    stride, plane = tiles_x * TILE, tiles_x * TILE * ((height + TILE - 1) // TILE) * TILE
    tile_x, tile_y = tile % tiles_x * TILE, tile // tiles_x * TILE
    open_blocks = _open_tile(tile_x, tile_y, width, height, state)
    entry, end = get_int(tile_start, tile), get_int(tile_start, tile + 1)
    while entry < end and open_blocks != 0:
        last = min(entry + CHUNK, end)
        _list_blocks(
            records, entry_splat, entry_mask, entry, last, tile_x, tile_y, open_blocks, starts, lists, counts
        )
        for block in range(BLOCKS):
            number = get_int(counts, block)
            if number > 0 and not _blend_block(
                records, entry_mask, entry, block, number, tile_x, tile_y, starts, lists, state
            ):
                open_blocks &= ~(1 << block)
        entry = last
    for hidden in range(entry, end):
        put_int(entry_mask, hidden, 0)
    for block in range(BLOCKS):
        place = (tile_y + block // BLOCKS_X * BLOCK_HEIGHT) * stride + tile_x + block % BLOCKS_X * BLOCK_WIDTH
        for channel in range(3):
            value = load(state, (channel + 1) * AREA + block * VECTOR_WIDTH)
            store_block(frame, channel * plane + place, stride, value)
        store_block(frame, 3 * plane + place, stride, absolute(load(state, block * VECTOR_WIDTH)))


@kernel
def _forward_worker(
    tickets: Any, tiles: int, schedule: Any, records: Any, entry_splat: Any, entry_mask: Any, tile_start: Any,
    width: int, height: int, frame: Any,
) -> None:  # fmt: skip
    state = scratch(4 * AREA)
    starts = np.empty(CHUNK, np.int32)
    lists = np.empty(BLOCKS * CHUNK + 1, np.int32)
    counts = np.empty(BLOCKS, np.int32)
    while True:
        k = take_ticket(tickets, 0)
        if k >= tiles:
            break
        _forward_tile(
            get_int(schedule, k), records, entry_splat, entry_mask, tile_start, width, height, frame, state, starts,
            lists, counts,
        )  # fmt: skip


@parallel_kernel
def rasterize(
    threads: int,
    records: Any,
    entry_splat: Any,  # (entries,) int32
    entry_mask: Any,  # (entries,) int32, out: bit b: the entry reached block b of its tile
    tile_start: Any,  # (tiles + 1,) int32
    schedule: Any,  # (tiles,) int32
    width: int,
    height: int,
    frame: Any,  # 4 planes: premultiplied colour, transmittance; out
) -> None:
    """Blend all tiles, without background."""
    tiles = ((width + TILE - 1) // TILE) * ((height + TILE - 1) // TILE)
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _forward_worker(
            tickets, tiles, schedule, records, entry_splat, entry_mask, tile_start, width, height, frame
        )


@kernel
def _load_tile(
    tile_x: int, tile_y: int, stride: int, plane: int, frame: Any, background: Any, gradient: Any, state: Any
) -> None:
    """State of the backward pass by blocks: T = 1, S, and the three planes of dL/dcolour."""
    for block in range(BLOCKS):
        place = (tile_y + block // BLOCKS_X * BLOCK_HEIGHT) * stride + tile_x + block % BLOCKS_X * BLOCK_WIDTH
        i = block * VECTOR_WIDTH
        transmittance = load_block(frame, 3 * plane + place, stride)
        rest = transmittance * load_block(gradient, 3 * plane + place, stride)
        for channel in range(3):
            g = load_block(gradient, channel * plane + place, stride)
            store(state, (2 + channel) * AREA + i, g)
            colour = load_block(frame, channel * plane + place, stride) + transmittance * get(background, channel)
            rest = rest + g * colour
        store(state, AREA + i, rest)


@kernel
def _backward_entry(records: Any, r: int, bits: int, tile_x: int, tile_y: int, state: Any, slots: Any, s: int) -> None:
    """One splat over the blocks of `bits`: update T and S, add up the nine sums, write them to the slot at s."""
    x_offset, y_offset = _pixel_offsets()
    x_offset = x_offset + (f(tile_x) - get(records, r + at.MEAN_X))
    y_offset = y_offset + (f(tile_y) - get(records, r + at.MEAN_Y))
    v0, vx, vy, vxx, vxy, vyy = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
    d_red, d_green, d_blue = zeros(), zeros(), zeros()
    rest_of_bits = np.int64(bits) & ALL_BLOCKS
    while rest_of_bits != 0:
        block = trailing_zeros(rest_of_bits)
        rest_of_bits &= rest_of_bits - 1
        i = block * VECTOR_WIDTH
        dx, dy = x_offset + f(block % BLOCKS_X * BLOCK_WIDTH), y_offset + f(block // BLOCKS_X * BLOCK_HEIGHT)
        # The record is read anew for every block: a broadcast from memory is free, a spilled vector is not.
        power = dx * (dx * get(records, r + at.A) + dy * get(records, r + at.B)) + get(records, r + at.LOG2_OPACITY)
        power = dy * (dy * get(records, r + at.C)) + power
        signed = load(state, i)
        touched = (power >= LOG2_CUTOFF) & (signed > 0.0)
        unclamped = exp2(maximum(power, LOWEST_EXPONENT))
        alpha = minimum(unclamped, MAX_ALPHA)
        passed = 1.0 - alpha
        blended = touched & (signed * passed >= MIN_TRANSMITTANCE)  # the same operations as in the forward pass
        weight = select(blended, signed * alpha, zeros())
        # Not select(touched, ..., signed): LLVM would make a masked store of it, from which a load must wait.
        left = signed * select(blended, passed, 1.0)
        store(state, i, select(touched & invert(blended), 0.0 - left, left))
        g0, g1, g2 = load(state, 2 * AREA + i), load(state, 3 * AREA + i), load(state, 4 * AREA + i)
        shade = g0 * get(records, r + at.RED) + g1 * get(records, r + at.GREEN) + g2 * get(records, r + at.BLUE)
        rest = load(state, AREA + i) - weight * shade
        store(state, AREA + i, rest)
        v = alpha * (signed * shade - rest / passed)
        v = select(blended & (unclamped < MAX_ALPHA), v, zeros())  # nothing flows through the clamp
        v_dx, v_dy = v * dx, v * dy
        v0, vx, vy = v0 + v, vx + v_dx, vy + v_dy
        vxx, vxy, vyy = v_dx * dx + vxx, v_dx * dy + vxy, v_dy * dy + vyy
        d_red, d_green, d_blue = weight * g0 + d_red, weight * g1 + d_green, weight * g2 + d_blue
    store_eight_sums(slots, s, (v0, vx, vy, vxx, vxy, vyy, d_red, d_green))
    put(slots, s + at.SUM_BLUE, lane_sum(d_blue))


@kernel
def _backward_worker(
    tickets: Any, tiles: int, schedule: Any, records: Any, entry_splat: Any, entry_slot: Any, entry_mask: Any,
    tile_start: Any, width: int, height: int, frame: Any, background: Any, gradient: Any, slots: Any, slot_used: Any,
) -> None:  # fmt: skip
    state = scratch(5 * AREA)
    tiles_x = (width + TILE - 1) // TILE
    stride, plane = tiles_x * TILE, tiles_x * TILE * ((height + TILE - 1) // TILE) * TILE
    while True:
        k = take_ticket(tickets, 0)
        if k >= tiles:
            break
        tile = get_int(schedule, k)
        entry, end = get_int(tile_start, tile), get_int(tile_start, tile + 1)
        if entry == end:
            continue
        tile_x, tile_y = tile % tiles_x * TILE, tile // tiles_x * TILE
        _open_tile(tile_x, tile_y, width, height, state)
        _load_tile(tile_x, tile_y, stride, plane, frame, background, gradient, state)
        while entry < end:
            bits, slot = get_int(entry_mask, entry), get_int(entry_slot, entry)
            prefetch(records, get_int(entry_splat, min(entry + LOOK_AHEAD, end - 1)) * RECORD_SIZE)
            slot_used[slot] = 0
            if bits != 0:
                slot_used[slot] = 1
                record = get_int(entry_splat, entry) * RECORD_SIZE
                _backward_entry(records, record, bits, tile_x, tile_y, state, slots, slot * RECORD_SIZE)
            entry += 1


@parallel_kernel
def rasterize_backward(
    threads: int,
    records: Any,
    entry_splat: Any,
    entry_slot: Any,
    entry_mask: Any,
    tile_start: Any,
    schedule: Any,
    width: int,
    height: int,
    frame: Any,  # of rasterize
    background: Any,  # (3,) the image is colour + transmittance * background
    gradient: Any,  # 4 planes: dL/dimage, and dL/dtransmittance of terms that see the alpha itself
    slots: Any,  # (entries * 16,), out
    slot_used: Any,  # (entries,) uint8, out
) -> None:
    """The tiles' sums for every entry that reached a pixel."""
    tiles = ((width + TILE - 1) // TILE) * ((height + TILE - 1) // TILE)
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _backward_worker(
            tickets, tiles, schedule, records, entry_splat, entry_slot, entry_mask, tile_start, width, height, frame,
            background, gradient, slots, slot_used,
        )  # fmt: skip


__all__ = ["blocks_met", "rasterize", "rasterize_backward"]
