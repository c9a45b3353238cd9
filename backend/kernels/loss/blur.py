# SPDX-License-Identifier: Apache-2.0
"""The separable 11-tap blur of SSIM, for a strip of an image whose rows come one after the other.

A row is blurred along itself into its place of a *ring*; when the ring holds the 12 rows y - 5 .. y + 6, its column
sums give the rows y and y + 1 at once, which halves the loads. Distances between planes are constants, so they become
part of the machine's addressing; the window's weights stay in registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..buffers import scratch
from ..jit import kernel
from ..simd import VECTOR_WIDTH, broadcast, get, joined_from, load, store, zeros

W = VECTOR_WIDTH
TAPS = 11
REACH = TAPS // 2
MARGIN = 16
"""Columns left and right of a strip: more than the reach, and whole vectors."""
STRIP = 512
"""Columns of a strip."""
PITCH = STRIP + 2 * MARGIN
"""Columns of a row of the ring: the strip with a margin, which the second of two blurs needs."""
ROW_SIZE = PITCH + 2 * MARGIN
"""Columns of a row that is about to be blurred: once more a margin."""
RING = TAPS + 1


def gaussian_window() -> np.ndarray:
    """(11,) float32, sums to 1."""
    offsets = np.arange(TAPS) - REACH
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    return (window / window.sum()).astype(np.float32)


@kernel
def cleared(size: int) -> Any:
    """An aligned array of zeros."""
    array = scratch(size)
    array[:] = 0
    return array


@kernel
def window_vectors(window: Any) -> Any:
    """The six different weights of the symmetric window, outermost first."""
    return (
        broadcast(get(window, 0)), broadcast(get(window, 1)), broadcast(get(window, 2)), broadcast(get(window, 3)),
        broadcast(get(window, 4)), broadcast(get(window, 5)),
    )  # fmt: skip


@kernel
def _blur_aligned(rows: Any, source: int, columns: int, taps: Any, ring: Any, target: int) -> None:
    """With shifts between registers: nearly every unaligned load of 64 bytes would straddle two cache lines."""
    before, here = load(rows, source - W), load(rows, source)
    for x in range(0, columns, W):
        after = load(rows, source + x + W)
        total = here * taps[5]
        total = (joined_from(before, here, 11) + joined_from(here, after, 5)) * taps[0] + total
        total = (joined_from(before, here, 12) + joined_from(here, after, 4)) * taps[1] + total
        total = (joined_from(before, here, 13) + joined_from(here, after, 3)) * taps[2] + total
        total = (joined_from(before, here, 14) + joined_from(here, after, 2)) * taps[3] + total
        total = (joined_from(before, here, 15) + joined_from(here, after, 1)) * taps[4] + total
        store(ring, target + x, total)
        before, here = here, after


@kernel
def blur_row(rows: Any, row: int, width: int, taps: Any, ring: Any, target: int) -> None:
    """Blur the strip of `width` columns and its margins, from the row that starts at `row` to the ring at `target`."""
    source, columns = row + MARGIN, width + 2 * MARGIN
    if W == 16:
        _blur_aligned(rows, source, columns, taps, ring, target)
    else:
        for x in range(source, source + columns, W):
            total = load(rows, x) * taps[5]
            total = (load(rows, x - 5) + load(rows, x + 5)) * taps[0] + total
            total = (load(rows, x - 4) + load(rows, x + 4)) * taps[1] + total
            total = (load(rows, x - 3) + load(rows, x + 3)) * taps[2] + total
            total = (load(rows, x - 2) + load(rows, x + 2)) * taps[3] + total
            total = (load(rows, x - 1) + load(rows, x + 1)) * taps[4] + total
            store(ring, target + x - source, total)


@kernel
def empty_row(ring: Any, place: int, quantities: int) -> None:
    """Rows outside the box are zero."""
    for x in range(place, place + quantities * PITCH, W):
        store(ring, x, zeros())


@kernel
def ring_places(first: int, quantities: int) -> Any:
    """Where the 12 rows from number `first` on lie in the ring."""
    row = quantities * PITCH
    return (
        first % RING * row, (first + 1) % RING * row, (first + 2) % RING * row, (first + 3) % RING * row,
        (first + 4) % RING * row, (first + 5) % RING * row, (first + 6) % RING * row, (first + 7) % RING * row,
        (first + 8) % RING * row, (first + 9) % RING * row, (first + 10) % RING * row, (first + 11) % RING * row,
    )  # fmt: skip


@kernel
def column_sums(ring: Any, x: int, places: Any, taps: Any) -> Any:
    """The vertical blur at column x of the ring: of its rows 0..10, and of its rows 1..11."""
    row = load(ring, places[0] + x)
    upper = row * taps[0]
    row = load(ring, places[1] + x)
    upper, lower = row * taps[1] + upper, row * taps[0]
    row = load(ring, places[2] + x)
    upper, lower = row * taps[2] + upper, row * taps[1] + lower
    row = load(ring, places[3] + x)
    upper, lower = row * taps[3] + upper, row * taps[2] + lower
    row = load(ring, places[4] + x)
    upper, lower = row * taps[4] + upper, row * taps[3] + lower
    row = load(ring, places[5] + x)
    upper, lower = row * taps[5] + upper, row * taps[4] + lower
    row = load(ring, places[6] + x)
    upper, lower = row * taps[4] + upper, row * taps[5] + lower
    row = load(ring, places[7] + x)
    upper, lower = row * taps[3] + upper, row * taps[4] + lower
    row = load(ring, places[8] + x)
    upper, lower = row * taps[2] + upper, row * taps[3] + lower
    row = load(ring, places[9] + x)
    upper, lower = row * taps[1] + upper, row * taps[2] + lower
    row = load(ring, places[10] + x)
    upper, lower = row * taps[0] + upper, row * taps[1] + lower
    return upper, load(ring, places[11] + x) * taps[0] + lower
