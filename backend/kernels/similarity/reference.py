# SPDX-License-Identifier: Apache-2.0
"""The same by OpenCV's filters over whole pictures, obviously right; for tests."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from .cpu import C1, C2

Floats = npt.NDArray[np.floating]


def ssim_terms(a: Floats, b: Floats, window: Floats, edge: int = 0) -> tuple[Floats, Floats]:  # (H, W, C)
    """Luminance and structure of every pixel and channel, (H - 2 edge, W - 2 edge, C); SSIM is their product."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    stacked = np.concatenate([a, b, a * a, b * b, a * b], axis=-1)
    moments = cv2.sepFilter2D(stacked, -1, window, window, borderType=cv2.BORDER_CONSTANT).reshape(stacked.shape)
    moments = moments[edge : a.shape[0] - edge, edge : a.shape[1] - edge]
    mean_a, mean_b, aa, bb, ab = np.split(moments, 5, axis=-1)
    luminance = (2 * mean_a * mean_b + C1) / (mean_a**2 + mean_b**2 + C1)
    structure = (2 * (ab - mean_a * mean_b) + C2) / (aa - mean_a**2 + bb - mean_b**2 + C2)
    return luminance, structure


def similarity_sums(
    a: Floats, b: Floats, window: Floats, mask: Floats | None = None, edge: int = 0
) -> npt.NDArray[np.float64]:
    """See `cpu.similarity_sums`."""
    luminance, structure = ssim_terms(a, b, window, edge)
    inner = np.zeros(a.shape[:2]) if mask is None else np.asarray(mask, np.float64)
    inner = inner[edge : a.shape[0] - edge, edge : a.shape[1] - edge]
    maps = (luminance * structure, structure, luminance * structure * inner[..., None])
    return np.stack([values.sum(axis=(0, 1)) for values in maps], axis=1)


__all__ = ["similarity_sums", "ssim_terms"]
