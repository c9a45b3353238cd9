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

from backend.kernels import agreement

from .dataset import EMPTY_ALPHA, Image

WEIGHTS = "robust_weights_"
"""Key in the state's memory, followed by the view's number: (H, W) uint8, 255 counts fully."""
PATCH = 5
_BINS = 4096
_HALVES = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
"""All numbers of 16 bits, by their bits."""
Residual = npt.NDArray[np.float16]


def stored_weights(memory: dict[str, npt.NDArray[Any]], number: int) -> Image | None:
    """(H, W) 0..1 of a view, from the state's memory; None before they were first computed."""
    stored = memory.get(f"{WEIGHTS}{number}")
    return None if stored is None else np.asarray(stored / np.float32(255), np.float32)


def patch_residual(
    picture: Image,  # (H, W, 3) premultiplied
    alpha: Image,  # (H, W)
    affine: npt.NDArray[np.float32],  # (3, 4) change of the picture's colours
    rendered: Image,  # (H, W, 3) over black
) -> Residual:
    """(H, W) absolute difference, mean over the channels and a patch around each pixel."""
    difference = np.empty(alpha.shape, np.float32)
    agreement.residual(picture, alpha, affine, rendered, difference)
    return np.asarray(cv2.blur(difference, (PATCH, PATCH)), np.float16)


def threshold(residuals: list[Residual], alphas: list[Image], trimmed: float) -> float:
    """The residual that the part `trimmed` (0..1) of all covered pixels exceeds, to 1 / 4096."""
    by_value = np.zeros(len(_HALVES), np.int64)
    for residual, alpha in zip(residuals, alphas, strict=True):
        agreement.count_bits(residual.view(np.uint16), alpha, EMPTY_ALPHA, by_value)
    seen = np.flatnonzero(by_value)
    with np.errstate(over="ignore"):
        place = np.clip(_HALVES[seen] * _BINS, 0, _BINS - 1).astype(np.int64)
    counts = np.zeros(_BINS, np.int64)
    np.add.at(counts, place, by_value[seen])
    above = np.cumsum(counts[::-1])[::-1]
    return float(max(1, int((above > trimmed * counts.sum()).sum())) / _BINS)


def pixel_weights(residuals: list[Residual], limit: float) -> list[npt.NDArray[np.uint8]]:
    """(H, W) each: 255 up to the limit, falling with the inverse square of the residual beyond."""
    values = np.nan_to_num(_HALVES.astype(np.float32), nan=np.inf)  # what is no number counts nothing
    ratio = limit / np.maximum(values, limit)
    table = np.rint(255 * ratio * ratio).astype(np.uint8)  # by the residual's bits
    return [table[residual.view(np.uint16)] for residual in residuals]
