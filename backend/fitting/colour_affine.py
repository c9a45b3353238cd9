# SPDX-License-Identifier: Apache-2.0
"""One affine change of colour per view, for pictures whose exposure or white balance drifts from view to view.

It is solved in closed form between picture and render, and applied to the trainer's copy of the picture, never to the
splats: what all views share is theirs. That is why the mean over the views is kept at the identity.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .dataset import Image

AFFINE = "colour_affine"
"""Key in the state's memory: (V, 3, 4) float32, a row is one output channel over (red, green, blue, alpha)."""
RIDGE = 1e-3
"""Pull towards the identity, relative to the mean square of the colours."""
IDENTITY = np.eye(3, 4, dtype=np.float32)
_MIN_PIXELS = 50


def solve_affine(
    picture: Image,  # (H, W, 3) premultiplied
    alpha: Image,  # (H, W)
    rendered: Image,  # (H, W, 3) over black
    weights: Image | None = None,  # (H, W) >= 0
) -> npt.NDArray[np.float32]:
    """(3, 4) A that brings A (picture, alpha) nearest to `rendered` on covered pixels; least squares with a ridge."""
    covered = alpha > 0.5
    if covered.sum() < _MIN_PIXELS:
        return IDENTITY.copy()
    x = np.concatenate([picture[covered], alpha[covered, None]], axis=1).astype(np.float64)
    w = np.ones(len(x)) if weights is None else weights[covered].astype(np.float64)
    total = max(float(w.sum()), 1e-9)
    gram = (x * w[:, None]).T @ x / total
    moment = (x * w[:, None]).T @ (rendered[covered] - picture[covered]).astype(np.float64) / total
    change = np.linalg.solve(gram + RIDGE * np.eye(4) * max(float(np.trace(gram)), 1e-6), moment)
    return np.asarray(IDENTITY + change.T, np.float32)


def centred(affine: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:  # (V, 3, 4)
    """The same changes without what they have in common: their mean is the identity."""
    return affine - affine.mean(axis=0) + IDENTITY


def matched(picture: Image, alpha: Image, affine: npt.NDArray[np.float32]) -> Image:  # (H, W, 3), (H, W), (3, 4)
    """The premultiplied picture with its colours changed; empty pixels stay empty."""
    return np.asarray(picture @ affine[:, :3].T + alpha[:, :, None] * affine[:, 3], np.float32)
