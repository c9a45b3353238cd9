# SPDX-License-Identifier: Apache-2.0
"""From the kernels' planes to pictures."""

from __future__ import annotations

from typing import Any

from numba import prange

from ..buffers import address
from ..jit import kernel, parallel_kernel
from ..simd import get, put


@kernel
def _compose_rows(
    first: int, last: int, frame: Any, stride: int, plane: int, background: Any, image: Any, alpha: Any, width: int
) -> None:
    planes, colours, alphas = address(frame), address(image), address(alpha)
    red, green, blue = get(background, 0), get(background, 1), get(background, 2)
    for y in range(first, last):
        for x in range(width):
            place, pixel = y * stride + x, y * width + x
            through = get(planes, 3 * plane + place)
            put(colours, 3 * pixel, get(planes, place) + through * red)
            put(colours, 3 * pixel + 1, get(planes, plane + place) + through * green)
            put(colours, 3 * pixel + 2, get(planes, 2 * plane + place) + through * blue)
            put(alphas, pixel, 1 - through)


@parallel_kernel
def compose(
    threads: int,
    frame: Any,  # 4 planes of `rasterize`
    stride: int,  # of the frame's rows
    plane: int,  # pixels of one of its planes
    background: Any,  # (3,)
    image: Any,  # (height * width * 3,), out
    alpha: Any,  # (height * width,), out
    width: int,
) -> None:
    """Lay the background behind the colours and put the pixels' channels side by side."""
    height = alpha.size // width
    for thread in prange(threads):
        first, last = height * thread // threads, height * (thread + 1) // threads
        _compose_rows(first, last, frame, stride, plane, background, image, alpha, width)


__all__ = ["compose"]
