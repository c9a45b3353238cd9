# SPDX-License-Identifier: Apache-2.0
"""Image metrics between two pictures of one size: PSNR, SSIM, MS-SSIM, sharpness; whole frame or in a soft mask.

Pictures are (H, W, 3) float, display-referred (sRGB) 0..1, over black. A mask is (H, W), soft, 0..1, and weighs pixels.
A black frame around a head raises every whole-frame figure (a face that fills 23 % of the frame gains 6.4 dB PSNR for
nothing), hence the masked versions. Blur raises PSNR against a swapped picture, hence sharpness beside it.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.similarity import similarity_sums
from backend.kernels.similarity.cpu import WINDOW

FloatArray = npt.NDArray[np.floating]

SIGMA = 1.5
"""Standard deviation of SSIM's Gaussian window in pixels; also of the low-pass inside `sharpness`."""
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""MS-SSIM's exponents from the finest scale to the coarsest (Wang et al. 2003, section 3.2)."""
PSNR_CEILING = 100.0
"""dB given to equal pictures, so that means over views and JSON files stay finite."""
_EMPTY_MASK = "the mask is empty: nothing to compare"
_LUMA = np.array([0.2126, 0.7152, 0.0722])  # Rec.709, applied to the encoded values: luma, not luminance


def through_8_bit(image: FloatArray) -> npt.NDArray[np.float32]:  # (..., C) 0..1
    """What a picture becomes when it is saved as an 8-bit PNG and read again: clipped to 0..1, rounded to n/255."""
    return (np.round(np.clip(image, 0, 1) * 255) / 255).astype(np.float32)


def mse(a: FloatArray, b: FloatArray, mask: FloatArray | None = None) -> float:  # (H, W, C), (H, W, C), (H, W)
    """Mean squared error over pixels and channels: sum_p m_p |a_p - b_p|^2 / (C sum_p m_p), m = 1 without a mask.

    Raises ValueError when the pictures differ in shape or the mask is empty.
    """
    _same_shape(a, b)
    if mask is None and a.dtype == b.dtype == np.float32:  # rows in float32, their sum in float64: five times as fast
        rows = (a - b).reshape(len(a), -1)
        return float(np.einsum("ij,ij->i", rows, rows).sum(dtype=np.float64) / max(1, rows.size))
    squared = ((a.astype(np.float64) - b) ** 2).mean(axis=-1)
    return _masked_mean(squared, mask)


def psnr(a: FloatArray, b: FloatArray, mask: FloatArray | None = None) -> float:  # (H, W, C), (H, W, C), (H, W)
    """Peak signal-to-noise ratio, -10 log10(MSE) dB for peak 1; `PSNR_CEILING` at most (equal pictures)."""
    error = mse(a, b, mask)
    return PSNR_CEILING if error <= 10 ** (-PSNR_CEILING / 10) else float(-10 * np.log10(error))


def ssim(a: FloatArray, b: FloatArray, mask: FloatArray | None = None, padding: str = "zero") -> float:
    """Structural similarity (Wang et al. 2004, eq. 13), mean of the map over channels and pixels (or by mask).

    a, b: (H, W, C) 0..1; mask: (H, W) or None. `padding` is "zero" (the window sees black outside the frame, map as
    large as the picture; what the training loss and Inria's code do) or "valid" (only windows inside the frame).
    """
    _same_shape(a, b)
    if padding not in ("zero", "valid"):
        raise ValueError(f'padding is "zero" or "valid", not {padding!r}')
    edge = WINDOW // 2 if padding == "valid" else 0
    height, width, channels = a.shape
    if min(height, width) <= 2 * edge:
        raise ValueError(f"SSIM of whole windows needs pictures of at least {WINDOW} pixels a side")
    sums = similarity_sums(a, b, gaussian_window(), mask, edge)
    if mask is None:
        return float(sums[:, 0].sum() / (channels * (height - 2 * edge) * (width - 2 * edge)))
    weight = float(mask[edge : height - edge, edge : width - edge].sum(dtype=np.float64))
    if weight <= 0:
        raise ValueError(_EMPTY_MASK)
    return float(sums[:, 2].sum() / (channels * weight))


