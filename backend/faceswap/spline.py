# SPDX-License-Identifier: Apache-2.0
"""The smooth surface through scattered offsets in space: the thin plate of three dimensions, kernel -r (Duchon 1977).

How far it may pass its points by is a number, `smoothing`. Chosen by generalized cross-validation (Craven and Wahba
1979): the smoothing under which each point is foretold best by all the others. Points that agree with each other are
then hit nearly exactly, points that a hand or a detector has put down with an error of a pixel or two are not.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist

Floats = npt.NDArray[Any]
_SMOOTHINGS = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_AS_GOOD = 1.15  # times the least foretelling error: among what is nearly as good the smoothest is safest
_ENOUGH = 12  # fewer points do not say how sizes change across the face


@attrs.frozen(eq=False)
class Spline:
    """centre (3,), unit: how points are brought to size 1. knots (L, 3), bends (L, C), tail (1 or 4, C): of the kernel
    and of the polynomial. smoothing: what it was made with."""

    centre: npt.NDArray[np.float64]
    unit: float
    knots: npt.NDArray[np.float64]
    bends: npt.NDArray[np.float64]
    tail: npt.NDArray[np.float64]
    smoothing: float

    def at(self, points: Floats) -> npt.NDArray[np.float64]:  # (N, 3)
        """(N, C) the offsets there."""
        scaled = (points - self.centre) / self.unit
        return -cdist(scaled, self.knots) @ self.bends + _polynomial(scaled, len(self.tail) > 1) @ self.tail


def fit_spline(points: Floats, offsets: Floats, smoothing: float | None) -> Spline:  # (L, 3), (L, C)
    """The spline through `offsets` at `points`, which may coincide. smoothing: 0 hits them exactly, None chooses."""
    points, keep = np.unique(np.round(points, 9), axis=0, return_index=True)  # two ids may share a vertex
    offsets = np.asarray(offsets, np.float64)[keep]
    centre, unit = points.mean(0), float(np.linalg.norm(np.ptp(points, axis=0)))
    knots = (points - centre) / unit
    tail = _polynomial(knots, len(points) >= _ENOUGH)
    kernel = -cdist(knots, knots)
    if smoothing is None:
        smoothing = choose_smoothing(kernel, tail, offsets)
    count, terms = tail.shape
    system = np.zeros((count + terms, count + terms))
    system[:count, :count] = kernel + smoothing * np.eye(count)
    system[:count, count:], system[count:, :count] = tail, tail.T
    # A breath of ridge keeps the polynomial solvable when all points lie in a plane.
    system[count:, count:] = -1e-9 * np.eye(terms)
    solution = np.linalg.solve(system, np.concatenate([offsets, np.zeros((terms, offsets.shape[1]))]))
    return Spline(centre, unit, knots, solution[:count], solution[count:], smoothing)


def choose_smoothing(kernel: Floats, tail: Floats, offsets: Floats) -> float:  # (L, L), (L, 1 or 4), (L, C)
    """The smoothing by generalized cross-validation; 0 where there are too few points to tell."""
    count, terms = tail.shape
    if count < _ENOUGH:
        return 0.0
    free = np.linalg.qr(tail, mode="complete")[0][:, terms:]  # what the polynomial does not explain
    values, vectors = np.linalg.eigh(free.T @ kernel @ free)
    seen = vectors.T @ (free.T @ offsets)
    errors = []
    for smoothing in _SMOOTHINGS:
        missed = smoothing / (np.maximum(values, 0) + smoothing)
        errors.append(np.sqrt(((missed[:, None] * seen) ** 2).sum()) / missed.sum())
    near = np.flatnonzero(np.array(errors) <= _AS_GOOD * min(errors) + 1e-12)
    # Best under the least smoothing of all means that the points do not err: then they are hit.
    return 0.0 if near[-1] == 0 else _SMOOTHINGS[near[-1]]


def _polynomial(points: Floats, degree_one: bool) -> Floats:
    ones = np.ones((len(points), 1))
    return np.concatenate([ones, points], axis=1) if degree_one else ones
