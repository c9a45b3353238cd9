# SPDX-License-Identifier: Apache-2.0
"""Pictures continued beyond where they are known."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
_ENOUGH = 0.05


class Continuation:
    """Every pixel's nearest known pixel. distance: (H, W) pixels to it, infinite if nothing is known."""

    def __init__(self, known: npt.NDArray[np.bool_]) -> None:
        self._nearest: tuple[npt.NDArray, npt.NDArray] | None = None
        self.distance: Floats = np.full(known.shape, np.inf, np.float32)
        if not known.any():
            return
        distance, label = cv2.distanceTransformWithLabels(
            (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        self.distance = np.asarray(distance)
        rows, columns = np.nonzero(known)
        order = np.zeros(int(label.max()) + 1, np.intp)
        order[label[known]] = np.arange(len(rows))
        nearest = order[label]
        self._nearest = rows[nearest], columns[nearest]

    def of(self, image: Floats) -> Floats:
        """The picture (H, W, ...) with the nearest known value everywhere; as it is if nothing is known."""
        return image if self._nearest is None else image[self._nearest]


def spread_from(image: Floats, seen: Floats, wanted: npt.NDArray[np.bool_]) -> Floats:
    """The picture, where `wanted`, as its `seen` (H, W; 0 or 1) pixels continue it: normalised Gaussians, as narrow as
    they suffice. Elsewhere 0."""
    share_of = (lambda s: s) if image.ndim == 2 else (lambda s: s[..., None])
    weighted, result = image * share_of(seen), np.zeros_like(image)
    done = ~wanted
    for width in _WIDTHS:
        if done.all():
            break
        share = cv2.GaussianBlur(seen, (0, 0), width)
        value = cv2.GaussianBlur(weighted, (0, 0), width) / np.maximum(share_of(share), 1e-6)
        fresh = (share > _ENOUGH) & ~done
        result = np.where(share_of(fresh), value, result)
        done |= fresh
    return result.astype(np.float32)
