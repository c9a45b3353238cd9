# SPDX-License-Identifier: Apache-2.0
"""One affine change of colour per view, for pictures whose exposure or white balance drifts from view to view.

It is solved in closed form between picture and render, and applied to the trainer's copy of the picture, never to the
splats: what all views share is theirs. That is why the mean over the views is kept at the identity.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from backend.kernels import agreement

from .dataset import Image

AFFINE = "colour_affine"
"""Key in the state's memory: (V, 3, 4) float32, a row is one output channel over (red, green, blue, alpha)."""
RIDGE = 1e-3
"""Pull towards the identity, relative to the mean square of the colours."""
IDENTITY = np.eye(3, 4, dtype=np.float32)
_MIN_PIXELS = 50
_EVEN = np.zeros((0, 0), np.uint8)


def solve_affine(
    picture: Image,  # (H, W, 3) premultiplied
    alpha: Image,  # (H, W)
    rendered: Image,  # (H, W, 3) over black
    weights: npt.NDArray[Any] | None = None,  # (H, W) >= 0, in any unit
) -> npt.NDArray[np.float32]:
    """(3, 4) A that brings A (picture, alpha) nearest to `rendered` on covered pixels; least squares with a ridge."""
    gram, moment = np.zeros((4, 4)), np.zeros((4, 3))
    total, count = agreement.affine_sums(
        picture, alpha, rendered, _EVEN if weights is None else weights, gram, moment
    )
    if count < _MIN_PIXELS:
        return IDENTITY.copy()
    gram, moment = gram / max(total, 1e-9), moment / max(total, 1e-9)
    change = np.linalg.solve(gram + RIDGE * np.eye(4) * max(float(np.trace(gram)), 1e-6), moment)
    return np.ascontiguousarray(IDENTITY + change.T, np.float32)


def centred(affine: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # (V, 3, 4)
    """The same changes without what they have in common: their mean is the identity."""
    return affine - affine.mean(axis=0) + IDENTITY


def matched(picture: Image, alpha: Image, affine: npt.NDArray[np.float32]) -> Image:  # (H, W, 3), (H, W), (3, 4)
    """The premultiplied picture with its colours changed; empty pixels stay empty."""
    result = np.empty(picture.shape, np.float32)
    agreement.matched(picture, alpha, affine, result)
    return result
