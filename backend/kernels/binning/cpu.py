# SPDX-License-Identifier: Apache-2.0
"""From projected splats to depth-sorted lists of splats, one list a tile.

Splats are sorted by depth once (radix sort on the bits of the depth), then distributed over the tiles by a stable
counting sort: each thread takes a stretch of the sorted splats and owns a histogram, so nothing is atomic and the
lists do not depend on the number of threads. An *entry* is a splat in a tile's list; a *slot* is the same pair seen
from the splat: slots of one splat are consecutive, and the raster backward pass writes its sums there.

Counting and filling are two calls: the caller makes room for the entries in between, so that no splat, however
huge, can overflow a buffer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import prange

from .. import layout as at
from ..jit import kernel, parallel_kernel
from ..layout import LOG2_CUTOFF, TILE
from ..simd import RECORD_SIZE, get, get_int, put_int

f = np.float32
DIGIT_BITS = 12
DIGITS = 1 << DIGIT_BITS
_LOAD_CLASSES = 256


@kernel
def sort_by_depth(depths: Any, rect_high: Any, size: int, order: Any, keys: Any, spare: Any, spare_keys: Any) -> int:
    """Write the drawn splats to `order`, nearest first, equal depths by index; returns their number.

    Depths are positive, so their bits order like integers. Digits that all keys share are skipped.
    """
    count, low, high = 0, 0x7FFFFFFF, 0
    for i in range(size):
        if get_int(rect_high, i) >= 0:
            key = get_int(depths, i)
            low, high = min(low, key), max(high, key)
            put_int(order, count, i)
            put_int(keys, count, key)
            count += 1
    source, source_keys, target, target_keys = order, keys, spare, spare_keys
    starts = np.empty(DIGITS, np.int32)
    shift, passes = 0, 0
    while count > 0 and ((high - low) >> shift) > 0:
        starts[:] = 0
        for j in range(count):
            digit = ((get_int(source_keys, j) - low) >> shift) & (DIGITS - 1)
            put_int(starts, digit, get_int(starts, digit) + 1)
        total = 0
        for digit in range(DIGITS):
            number = starts[digit]
            starts[digit] = total
            total += number
        for j in range(count):
            key = get_int(source_keys, j)
            digit = ((key - low) >> shift) & (DIGITS - 1)
            place = get_int(starts, digit)
            put_int(starts, digit, place + 1)
            put_int(target, place, get_int(source, j))
            put_int(target_keys, place, key)
        source, target = target, source
        source_keys, target_keys = target_keys, source_keys
        shift += DIGIT_BITS
        passes += 1
    if passes % 2 == 1:
        order[:count] = spare[:count]
    return count


@kernel
def row_span(records: Any, record: int, y_low: Any, y_high: Any) -> Any:
    """Lowest and highest x of the ellipse {alpha >= 1/255} between two horizontal lines that it meets."""
    u, v = get(records, record + at.MEAN_X), get(records, record + at.MEAN_Y)
    a = f(-2) * get(records, record + at.A)
    b = -get(records, record + at.B)
    c = f(-2) * get(records, record + at.C)
    level = f(2) * (get(records, record + at.LOG2_OPACITY) - LOG2_CUTOFF)
    extreme = get(records, record + at.SLOPE_Y) * get(records, record + at.HALF_WIDTH)  # dy of the rightmost point
    low, high = y_low - v, y_high - v
    dy_right, dy_left = min(max(extreme, low), high), min(max(-extreme, low), high)
    det = b * b - a * c
    right = math.sqrt(max(det * dy_right * dy_right + a * level, f(0)))
    left = math.sqrt(max(det * dy_left * dy_left + a * level, f(0)))
    return u + (-b * dy_left - left) / a, u + (-b * dy_right + right) / a


@kernel
def spanned_tiles(records: Any, i: int, low: int, high: int, tiles_x: int, found: Any) -> int:
    """Write the tiles that splat i's ellipse touches within its rectangle to `found`; returns their number."""
    first_x, first_y, last_x, last_y = low & 0xFFFF, low >> 16, high & 0xFFFF, high >> 16
    count = 0
    for row in range(first_y, last_y + 1):
        x0, x1 = row_span(records, i * RECORD_SIZE, f(row * TILE) + f(0.5), f(row * TILE + TILE) - f(0.5))
        # The hundredth of a pixel covers rounding; min and max before int() also catch NaN and infinity.
        left = max(first_x, int(max(min(x0 - f(0.51), f(last_x * TILE)), f(0))) // TILE)
        right = min(last_x, int(max(min(x1 - f(0.49), f(last_x * TILE)), f(0))) // TILE)
        for column in range(left, right + 1):
            put_int(found, count, row * tiles_x + column)
            count += 1
    return count


@kernel
def is_small(low: int, high: int) -> bool:
    """The rectangle has at most 2 x 2 tiles: all are taken, an exact test would cost more than the spare entries."""
    return (high & 0xFFFF) - (low & 0xFFFF) <= 1 and (high >> 16) - (low >> 16) <= 1


@kernel
def _add(counters: Any, place: int, amount: int) -> None:
    put_int(counters, place, get_int(counters, place) + amount)


@kernel
def _count_range(
    records: Any, order: Any, first: int, last: int, rect_low: Any, rect_high: Any, tiles_x: int, histogram: Any,
    slot_count: Any,
) -> None:  # fmt: skip
    found = np.empty(histogram.size + 1, np.int32)
    histogram[:] = 0
    for j in range(first, last):
        i = get_int(order, j)
        low, high = get_int(rect_low, i), get_int(rect_high, i)
        if is_small(low, high):
            # Without branches, which nobody can predict: four tiles, of which some may coincide and count zero.
            wide, tall = (high & 0xFFFF) - (low & 0xFFFF), (high >> 16) - (low >> 16)
            tile = (low >> 16) * tiles_x + (low & 0xFFFF)
            below = tile + tall * tiles_x
            _add(histogram, tile, 1)
            _add(histogram, tile + wide, wide)
            _add(histogram, below, tall)
            _add(histogram, below + wide, wide & tall)
            put_int(slot_count, i, (wide + 1) * (tall + 1))
        else:
            count = spanned_tiles(records, i, low, high, tiles_x, found)
            put_int(slot_count, i, count)
            for k in range(count):
                _add(histogram, get_int(found, k), 1)


@parallel_kernel
def count_entries(
    threads: int,
    records: Any,
    depths: Any,  # (P,)
    rect_low: Any,  # (P,)
    rect_high: Any,  # (P,)
    width: int,
    height: int,
    order: Any,  # (P,) int32 scratch: drawn splats by depth, out
    keys: Any,  # 3 P int32 scratch
    histograms: Any,  # (threads, tiles) int32, out
    slot_first: Any,  # (P,) int32, out
    slot_count: Any,  # (P,) int32, out
    summary: Any,  # (2,) int64: number of drawn splats, number of entries, out
) -> None:
    """Sort by depth and count the entries of each tile and each splat."""
    size = depths.size
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    drawn = sort_by_depth(depths, rect_high, size, order, keys[:size], keys[size : 2 * size], keys[2 * size :])
    slot_count[:] = 0
    for thread in prange(threads):
        _count_range(
            records, order, drawn * thread // threads, drawn * (thread + 1) // threads, rect_low, rect_high, tiles_x,
            histograms[thread, : tiles_x * tiles_y], slot_count,
        )  # fmt: skip
    total = 0
    for i in range(size):
        put_int(slot_first, i, total)
        total += get_int(slot_count, i)
    summary[0] = drawn
    summary[1] = total


@kernel
def _starts_and_schedule(histograms: Any, threads: int, tiles: int, tile_start: Any, schedule: Any) -> None:
    """Turn the histograms into the place of each thread's first entry in each tile; order the tiles by load."""
    place = 0
    heaviest = 1
    for tile in range(tiles):
        tile_start[tile] = place
        for thread in range(threads):
            number = histograms[thread, tile]
            histograms[thread, tile] = place
            place += number
        heaviest = max(heaviest, place - tile_start[tile])
    tile_start[tiles] = place
    classes = np.zeros(_LOAD_CLASSES + 1, np.int32)
    for tile in range(tiles):
        load = tile_start[tile + 1] - tile_start[tile]
        classes[_LOAD_CLASSES - load * (_LOAD_CLASSES - 1) // heaviest] += 1
    for k in range(_LOAD_CLASSES):
        classes[k + 1] += classes[k]
    for tile in range(tiles):
        load = tile_start[tile + 1] - tile_start[tile]
        k = _LOAD_CLASSES - load * (_LOAD_CLASSES - 1) // heaviest - 1
        schedule[classes[k]] = tile
        classes[k] += 1


@kernel
def _enter(
    places: Any, tile: int, counts: int, splat: int, slot: int, nowhere: int, entry_splat: Any, entry_slot: Any
) -> None:
    """Append to a tile's list if `counts` is 1; if it is 0, write to a place that nobody reads."""
    place = get_int(places, tile)
    put_int(places, tile, place + counts)
    target = place if counts != 0 else nowhere
    put_int(entry_splat, target, splat)
    put_int(entry_slot, target, slot)


@kernel
def _fill_range(
    records: Any, order: Any, first: int, last: int, rect_low: Any, rect_high: Any, tiles_x: int, places: Any,
    slot_first: Any, entry_splat: Any, entry_slot: Any,
) -> None:  # fmt: skip
    found = np.empty(places.size + 1, np.int32)
    nowhere = entry_splat.size - 1
    for j in range(first, last):
        i = get_int(order, j)
        low, high, slot = get_int(rect_low, i), get_int(rect_high, i), get_int(slot_first, i)
        if is_small(low, high):
            wide, tall = (high & 0xFFFF) - (low & 0xFFFF), (high >> 16) - (low >> 16)
            tile = (low >> 16) * tiles_x + (low & 0xFFFF)
            below = tile + tall * tiles_x
            _enter(places, tile, 1, i, slot, nowhere, entry_splat, entry_slot)
            _enter(places, tile + wide, wide, i, slot + 1, nowhere, entry_splat, entry_slot)
            _enter(places, below, tall, i, slot + 1 + wide, nowhere, entry_splat, entry_slot)
            _enter(places, below + wide, wide & tall, i, slot + 3, nowhere, entry_splat, entry_slot)
        else:
            for k in range(spanned_tiles(records, i, low, high, tiles_x, found)):
                _enter(places, get_int(found, k), 1, i, slot + k, nowhere, entry_splat, entry_slot)


@parallel_kernel
def fill_entries(
    threads: int,
    records: Any,
    rect_low: Any,
    rect_high: Any,
    width: int,
    height: int,
    order: Any,
    drawn: int,
    histograms: Any,  # of count_entries; overwritten
    slot_first: Any,
    tile_start: Any,  # (tiles + 1,) int32 first entry of each tile, out
    schedule: Any,  # (tiles,) int32 tiles by falling load, out
    entry_splat: Any,  # (more than entries,) int32, out: nearest first within a tile; the last element is scratch
    entry_slot: Any,  # (the same size) int32, out
) -> None:
    """Write the tiles' lists."""
    tiles_x, tiles_y = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    tiles = tiles_x * tiles_y
    _starts_and_schedule(histograms, threads, tiles, tile_start, schedule)
    for thread in prange(threads):
        _fill_range(
            records, order, drawn * thread // threads, drawn * (thread + 1) // threads, rect_low, rect_high, tiles_x,
            histograms[thread, :tiles], slot_first, entry_splat, entry_slot,
        )  # fmt: skip


__all__ = ["count_entries", "fill_entries", "row_span", "sort_by_depth", "spanned_tiles"]
