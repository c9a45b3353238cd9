# SPDX-License-Identifier: Apache-2.0
"""Putting a swapped crop into its view: soft mask, display-referred blend, back to linear light."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.capture import ViewImages
from interchange.colour import linear_from_srgb, srgb_from_linear

from ..sampling import sample_cubic, sample_linear
from .alignment import Matrix, apply, inverse, resample

Floats = npt.NDArray[Any]
_SHARE_OF_BLUR = 0.25  # standard deviation of the soft edge, in widths of the blur


def box_mask(size: int, feather: float) -> npt.NDArray[np.float32]:
    """(size, size) 0..1: 1 in the middle, 0 at the border, between them a Gaussian's slope `feather` / 2 of the edge
    wide. At least one pixel at the border is 0, so that nothing outside of the crop is touched."""
    blur = int(size * 0.5 * feather)
    border = max(blur // 2, 1)
    line = np.zeros(size)
    line[border : size - border] = 1
    sigma = _SHARE_OF_BLUR * blur
    if sigma > 0:
        reach = int(np.ceil(4 * sigma))
        taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
        line = np.convolve(line, taps / taps.sum(), mode="full")[reach : reach + size]
        line[[0, -1]] = 0
    return np.outer(line, line).astype(np.float32)


def paste(
    images: ViewImages,
    crop: Floats,  # (S, S, 3) RGB display-referred sRGB 0..1
    mask: Floats,  # (S, S) 0..1, 0 at the border
    region: Floats,  # (H, W) 0..1
    to_crop: Matrix,
    strength: float = 1.0,
) -> npt.NDArray[np.float32]:
    """The view's new rgb (H, W, 3), linear, premultiplied; where the mask is 0 the very bits of before.

    `to_crop` leads from the view's pixel indices to the crop's. The blend is made in display-referred values over
    black, as the network saw them; what was brighter than display white goes as the mask comes.
    """
    rows, columns = _window(to_crop, len(crop), images.alpha.shape)
    if not rows or not columns:
        return images.rgb
    warped = resample(mask[..., None], to_crop, rows, columns, sample_linear)[..., 0]
    area = np.s_[rows.start : rows.stop, columns.start : columns.stop]
    amount = strength * np.minimum(warped, region[area])
    changed = amount > 0
    if not changed.any():
        return images.rgb
    new = np.clip(resample(crop, to_crop, rows, columns, sample_cubic), 0, 1)[changed]
    alpha = np.clip(images.alpha[area][changed], 1e-6, 1)[:, None]
    before = images.rgb[area][changed]
    result = np.array(images.rgb, np.float32)
    result[area][changed] = _blended(before, alpha, new, amount[changed][:, None])
    return result


def _blended(before: Floats, alpha: Floats, new: Floats, amount: Floats) -> Floats:
    """(N, 3) linear premultiplied of linear premultiplied `before` and `new`, display-referred over black."""
    straight = before / alpha
    within = np.clip(straight, 0, 1)
    display = srgb_from_linear(within)
    mixed = linear_from_srgb(np.clip(display + amount * (new / alpha - display), 0, 1))
    return np.maximum((mixed + (1 - amount) * (straight - within)) * alpha, 0)


def _window(to_crop: Matrix, size: int, shape: tuple[int, ...]) -> tuple[range, range]:
    """Rows and columns of the view that the crop covers."""
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]], np.float64)
    in_view = apply(inverse(to_crop), corners)
    left, top = np.floor(in_view.min(0)).astype(int)
    right, bottom = np.ceil(in_view.max(0)).astype(int) + 1
    return range(max(top, 0), min(bottom, shape[0])), range(max(left, 0), min(right, shape[1]))
