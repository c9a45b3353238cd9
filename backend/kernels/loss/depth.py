# SPDX-License-Identifier: Apache-2.0
"""L1 between the rendered depth, sum w z, and the target's depth times its alpha, where the target has a depth.

Both are premultiplied, as colours are: at the subject's edge half a splat may stand for half a pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..buffers import address
from ..jit import kernel, parallel_kernel
from ..layout import TILE
from ..simd import VECTOR_WIDTH, absolute, broadcast, lane_sum, load, select, store, zeros


@kernel
def _compare_rows(
    first: int, last: int, stride: int, depth: Any, target: Any, weights: Any, factor: Any, out: Any
) -> Any:
    rendered, wanted, weight, gradient = address(depth), address(target), address(weights), address(out)
    total = 0.0
    for y in range(first, last):
        row = zeros()
        for x in range(y * stride, (y + 1) * stride, VECTOR_WIDTH):
            difference, w = load(rendered, x) - load(wanted, x), load(weight, x)
            row = row + absolute(difference) * w
            sign = select(difference > 0.0, broadcast(factor), select(difference < 0.0, broadcast(-factor), zeros()))
            store(gradient, x, sign * w)
        total += lane_sum(row)
    return total


@parallel_kernel
def compare_depth(
    threads: int,
    stride: int,  # of the planes' rows
    rows: int,  # of the planes: whole tiles
    depth: Any,  # plane of rasterize
    target: Any,  # plane: depth times alpha
    weights: Any,  # plane: pixel weights, zero where the target has no depth and outside the frame
    factor: Any,  # float32: what the sum is multiplied by in the loss
    gradient: Any,  # plane of dL/ddepth, out
    sums: Any,  # (rows of tiles,) float64: the sum of each, out
) -> None:
    """The sum of weight |depth - target| by rows of tiles, and its gradient."""
    for k in prange(rows // TILE):
        sums[k] = _compare_rows(k * TILE, (k + 1) * TILE, stride, depth, target, weights, np.float32(factor), gradient)


__all__ = ["compare_depth"]
