# SPDX-License-Identifier: Apache-2.0
"""Sums over a picture of SSIM and of its structure term, in one pass and float64: rows are blurred as they come, and
eleven of them at a time are blurred into one. Without the interpreter's lock, so that threads can take pictures side by
side; a picture is one thread's, so sums do not depend on their number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..jit import kernel

WINDOW = 11
"""SSIM's window in pixels a side."""
REACH = WINDOW // 2
C1, C2 = 0.01**2, 0.03**2
"""SSIM's constants for pictures in 0..1 (K1 = 0.01, K2 = 0.03): those of the training loss."""
_QUANTITIES = 5  # a, b, aa, bb, ab


@kernel
def _blur_row(a: Any, b: Any, y: int, channel: int, left: int, right: int, window: Any, wide: Any, out: Any) -> None:
    """The five quantities of row y blurred along x into `out` (5, right - left); beyond the picture there is black."""
    size = right - left
    for x in range(left - REACH, right + REACH):
        inside = 0 <= x < a.shape[1]
        p = np.float64(a[y, x, channel]) if inside else 0.0
        q = np.float64(b[y, x, channel]) if inside else 0.0
        k = x - left + REACH
        wide[0, k], wide[1, k], wide[2, k], wide[3, k], wide[4, k] = p, q, p * p, q * q, p * q
    for quantity in range(_QUANTITIES):
        source, goal = wide[quantity], out[quantity]
        for x in range(size):
            goal[x] = window[0] * source[x]
        for k in range(1, WINDOW):
            weight = window[k]
            for x in range(size):
                goal[x] += weight * source[x + k]


@kernel
def _blur_column(ring: Any, y: int, height: int, size: int, window: Any, out: Any) -> None:
    """Eleven rows around y, kept in `ring` (11, 5, size) by their number modulo 11, blurred into `out` (5, size)."""
    out[:, :size] = 0.0
    for k in range(WINDOW):
        row = y + k - REACH
        if 0 <= row < height:
            weight = window[k]
            for quantity in range(_QUANTITIES):
                source, goal = ring[row % WINDOW, quantity], out[quantity]
                for x in range(size):
                    goal[x] += weight * source[x]


@kernel
def _add_row(moments: Any, first: int, last: int, weights: Any, row: Any, sums: Any) -> None:
    """Adds SSIM, structure, and weighted SSIM of the columns from `first` to before `last` of a row to `sums` (3,)."""
    similarity, structures, weighted = 0.0, 0.0, 0.0
    for x in range(first, last):
        mean_a, mean_b = moments[0, x], moments[1, x]
        aa, bb, ab = mean_a * mean_a, mean_b * mean_b, mean_a * mean_b
        structure = (2 * (moments[4, x] - ab) + C2) / (moments[2, x] - aa + moments[3, x] - bb + C2)
        value = (2 * ab + C1) / (aa + bb + C1) * structure
        similarity += value
        structures += structure
        if weights.size > 0:
            weighted += value * weights[row, x]
    sums[0] += similarity
    sums[1] += structures
    sums[2] += weighted


@kernel
def _similarity(a: Any, b: Any, window: Any, weights: Any, edge: int, box: Any, sums: Any) -> None:
    """`sums` (C, 3) over the pixels of `box` (x0, y0, x1, y1), at least `edge` away from the picture's."""
    height, width, channels = a.shape
    x0, y0 = max(box[0], edge), max(box[1], edge)
    x1, y1 = min(box[2], width - edge), min(box[3], height - edge)
    size = x1 - x0
    if size <= 0 or y1 <= y0:
        return
    wide = np.empty((_QUANTITIES, size + 2 * REACH))
    ring = np.empty((WINDOW, _QUANTITIES, size))
    moments = np.empty((_QUANTITIES, size))
    part = weights[:, x0:x1] if weights.size > 0 else weights
    for channel in range(channels):
        ready = max(0, y0 - REACH)
        for y in range(y0, y1):
            while ready <= min(height - 1, y + REACH):
                _blur_row(a, b, ready, channel, x0, x1, window, wide, ring[ready % WINDOW])
                ready += 1
            _blur_column(ring, y, height, size, window, moments)
            _add_row(moments, 0, size, part, y, sums[channel])


def box_of_content(a: npt.NDArray[Any], b: npt.NDArray[Any], reach: int) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 (all 0 for nothing): whatever looks no farther than `reach` sees black in both outside of it."""
    seen = np.zeros(a.shape[:2], bool)
    for channel in range(a.shape[2]):  # many times faster than along an axis of three
        seen |= (a[..., channel] != 0) | (b[..., channel] != 0)
    rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    return (
        max(0, int(columns[0]) - reach), max(0, int(rows[0]) - reach),
        min(a.shape[1], int(columns[-1]) + 1 + reach), min(a.shape[0], int(rows[-1]) + 1 + reach),
    )  # fmt: skip


def similarity_sums(
    a: npt.NDArray[Any],  # (H, W, C) 0..1
    b: npt.NDArray[Any],  # (H, W, C)
    window: npt.NDArray[np.float64],  # (11,) sum 1
    mask: npt.NDArray[Any] | None = None,  # (H, W)
    edge: int = 0,
) -> npt.NDArray[np.float64]:
    """(C, 3): sums of SSIM, of its structure term, and of SSIM times `mask`, over the pixels that lie `edge` or more
    from the frame's. Outside the frame there is black; where both pictures are, SSIM and structure are 1."""
    a, b = (np.ascontiguousarray(x, np.float32 if x.dtype == np.float32 else np.float64) for x in (a, b))
    if a.dtype != b.dtype:
        a, b = a.astype(np.float64), b.astype(np.float64)
    height, width, channels = a.shape
    weights = np.zeros((0, 0)) if mask is None else np.ascontiguousarray(mask, np.float64)
    box, sums = box_of_content(a, b, REACH), np.zeros((channels, 3))
    _similarity(a, b, window, weights, edge, np.array(box), sums)
    inside = max(0, min(box[2], width - edge) - max(box[0], edge)) * max(
        0, min(box[3], height - edge) - max(box[1], edge)
    )
    sums[:, :2] += max(0, height - 2 * edge) * max(0, width - 2 * edge) - inside
    if mask is not None:
        outside = weights[edge : height - edge, edge : width - edge].copy()
        outside[max(0, box[1] - edge) : max(0, box[3] - edge), max(0, box[0] - edge) : max(0, box[2] - edge)] = 0
        sums[:, 2] += outside.sum()
    return sums
