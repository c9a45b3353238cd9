# SPDX-License-Identifier: Apache-2.0
"""The gradient of the blending in cpu.py.

Front to back once more, entry by entry, over exactly the blocks that the forward pass noted in the entry's mask. Each
pixel keeps S, what is still to come: dL/dcolour . (colour behind) + dL/dT T_final. With w = alpha T: S -= w (c . g),
dL/dalpha = T (c . g) - S / (1 - alpha). The sums over a tile's pixels go to the entry's own slot: no atomics, one
result for any thread count.

Depth is left out at compile time where its arguments are None, as in cpu.py.
"""

from __future__ import annotations

from typing import Any

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
    exp2,
    get,
    get_int,
    lane_sum,
    load,
    load_four_blocks,
    maximum,
    minimum,
    prefetch,
    put,
    select,
    store,
    store_eight_sums,
    take_ticket,
    trailing_zeros,
    zeros,
)  # fmt: skip
from .tiles import AREA, BLOCKS, BLOCKS_X, BLOCKS_Y, LOWEST_EXPONENT, Tiles, f, open_tile, pixel_offsets, tiles_of

ALL_BLOCKS = (1 << BLOCKS) - 1
LOOK_AHEAD = 4


@kernel
def _put_row(state: int, i: int, row: Any) -> None:
    store(state, i, row[0])
    store(state, i + VECTOR_WIDTH, row[1])
    store(state, i + 2 * VECTOR_WIDTH, row[2])
    store(state, i + 3 * VECTOR_WIDTH, row[3])


@kernel
def _load_tile(
    t: Tiles, tile_x: int, tile_y: int, background: Any, gradient: int, state: int, depth: Any, depth_gradient: Any
) -> None:
    """State of the backward pass by blocks beside T (below MIN_TRANSMITTANCE: done): S, three planes of dL/dcolour."""
    for row in range(BLOCKS_Y):
        place, i = (tile_y + row * BLOCK_HEIGHT) * t.stride + tile_x, row * BLOCKS_X * VECTOR_WIDTH
        through = load_four_blocks(t.frame, 3 * t.plane + place, t.stride)
        g = load_four_blocks(gradient, 3 * t.plane + place, t.stride)
        rest = (through[0] * g[0], through[1] * g[1], through[2] * g[2], through[3] * g[3])
        for channel in range(3):
            g = load_four_blocks(gradient, channel * t.plane + place, t.stride)
            _put_row(state, (2 + channel) * AREA + i, g)
            seen, shade = load_four_blocks(t.frame, channel * t.plane + place, t.stride), background[channel]
            rest = (
                (seen[0] + through[0] * shade) * g[0] + rest[0], (seen[1] + through[1] * shade) * g[1] + rest[1],
                (seen[2] + through[2] * shade) * g[2] + rest[2], (seen[3] + through[3] * shade) * g[3] + rest[3],
            )  # fmt: skip
        if depth is not None:
            g, seen = load_four_blocks(depth_gradient, place, t.stride), load_four_blocks(depth, place, t.stride)
            _put_row(state, 7 * AREA + i, g)
            rest = (
                seen[0] * g[0] + rest[0], seen[1] * g[1] + rest[1], seen[2] * g[2] + rest[2], seen[3] * g[3] + rest[3]
            )  # fmt: skip
        _put_row(state, AREA + i, rest)


