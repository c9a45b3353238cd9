# SPDX-License-Identifier: Apache-2.0
"""One gain and one bias a view and channel, so that all views say the same colour of the same skin.

Least squares over all pairs of views that share a texel: sum w_i w_j (g_i x_i + b_i - g_j x_j - b_j)^2 / sum w, which
is the weighted variance at each texel. The views' mean colour and contrast stay (weighted by what each shows), or all
gains would shrink to 0 together; a weak pull to g = 1, b = 0 holds views that share too little.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from .samples import Samples

Floats = npt.NDArray[Any]
_PULL = 0.01  # of biases to 0, as if this share of a view's samples said so
_PULL_OF_GAINS = 0.2  # to 1: what little contrast a side view shows says less of its gain than of its tone
_CONTRAST = 0.05  # deviation that these samples would have
_GAIN = (0.7, 1.4)
_ENOUGH = 40_000  # texels


def solve_colours(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Gains (K, 3) and biases (K, 3) on encoded colours; 1 and 0 for views without samples."""
    count = samples.views
    shared = np.flatnonzero(np.diff(samples.start) > 1)
    shared = shared[:: len(shared) // _ENOUGH + 1]
    gain, bias = np.ones((count, 3)), np.zeros((count, 3))
    amount = np.bincount(samples.view, samples.weight, count)
    if not len(shared) or count < 2:
        return gain, bias
    for channel in range(3):
        values = samples.colour[:, channel].astype(np.float64)
        centre = float((values * samples.weight).sum() / samples.weight.sum())
        system = np.zeros((2 * count, 2 * count))
        _accumulate(shared, samples.start, samples.view, values - centre, samples.weight.astype(np.float64), system)
        scale = float(np.trace(system[count:, count:])) / max(float(amount.sum()), 1e-9)
        each = scale * (amount + 1e-3 * amount.max())
        pull = _PULL_OF_GAINS * _CONTRAST**2 * each
        system += np.diag(np.concatenate([pull, _PULL * each]))
        right = np.concatenate([pull, np.zeros(count)])
        solution = _with_means(system, right, amount)
        gain[:, channel] = np.clip(solution[:count], *_GAIN)
        bias[:, channel] = solution[count:] + centre * (1 - gain[:, channel])
    gain[amount == 0], bias[amount == 0] = 1, 0
    return gain, bias


def _with_means(system: Floats, right: Floats, amount: Floats) -> Floats:
    """Solve under the two conditions that the gains' weighted mean is 1 and the biases' is 0."""
    count = len(amount)
    share = amount / amount.sum()
    conditions = np.zeros((2, 2 * count))
    conditions[0, :count], conditions[1, count:] = share, share
    unit = float(np.trace(system)) / (2 * count)
    whole = np.block([[system / unit, conditions.T], [conditions, np.zeros((2, 2))]])
    solution: Floats = np.linalg.solve(whole, np.concatenate([right / unit, [1.0, 0.0]]))[: 2 * count]
    return solution


@numba.njit(cache=True, nogil=True)
def _accumulate(texels, start, view, values, weight, system):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Normal equations of gains (first K unknowns) and biases (last K) over the given texels."""
    count = system.shape[0] // 2
    for t in texels:
        total = 0.0
        for i in range(start[t], start[t + 1]):
            total += weight[i]
        for i in range(start[t], start[t + 1]):
            p = view[i]
            for j in range(start[t], start[t + 1]):
                q = view[j]
                a = -weight[i] * weight[j] / total
                if i == j:
                    a += weight[i]
                system[p, q] += a * values[i] * values[j]
                system[p, count + q] += a * values[i]
                system[count + p, q] += a * values[j]
                system[count + p, count + q] += a
