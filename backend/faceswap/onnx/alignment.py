# SPDX-License-Identifier: Apache-2.0
"""From a picture to a network's crop and back: one similarity transform, and resampling that does not alias.

Positions here are pixel *indices*, as the networks' templates have them: 0 is the first pixel's centre. Elsewhere in
the project pixel centres lie at +0.5; `indices` leads here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

Floats = npt.NDArray[Any]
Matrix = npt.NDArray[np.float64]
"""(2, 3): x' = M[:, :2] x + M[:, 2]."""
Sampler = Callable[[Floats, Floats], npt.NDArray[np.float32]]
"""(H, W, C) image and (N, 2) points with pixel centres at +0.5 to (N, C)."""
MOST_SUBSAMPLES = 16


def indices(pixels: Floats) -> npt.NDArray[np.float64]:  # (N, 2) centres at +0.5
    """(N, 2) the same points as pixel indices."""
    return np.asarray(pixels, np.float64) - 0.5


def umeyama(points: Floats, goals: Floats) -> Matrix:  # (N, 2), (N, 2)
    """The similarity (turn, one scale, shift; never a mirror) that leads `points` to `goals` by least squares.

    Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns", 1991. Raises InputError
    when all points are one.
    """
    points, goals = np.asarray(points, np.float64), np.asarray(goals, np.float64)
    start, end = points.mean(0), goals.mean(0)
    away, wanted = points - start, goals - end
    spread = (away**2).sum()
    if not spread > 1e-12:
        raise InputError("The five points of a face are one point.", "Check the landmarks.")
    u, values, vt = np.linalg.svd(wanted.T @ away)
    sign = np.array([1.0, np.sign(np.linalg.det(u @ vt))])
    turn = (u * sign) @ vt
    scale = float((values * sign).sum() / spread)
    linear = scale * turn
    return np.concatenate([linear, (end - linear @ start)[:, None]], axis=1)


def inverse(matrix: Matrix) -> Matrix:
    """The transform that undoes a similarity."""
    linear = np.linalg.inv(matrix[:, :2])
    return np.concatenate([linear, -linear @ matrix[:, 2:]], axis=1)


def scale_of(matrix: Matrix) -> float:
    """By how much a similarity enlarges."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def apply(matrix: Matrix, points: Floats) -> npt.NDArray[np.float64]:  # (N, 2)
    """(N, 2) transformed."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def subsamples_for(step: float) -> int:
    """Samples a side and pixel, so that neighbouring samples lie no further apart than the image's own pixels; `step`:
    image pixels from one output pixel to the next."""
    return int(min(max(np.ceil(step - 1e-6), 1), MOST_SUBSAMPLES))


def resample(
    image: Floats, matrix: Matrix, rows: range, columns: range, sample: Sampler
) -> npt.NDArray[np.float32]:  # (H, W, C)
    """(rows, columns, C) of an image behind `matrix`, which leads from the output's pixel indices to the image's.

    A regular grid of samples a pixel is averaged where the output is coarser than the image.
    """
    count = subsamples_for(scale_of(matrix))
    x, y = np.meshgrid(np.asarray(columns, np.float64), np.asarray(rows, np.float64))
    centres = np.stack([x.ravel(), y.ravel()], axis=1)
    total = np.zeros((len(centres), image.shape[2]), np.float64)
    offsets = (np.arange(count) + 0.5) / count - 0.5
    for down in offsets:
        for across in offsets:
            total += sample(image, apply(matrix, centres + [across, down]) + 0.5)
    return (total / count**2).reshape(len(rows), len(columns), -1).astype(np.float32)
