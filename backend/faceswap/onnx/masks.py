# SPDX-License-Identifier: Apache-2.0
"""Masks that networks give along with the face."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .descriptors import Descriptor
from .tensors import mask_from

Floats = npt.NDArray[Any]
_ERODE, _ROUNDS, _SIGMA = 3, 2, 6.25  # pixels of the network's crop; what FaceFusion does to the masks of .dfm files


def network_mask(outputs: Mapping[str, Floats], descriptor: Descriptor, name: str) -> npt.NDArray[np.float32] | None:
    """(S, S) 0..1: the smallest of the network's masks, None if it gives none; `name`: the model's.

    Networks that are trained for one face (.dfm) give hard masks of both faces, which are drawn in and blurred.
    """
    if not descriptor.mask_outputs:
        return None
    mask = np.minimum.reduce([mask_from(outputs[key], descriptor, name) for key in descriptor.mask_outputs])
    return inset(mask) if descriptor.source is None else mask


def inset(mask: Floats) -> npt.NDArray[np.float32]:
    """A mask (S, S) eroded by two pixels, then blurred with a deviation of 6.25 pixels."""
    smaller = cv2.erode(mask, np.ones((_ERODE, _ERODE), np.uint8), iterations=_ROUNDS)
    return np.asarray(cv2.GaussianBlur(smaller, (0, 0), _SIGMA), np.float32)
