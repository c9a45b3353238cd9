# SPDX-License-Identifier: Apache-2.0
"""Which pixels to believe when views contradict each other, as swapped faces do: those that the others agree with.

Iteratively reweighted least squares with a trimmed kernel (Sabour et al. 2023, "RobustNeRF"): of all covered pixels of
all views the part with the largest residuals counts less, the more so the larger its residual. Residuals are means over
a patch, so that noise and the rims of details are not taken for contradictions.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .dataset import EMPTY_ALPHA, Image

WEIGHTS = "robust_weights_"
"""Key in the state's memory, followed by the view's number: (H, W) uint8, 255 counts fully."""
PATCH = 5
_BINS = 4096


def stored_weights(memory: dict[str, npt.NDArray[Any]], number: int) -> Image | None:
    """(H, W) 0..1 of a view, from the state's memory; None before they were first computed."""
    stored = memory.get(f"{WEIGHTS}{number}")
    return None if stored is None else np.asarray(stored / np.float32(255), np.float32)


def patch_residual(picture: Image, rendered: Image) -> Image:  # (H, W, 3) twice
    """(H, W) absolute difference, mean over the channels and a patch around each pixel."""
    return np.asarray(cv2.blur(np.abs(picture - rendered).mean(axis=2), (PATCH, PATCH)), np.float32)


def threshold(residuals: list[npt.NDArray], alphas: list[Image], trimmed: float) -> float:
    """The residual that the part `trimmed` (0..1) of all covered pixels exceeds, to 1 / 4096."""
    counts = np.zeros(_BINS, np.int64)
    for residual, alpha in zip(residuals, alphas, strict=True):
        place = np.clip(residual[alpha > EMPTY_ALPHA] * _BINS, 0, _BINS - 1).astype(np.int64)
        counts += np.bincount(place, minlength=_BINS)
    above = np.cumsum(counts[::-1])[::-1]
    return float(max(1, int((above > trimmed * counts.sum()).sum())) / _BINS)


def pixel_weights(residual: npt.NDArray, limit: float) -> npt.NDArray[np.uint8]:
    """(H, W) 255 up to the limit, falling with the inverse square of the residual beyond."""
    ratio = limit / np.maximum(residual.astype(np.float32), limit)
    return np.asarray(np.rint(255 * ratio * ratio), np.uint8)
