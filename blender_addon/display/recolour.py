# SPDX-License-Identifier: GPL-3.0-or-later
"""Exposure, tint and saturation of splats, in scene-linear light, the view-dependent part included. No bpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._interchange import splats

Array = npt.NDArray[Any]

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_SLOPE, _KNEE, _LINEAR_KNEE = 12.92, 0.04045, 0.0031308


def recoloured(sh: Array, exposure: float, tint: Array, saturation: float) -> Array:  # (N, K, 3)
    """SH coefficients whose colours are those of `sh` after exposure (stops), tint (3,) and saturation (1: as it is).

    The constant band's colour is changed exactly. Higher bands are small departures from it, so they are changed by
    the derivative there: what brightens a splat brightens its gloss by the same rule.
    """
    mix = saturation * np.eye(3) + (1 - saturation) * np.ones((3, 1)) * _LUMINANCE
    change = 2.0**exposure * mix * np.asarray(tint, np.float64)  # rows: out; the tint acts on what goes in
    before = 0.5 + splats.SH_C0 * sh[:, 0].astype(np.float64)
    linear = _decoded(before)
    after = linear @ change.T
    result = sh.astype(np.float64)
    result[:, 0] = (_encoded(after) - 0.5) / splats.SH_C0
    jacobian = _encoding_slope(after)[:, :, None] * change * _decoding_slope(before)[:, None, :]
    result[:, 1:] = np.einsum("nij,nkj->nki", jacobian, result[:, 1:])
    return result.astype(np.float32)


def _decoded(value: Array) -> Array:
    """sRGB to linear; below 0 the straight piece goes on, so that nothing is lost."""
    return np.where(value <= _KNEE, value / _SLOPE, ((np.maximum(value, _KNEE) + 0.055) / 1.055) ** 2.4)


def _encoded(linear: Array) -> Array:
    return np.where(
        linear <= _LINEAR_KNEE, linear * _SLOPE, 1.055 * np.maximum(linear, _LINEAR_KNEE) ** (1 / 2.4) - 0.055
    )


def _decoding_slope(value: Array) -> Array:
    return np.where(value <= _KNEE, 1 / _SLOPE, 2.4 / 1.055 * ((np.maximum(value, _KNEE) + 0.055) / 1.055) ** 1.4)


def _encoding_slope(linear: Array) -> Array:
    return np.where(linear <= _LINEAR_KNEE, _SLOPE, 1.055 / 2.4 * np.maximum(linear, _LINEAR_KNEE) ** (1 / 2.4 - 1))
