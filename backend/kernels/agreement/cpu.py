# SPDX-License-Identifier: Apache-2.0
"""Pictures against renders, compiled: one pass over the pixels and no arrays in between."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..jit import kernel

COVERED = 0.5
"""Pixels with more alpha than this tell about colours."""


@kernel
def affine_sums(picture: Any, alpha: Any, rendered: Any, weights: Any, gram: Any, moment: Any) -> Any:
    """Adds w x x^T to `gram` (4, 4) and w x (rendered - picture)^T to `moment` (4, 3), both float64, over the covered
    pixels, x being (red, green, blue, alpha); returns the sum of w, and the number of pixels.

    picture, rendered: (H, W, 3) float32. alpha: (H, W). weights: (H, W) >= 0 of any type, or (0, 0): all 1.
    """
    total, count = 0.0, 0
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            a = np.float64(alpha[row, column])
            if not a > COVERED:
                continue
            count += 1
            weight = np.float64(weights[row, column]) if weights.size > 0 else 1.0
            total += weight
            p, r = picture[row, column], rendered[row, column]
            x0, x1, x2 = np.float64(p[0]), np.float64(p[1]), np.float64(p[2])
            d0, d1, d2 = np.float64(r[0] - p[0]), np.float64(r[1] - p[1]), np.float64(r[2] - p[2])
            for i, x in enumerate((x0 * weight, x1 * weight, x2 * weight, a * weight)):
                gram[i, 0] += x * x0
                gram[i, 1] += x * x1
                gram[i, 2] += x * x2
                gram[i, 3] += x * a
                moment[i, 0] += x * d0
                moment[i, 1] += x * d1
                moment[i, 2] += x * d2
    return total, count


@kernel
def matched(picture: Any, alpha: Any, affine: Any, result: Any) -> None:
    """`result` (H, W, 3) = affine (3, 4) x (red, green, blue, alpha); all float32."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            p, a, q = picture[row, column], alpha[row, column], result[row, column]
            red, green, blue = p[0], p[1], p[2]
            for c in range(3):
                q[c] = red * affine[c, 0] + green * affine[c, 1] + blue * affine[c, 2] + a * affine[c, 3]


@kernel
def residual(picture: Any, alpha: Any, affine: Any, rendered: Any, result: Any) -> None:
    """`result` (H, W) = the mean over channels of |matched picture - rendered|; all float32."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            p, a, r = picture[row, column], alpha[row, column], rendered[row, column]
            red, green, blue = p[0], p[1], p[2]
            total = np.float32(0)
            for c in range(3):
                value = red * affine[c, 0] + green * affine[c, 1] + blue * affine[c, 2] + a * affine[c, 3]
                total += abs(value - r[c])
            result[row, column] = total / np.float32(3)


@kernel
def count_bits(bits: Any, alpha: Any, least: float, counts: Any) -> None:
    """Adds to `counts` (65536,) how often each value of `bits` (H, W) uint16 is among pixels with more alpha than
    `least`."""
    for row in range(alpha.shape[0]):
        for column in range(alpha.shape[1]):
            if alpha[row, column] > least:
                counts[bits[row, column]] += 1