@kernel
def _place_pixels(state: int) -> None:
    """x and y of all pixel centres in a tile, by blocks: planes 5 and 6 of the backward pass's state."""
    x, y = pixel_offsets()
    for block in range(BLOCKS):
        store(state, 5 * AREA + block * VECTOR_WIDTH, x + f(block % BLOCKS_X * BLOCK_WIDTH))
        store(state, 6 * AREA + block * VECTOR_WIDTH, y + f(block // BLOCKS_X * BLOCK_HEIGHT))


@inlined_kernel
def _backward_entry(
    records: int, r: int, bits: int, tile_x: int, tile_y: int, state: int, slots: int, s: int, depth: Any
) -> None:
    """One splat over the blocks of `bits`: update T and S, add up the nine or ten sums, write them to the slot at s."""
    u, v = get(records, r + at.MEAN_X) - f(tile_x), get(records, r + at.MEAN_Y) - f(tile_y)
    v0, vx, vy, vxx, vxy, vyy = zeros(), zeros(), zeros(), zeros(), zeros(), zeros()
    d_red, d_green, d_blue = zeros(), zeros(), zeros()
    if depth is not None:
        d_depth = zeros()
    rest_of_bits = np.int64(bits) & ALL_BLOCKS
    while rest_of_bits != 0:
        block = trailing_zeros(rest_of_bits)
        rest_of_bits &= rest_of_bits - 1
        i = block * VECTOR_WIDTH
        dx, dy = load(state, 5 * AREA + i) - u, load(state, 6 * AREA + i) - v
        # The record is read anew for every block: a broadcast from memory is free, a spilled vector is not.
        power = dx * (dx * get(records, r + at.A) + dy * get(records, r + at.B)) + get(records, r + at.LOG2_OPACITY)
        power = dy * (dy * get(records, r + at.C)) + power
        before = load(state, i)
        touched = (power >= LOG2_CUTOFF) & (before >= MIN_TRANSMITTANCE)
        unclamped = exp2(maximum(power, LOWEST_EXPONENT))
        alpha = minimum(unclamped, MAX_ALPHA)
        passed = 1.0 - alpha
        # Not select(touched, ..., before): LLVM would make a masked store of it, from which a load must wait.
        left = before * select(touched, passed, 1.0)  # the same operations as in the forward pass
        store(state, i, left)
        blended = touched & (left >= MIN_TRANSMITTANCE)
        weight = select(blended, before * alpha, zeros())
        g0, g1, g2 = load(state, 2 * AREA + i), load(state, 3 * AREA + i), load(state, 4 * AREA + i)
        shade = g0 * get(records, r + at.RED) + g1 * get(records, r + at.GREEN) + g2 * get(records, r + at.BLUE)
        if depth is not None:
            g3 = load(state, 7 * AREA + i)
            shade = g3 * get(records, r + at.DEPTH) + shade
            d_depth = weight * g3 + d_depth
        rest = load(state, AREA + i) - weight * shade
        store(state, AREA + i, rest)
        pull = alpha * (before * shade - rest / passed)
        pull = select(blended & (unclamped < MAX_ALPHA), pull, zeros())  # nothing flows through the clamp
        v_dx, v_dy = pull * dx, pull * dy
        v0, vx, vy = v0 + pull, vx + v_dx, vy + v_dy
        vxx, vxy, vyy = v_dx * dx + vxx, v_dx * dy + vxy, v_dy * dy + vyy
        d_red, d_green, d_blue = weight * g0 + d_red, weight * g1 + d_green, weight * g2 + d_blue
    store_eight_sums(slots, s, (v0, vx, vy, vxx, vxy, vyy, d_red, d_green))
    put(slots, s + at.SUM_BLUE, lane_sum(d_blue))
    if depth is not None:
        put(slots, s + at.SUM_DEPTH, lane_sum(d_depth))


@kernel
def _backward_worker(
    tickets: Any, tiles: int, schedule: Any, records: Any, entry_splat: Any, entry_slot: Any, entry_mask: Any,
    tile_start: Any, width: int, height: int, frame: Any, background: Any, gradient: Any, slots: Any, slot_used: Any,
    depth: Any, depth_gradient: Any,
) -> int:  # fmt: skip
    memory = scratch(8 * AREA)
    state, sums, gradients = address(memory), address(slots), address(gradient)
    t = tiles_of(records, entry_splat, entry_mask, frame, width, height)
    distances, pull = address_or_none(depth), address_or_none(depth_gradient)
    _place_pixels(state)
    colour = (get(background, 0), get(background, 1), get(background, 2))
    while True:
        k = take_ticket(tickets, 0)
        if k >= tiles:
            break
        tile = get_int(schedule, k)
        entry, end = get_int(tile_start, tile), get_int(tile_start, tile + 1)
        if entry == end:
            continue
        tile_x, tile_y = tile % t.across * TILE, tile // t.across * TILE
        open_tile(t, tile_x, tile_y, state)
        _load_tile(t, tile_x, tile_y, colour, gradients, state, distances, pull)
        while entry < end:
            bits, slot = get_int(t.entry_mask, entry), get_int(entry_slot, entry)
            prefetch(t.records, get_int(t.entry_splat, min(entry + LOOK_AHEAD, end - 1)) * RECORD_SIZE)
            slot_used[slot] = 0
            if bits != 0:
                slot_used[slot] = 1
                record = get_int(t.entry_splat, entry) * RECORD_SIZE
                _backward_entry(
                    t.records, record, bits, tile_x, tile_y, state, sums, slot * RECORD_SIZE, distances
                )
            entry += 1
    return keep(memory)


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
    depth: Any,  # of rasterize
    depth_gradient: Any,  # a plane of dL/ddepth; None without depth
) -> None:
    """The tiles' sums for every entry that reached a pixel."""
    tiles = ((width + TILE - 1) // TILE) * ((height + TILE - 1) // TILE)
    tickets = np.zeros(1, np.int32)
    for _ in prange(threads):
        _backward_worker(
            tickets, tiles, schedule, records, entry_splat, entry_slot, entry_mask, tile_start, width, height, frame,
            background, gradient, slots, slot_used, depth, depth_gradient,
        )  # fmt: skip


__all__ = ["rasterize_backward"]
