# SPDX-License-Identifier: Apache-2.0
"""Transfer functions between scene-linear Rec.709 and display-referred sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating]


def srgb_from_linear(linear: FloatArray) -> FloatArray:
    """Encode linear light 0..1 (any shape) as sRGB 0..1; values below 0 are clipped, above 1 kept on the curve."""
    linear = np.maximum(linear, 0)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * np.power(linear, 1 / 2.4) - 0.055).astype(linear.dtype)


def linear_from_srgb(encoded: FloatArray) -> FloatArray:
    """Decode sRGB 0..1 (any shape) to linear light 0..1; values below 0 are clipped."""
    encoded = np.maximum(encoded, 0)
    return np.where(encoded <= 0.04045, encoded / 12.92, np.power((encoded + 0.055) / 1.055, 2.4)).astype(encoded.dtype)
