# SPDX-License-Identifier: Apache-2.0
"""How colours change with the direction of view, read off the pictures before training: a closed-form start for the SH.

Gloss is smooth along a surface while paint is not. So each splat keeps its own mean colour, and what the views differ
from it is fitted, by ridge regression on spherical harmonics, together with its neighbours' differences. Fewer steps
then remain for training, and directions between the training views come out better than from training alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from backend.kernels.observation import add_equations, sum_neighbours
from interchange.splats import SH_C0

from .dataset import never, stop_if
from .sampling import Array, Observation, in_stretches

NEIGHBOURS = 12
"""Splats whose differences are fitted together, itself included."""
RIDGE = (1e-3, 0.02, 0.05, 0.1)
"""Penalty on the coefficients of each band, relative to the number of views that see the neighbourhood."""


def sh_from_views(
    points: Array,  # (N, 3)
    colours: Array,  # (N, 3) sRGB 0..1
    observations: list[Observation],
    degree: int,
    cancelled: Callable[[], bool] = never,
) -> npt.NDArray[np.float32]:
    """(N, K, 3) SH coefficients of points whose mean colours are known; constant for points that no view sees."""
    count, size = len(points), (degree + 1) ** 2
    sh = np.zeros((count, size, 3), np.float32)
    sh[:, 0] = (colours - 0.5) / SH_C0
    if degree == 0 or count == 0:
        return sh
    gram = np.zeros((count, size, size), np.float32)
    moment = np.zeros((count, size, 3), np.float32)
    near = cKDTree(points).query(points, k=min(NEIGHBOURS, count), workers=-1)[1].reshape(count, -1)
    points, colours = np.ascontiguousarray(points, np.float64), np.ascontiguousarray(colours, np.float64)

    def gather(part: slice) -> None:
        for seen in observations:
            stop_if(cancelled)
            position = np.asarray(seen.view.camera.position, np.float64)
            first, last = seen.of(part)
            add_equations(
                seen.index, seen.colour, seen.weight, first, last, points, position, colours, gram, moment
            )

    def solve(part: slice) -> None:
        stop_if(cancelled)
        sh[part] += _smooth_solution(gram, moment, near[part], degree)

    in_stretches(count, gather)
    in_stretches(count, solve)
    return sh


def _smooth_solution(gram: Array, moment: Array, near: npt.NDArray[np.int64], degree: int) -> Array:
    """(n, K, 3): the ridge regression of each point's neighbourhood `near` (n, NEIGHBOURS)."""
    size = (degree + 1) ** 2
    gram_near, moment_near = (np.empty((len(near), *values.shape[1:]), np.float32) for values in (gram, moment))
    for values, sums in ((gram, gram_near), (moment, moment_near)):
        sum_neighbours(values.reshape(len(values), -1), near, sums.reshape(len(near), -1))
    views_seen = gram_near[:, 0, 0] / SH_C0**2
    band = np.repeat(np.arange(degree + 1), 2 * np.arange(degree + 1) + 1)
    ridge = np.asarray(RIDGE, np.float32)[band] * np.maximum(views_seen, 1e-3)[:, None]
    gram_near[:, np.arange(size), np.arange(size)] += ridge
    return np.asarray(np.linalg.solve(gram_near, moment_near), np.float32)