def ms_ssim(a: FloatArray, b: FloatArray) -> float:  # (H, W, C), (H, W, C)
    """Multi-scale SSIM (Wang et al. 2003, eq. 7): prod_j cs_j^w_j over 2x2-averaged scales, luminance at the last.

    Uses "valid" windows. Five scales need at least 176 px on the short side; smaller pictures use as many scales as
    fit, their weights scaled to sum 1. Negative means are set to 0. Raises ValueError under 11 px.
    """
    _same_shape(a, b)
    short = min(a.shape[:2])
    if short < WINDOW:
        raise ValueError(f"MS-SSIM needs pictures of at least {WINDOW} pixels a side, not {short}")
    scales = min(len(MS_WEIGHTS), int(np.log2(short / WINDOW)) + 1)
    weights = np.array(MS_WEIGHTS[:scales]) / sum(MS_WEIGHTS[:scales])
    product = np.ones(a.shape[2])
    window, edge = gaussian_window(), WINDOW // 2
    for scale, weight in enumerate(weights):
        similarity, structure, _ = similarity_sums(a, b, window, None, edge).T
        last = scale == scales - 1
        value = (similarity if last else structure) / ((a.shape[0] - 2 * edge) * (a.shape[1] - 2 * edge))
        product = product * np.maximum(value, 0) ** weight
        a, b = _halved(a), _halved(b)
    return float(product.mean())


def sharpness(image: FloatArray, reference: FloatArray, mask: FloatArray | None = None) -> float:
    """High-pass energy of `image` over that of `reference` (both (H, W, 3)), in the mask: 1 = as sharp, < 1 = blurred.

    E(x) = sum_p m_p (y_p - (G * y)_p)^2 with y the Rec.709 luma of the encoded picture and G a Gaussian of 1.5 px.
    Noise counts as sharpness, so a value above 1 is no merit. Returns 0 when the reference is flat.
    """
    _same_shape(image, reference)
    energy = [_masked_mean(_high_pass(x) ** 2, mask) for x in (image, reference)]
    return float(energy[0] / energy[1]) if energy[1] > 1e-12 else 0.0


def error_levels(a: FloatArray, b: FloatArray) -> npt.NDArray[np.float32]:  # (H, W, C), (H, W, C)
    """(H, W) mean absolute difference over the channels, in 8-bit levels (0..255)."""
    _same_shape(a, b)
    return (np.abs(a.astype(np.float64) - b).mean(axis=-1) * 255).astype(np.float32)


def gaussian_window() -> npt.NDArray[np.float64]:
    """SSIM's 11 weights along one axis, sum 1."""
    x = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(x**2) / (2 * SIGMA**2))
    return weights / weights.sum()


def _same_shape(a: FloatArray, b: FloatArray) -> None:
    if a.shape != b.shape:
        raise ValueError(f"pictures of different shape cannot be compared: {a.shape} and {b.shape}")


def _masked_mean(values: FloatArray, mask: FloatArray | None) -> float:  # (H, W), (H, W)
    if mask is None:
        return float(values.mean())
    weight = float(mask.sum(dtype=np.float64))
    if weight <= 0:
        raise ValueError(_EMPTY_MASK)
    return float((values * mask).sum(dtype=np.float64) / weight)


def _blurred(image: FloatArray, border: int = cv2.BORDER_CONSTANT) -> npt.NDArray[np.float64]:  # (H, W[, C])
    window = gaussian_window()
    source = np.ascontiguousarray(image, np.float64)
    filtered = cv2.sepFilter2D(source, -1, window, window, borderType=border)
    return np.asarray(filtered, np.float64).reshape(image.shape)


def _halved(image: FloatArray) -> FloatArray:  # (H, W, C) -> (H // 2, W // 2, C)
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    even = image[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4


def _high_pass(image: FloatArray) -> npt.NDArray[np.float64]:  # (H, W, 3) -> (H, W)
    luma = image.astype(np.float64) @ _LUMA
    return luma - _blurred(luma, cv2.BORDER_REFLECT_101)  # a black border would count as an edge
