# SPDX-License-Identifier: Apache-2.0
"""The size and form in which a head's texture is worked on."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear

Floats = npt.NDArray[Any]
DEFAULT_SIZE = 1024


def working_texture(linear: Floats, width: int | None) -> npt.NDArray[np.uint8]:  # (h, w, 3)
    """The texture as sRGB bytes, at its own size or `width` texels wide; a constant colour gets a size to work with."""
    rows, columns = linear.shape[:2]
    if width is not None:
        size = (width, max(1, round(width * rows / columns)))
    elif min(rows, columns) < 64:  # a constant colour
        size = (DEFAULT_SIZE, DEFAULT_SIZE)
    else:
        return encoded_bytes(np.asarray(linear, np.float32))
    interpolation = cv2.INTER_AREA if size[0] < columns else cv2.INTER_LINEAR
    resized: Floats = cv2.resize(srgb_from_linear(linear), size, interpolation=interpolation)
    return encoded_bytes(linear_from_srgb(resized))


def encoded_bytes(linear: Floats) -> npt.NDArray[np.uint8]:
    """Linear 0..1 as sRGB bytes."""
    return as_bytes(srgb_from_linear(linear))


def as_bytes(image: Floats) -> npt.NDArray[np.uint8]:
    """0..1 as bytes, as they are."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def as_linear(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """sRGB bytes as linear 0..1."""
    return linear_from_srgb(image.astype(np.float32) / 255)
