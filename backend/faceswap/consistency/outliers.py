# SPDX-License-Identifier: Apache-2.0
"""How far each view is from the fused skin, and which are too far to be believed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .samples import Samples

Floats = npt.NDArray[Any]
_DEVIATIONS = 3.0  # times the median absolute deviation, scaled to a normal distribution's
_AT_LEAST = 1.5  # times the median: views that all agree well are not told apart
_FEWEST = 3  # views that stay in any case


def residuals(samples: Samples, fused: Floats) -> npt.NDArray[np.float64]:  # (T, 3)
    """(K,) root mean square distance of each view's colours from the fused ones, in 8-bit levels; NaN for views without
    samples."""
    squared = ((samples.colour - fused[samples.texel]) ** 2).mean(1).astype(np.float64)
    weight = np.bincount(samples.view, samples.weight, samples.views)
    total = np.bincount(samples.view, squared * samples.weight, samples.views)
    with np.errstate(invalid="ignore"):
        return np.where(weight > 0, 255 * np.sqrt(total / np.where(weight > 0, weight, 1)), np.nan)


def too_far(residual: Floats) -> tuple[npt.NDArray[np.bool_], float]:  # (K,)
    """Which views to leave out (K,), and the limit in levels. Never so many that fewer than three are left."""
    known = np.isfinite(residual)
    if known.sum() <= _FEWEST:
        return np.zeros(len(residual), bool), float("inf")
    usual = float(np.median(residual[known]))
    spread = 1.4826 * float(np.median(np.abs(residual[known] - usual)))
    limit = max(usual + _DEVIATIONS * spread, _AT_LEAST * usual)
    far = known & (residual > limit)
    allowed = int(known.sum()) - _FEWEST
    if far.sum() > allowed:
        worst = np.argsort(np.where(far, -residual, np.inf))[:allowed]
        far = np.isin(np.arange(len(residual)), worst)
    return far, limit
