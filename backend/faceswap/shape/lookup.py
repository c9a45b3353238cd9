# SPDX-License-Identifier: Apache-2.0
"""Pictures of the old view at the places of the new one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from .filling import Continuation, Spread

Floats = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_SOLID = 0.6  # coverage from which on a pixel's colour is its own
_LEAST_ALPHA = 1e-3


class Lookup:
    """alpha: (H, W) of the new view where it has `changed`, the old one elsewhere."""

    def __init__(
        self, alpha: Floats, old_coverage: Floats, coverage: Floats, step: Floats, changed: Mask,
        holes: Sequence[tuple[Mask, Mask]],
    ) -> None:  # fmt: skip
        """alpha, coverages: (H, W). step: (H, W, 2) pixels to the old place. holes: pixels that the old view cannot
        show, and from which seen ones they are filled."""
        self._old_alpha, self._step, self._changed = np.ascontiguousarray(alpha, np.float32), step, changed
        self._holes = [Spread(seen, target) for target, seen in holes]
        self._needed = changed.copy()
        for hole in self._holes:
            hole.mark_sources(self._needed)
        opaque = old_coverage > _SOLID
        visible = opaque & (alpha > _LEAST_ALPHA)
        covered = Continuation(opaque)
        self._solid = covered if np.array_equal(opaque, visible) else Continuation(visible)
        # What the old view's alpha has besides the coverage: 1 for what is opaque.
        share = np.clip(alpha / np.maximum(old_coverage, 1e-3), 0, 1).astype(np.float32)
        density = _continued(share[..., None], np.ones_like(share), covered.nearest)
        result = np.zeros_like(density)
        _at_old_place(density, step, changed, result)
        self.alpha = np.where(changed, np.clip(result[..., 0] * coverage, 0, 1), alpha).astype(np.float32)

    def of(self, image: Floats) -> npt.NDArray[np.float32]:  # (H, W) or (H, W, C)
        """A premultiplied picture of the new view: looked up without its coverage, holes filled, under the new alpha.
        Where nothing has changed it keeps every bit."""
        source = np.ascontiguousarray(image.reshape(*self._changed.shape, -1), np.float32)
        straight = _continued(source, self._old_alpha, self._solid.nearest)
        found = np.zeros_like(source)
        _at_old_place(straight, self._step, self._needed, found)
        for hole in self._holes:
            hole.into(found)
        result = source.copy()
        _put(found, self.alpha, self._changed, result)
        return result.reshape(image.shape)


def _continued(image: Floats, alpha: Floats, nearest: Floats) -> npt.NDArray[np.float32]:
    """Over its alpha, and from the nearest known pixel on."""
    flat = image.reshape(nearest.size, -1)
    result = np.empty_like(flat)
    _straighten(flat, alpha.reshape(-1), nearest.reshape(-1), np.float32(_LEAST_ALPHA), result)
    return result.reshape(image.shape)


@numba.njit(cache=True, nogil=True)
def _straighten(image, alpha, nearest, least, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for pixel in range(len(nearest)):
        known = nearest[pixel]
        under = max(alpha[known], least)
        for c in range(image.shape[1]):
            result[pixel, c] = image[known, c] / under


@numba.njit(cache=True, nogil=True)
def _cubic(t, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Weights of the pixels at -1, 0, 1 and 2: Keys' kernel (1981) with a = -0.75, as OpenCV takes it."""
    a = np.float32(-0.75)
    one, two, three, four, five, eight = (
        np.float32(1), np.float32(2), np.float32(3), np.float32(4), np.float32(5), np.float32(8),
    )  # fmt: skip
    back, rest = t + one, one - t
    weights[0] = ((a * back - five * a) * back + eight * a) * back - four * a
    weights[1] = ((a + two) * t - (a + three)) * t * t + one
    weights[2] = ((a + two) * rest - (a + three)) * rest * rest + one
    weights[3] = one - weights[0] - weights[1] - weights[2]


@numba.njit(cache=True, nogil=True)
def _at_old_place(image, step, needed, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Bicubic, but never outside the range of what lies around: a cubic overshoots at edges."""
    height, width, channels = image.shape
    across, down = np.empty(4, np.float32), np.empty(4, np.float32)
    xs, ys = np.empty(4, np.int64), np.empty(4, np.int64)
    for row in range(height):
        for column in range(width):
            if not needed[row, column]:
                continue
            x = min(max(np.float32(column) + step[row, column, 0], np.float32(-2.0)), np.float32(width + 1.0))
            y = min(max(np.float32(row) + step[row, column, 1], np.float32(-2.0)), np.float32(height + 1.0))
            x0, y0 = int(np.floor(x)), int(np.floor(y))
            _cubic(np.float32(x - np.float32(x0)), across)
            _cubic(np.float32(y - np.float32(y0)), down)
            for k in range(4):
                xs[k], ys[k] = min(max(x0 - 1 + k, 0), width - 1), min(max(y0 - 1 + k, 0), height - 1)
            # The middle of what lies around; half a pixel goes to the even one.
            xm, ym = min(max(int(np.rint(x)), 0), width - 1), min(max(int(np.rint(y)), 0), height - 1)
            left, right = max(xm - 1, 0), min(xm + 1, width - 1)
            top, bottom = max(ym - 1, 0), min(ym + 1, height - 1)
            for c in range(channels):
                total = np.float32(0.0)
                for j in range(4):
                    line = np.float32(0.0)
                    for i in range(4):
                        line += across[i] * image[ys[j], xs[i], c]
                    total += down[j] * line
                low = high = image[ym, xm, c]
                for j in range(top, bottom + 1):
                    for i in range(left, right + 1):
                        low, high = min(low, image[j, i, c]), max(high, image[j, i, c])
                result[row, column, c] = min(max(total, low), high)


@numba.njit(cache=True, nogil=True)
def _put(found, alpha, changed, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width, channels = result.shape
    for row in range(height):
        for column in range(width):
            if changed[row, column]:
                for c in range(channels):
                    result[row, column, c] = found[row, column, c] * alpha[row, column]
