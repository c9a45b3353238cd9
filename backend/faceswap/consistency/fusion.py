# SPDX-License-Identifier: Apache-2.0
"""Many views' colours of one texel as one: a robust mean, and detail from the view that shows it best.

The robust mean is the weighted geometric median (Weiszfeld 1937): the point with the least weighted sum of distances. A
few views that are far off, as where a swapper failed, pull it no further than a few that are near.
"""

from __future__ import annotations

from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from ..atlas import Atlas
from .samples import Samples

Floats = npt.NDArray[Any]
STEPS = 8
_SOFT = 1.0 / 255  # distances are not let below this
_SHARPEST = 8  # power of the weight by which detail is mixed: nearly the best view alone, but without seams


def geometric_median(samples: Samples, steps: int = STEPS) -> npt.NDArray[np.float32]:
    """(T, 3) for T texels; 0 where a texel has no sample. Starts from the weighted mean."""
    result = np.zeros((len(samples.start) - 1, 3), np.float32)
    _weiszfeld(samples.start, samples.colour, samples.weight, steps, _SOFT, result)
    return result


@numba.njit(cache=True, nogil=True)
def _weiszfeld(start, colour, weight, steps, soft, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for t in range(len(start) - 1):
        first, last = start[t], start[t + 1]
        if first == last:
            continue
        r, g, b = 0.0, 0.0, 0.0
        for step in range(steps + 1):
            total, nr, ng, nb = 0.0, 0.0, 0.0, 0.0
            for i in range(first, last):
                w = weight[i]
                if step > 0:
                    d = (colour[i, 0] - r) ** 2 + (colour[i, 1] - g) ** 2 + (colour[i, 2] - b) ** 2
                    w /= np.sqrt(d + soft * soft)
                total += w
                nr += w * colour[i, 0]
                ng += w * colour[i, 1]
                nb += w * colour[i, 2]
            r, g, b = nr / total, ng / total, nb / total
        result[t, 0], result[t, 1], result[t, 2] = r, g, b


def total_weight(samples: Samples) -> npt.NDArray[np.float32]:
    """(T,) sum of the weights at each texel."""
    return np.bincount(samples.texel, samples.weight, len(samples.start) - 1).astype(np.float32)


def with_best_detail(samples: Samples, fused: Floats, atlas: Atlas, sigma: float) -> npt.NDArray[np.float32]:
    """`fused` (T, 3) below, the best view's colours above a Gaussian of `sigma` texels: a mean of many views that do
    not quite agree is blurred, one of them is not."""
    known = total_weight(samples) > 0
    texels = np.flatnonzero(known).astype(np.int32)
    low = _smooth(texels, fused[texels], atlas, sigma)
    detail, share = np.zeros_like(fused), np.zeros(len(fused), np.float32)
    for view in range(samples.views):
        own = samples.of_view(view)
        if not len(own):
            continue
        at, colour = samples.texel[own], samples.colour[own]
        weight = samples.weight[own] ** _SHARPEST
        detail[at] += weight[:, None] * (colour - _smooth(at, colour, atlas, sigma))
        share[at] += weight
    result = np.array(fused, np.float32)
    result[texels] = low + detail[texels] / np.maximum(share[texels], 1e-20)[:, None]
    return np.clip(result, 0, 1)


def _smooth(texels: npt.NDArray[np.int32], values: Floats, atlas: Atlas, sigma: float) -> npt.NDArray[np.float32]:
    """Values (M, 3) at some texels, blurred over these alone."""
    rows, columns = atlas.rows[texels], atlas.columns[texels]
    top, left = int(rows.min()), int(columns.min())
    image = np.zeros((int(rows.max()) - top + 1, int(columns.max()) - left + 1, 4), np.float32)
    image[rows - top, columns - left, :3], image[rows - top, columns - left, 3] = values, 1
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)[rows - top, columns - left]
    return (blurred[:, :3] / np.maximum(blurred[:, 3:], 1e-6)).astype(np.float32)
