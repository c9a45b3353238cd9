# SPDX-License-Identifier: Apache-2.0
"""Looking up images between their pixels. Coordinates have pixel centres at +0.5; beyond the edge the edge goes on."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def sample_linear(image: Floats, points: Floats) -> npt.NDArray[np.float32]:  # (H, W, C), (N, 2) x, y
    """(N, C) bilinear values."""
    result = np.empty((len(points), image.shape[2]), np.float32)
    _linear(np.ascontiguousarray(image, np.float32), np.ascontiguousarray(points, np.float64), result)
    return result


def sample_cubic(image: Floats, points: Floats) -> npt.NDArray[np.float32]:  # (H, W, C), (N, 2) x, y
    """(N, C) Catmull-Rom values: sharper than linear where the image is magnified, may overshoot a little."""
    result = np.empty((len(points), image.shape[2]), np.float32)
    _cubic(np.ascontiguousarray(image, np.float32), np.ascontiguousarray(points, np.float64), result)
    return result


@numba.njit(cache=True, nogil=True)
def _linear(image, points, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width, channels = image.shape
    for i in range(len(points)):
        x, y = points[i, 0] - 0.5, points[i, 1] - 0.5
        x0, y0 = math.floor(x), math.floor(y)
        a, b = x - x0, y - y0
        left, right = min(max(int(x0), 0), width - 1), min(max(int(x0) + 1, 0), width - 1)
        top, bottom = min(max(int(y0), 0), height - 1), min(max(int(y0) + 1, 0), height - 1)
        for c in range(channels):
            upper = image[top, left, c] * (1 - a) + image[top, right, c] * a
            lower = image[bottom, left, c] * (1 - a) + image[bottom, right, c] * a
            result[i, c] = upper * (1 - b) + lower * b


@numba.njit(cache=True, nogil=True)
def _cubic_weights(t, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    weights[0] = ((-0.5 * t + 1.0) * t - 0.5) * t
    weights[1] = (1.5 * t - 2.5) * t * t + 1.0
    weights[2] = ((-1.5 * t + 2.0) * t + 0.5) * t
    weights[3] = (0.5 * t - 0.5) * t * t


@numba.njit(cache=True, nogil=True)
def _cubic(image, points, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width, channels = image.shape
    across, down = np.empty(4), np.empty(4)
    for i in range(len(points)):
        x, y = points[i, 0] - 0.5, points[i, 1] - 0.5
        x0, y0 = int(math.floor(x)), int(math.floor(y))
        _cubic_weights(x - x0, across)
        _cubic_weights(y - y0, down)
        for c in range(channels):
            total = 0.0
            for j in range(4):
                row = min(max(y0 - 1 + j, 0), height - 1)
                line = 0.0
                for k in range(4):
                    line += across[k] * image[row, min(max(x0 - 1 + k, 0), width - 1), c]
                total += down[j] * line
            result[i, c] = total
