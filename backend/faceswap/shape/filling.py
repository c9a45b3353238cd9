# SPDX-License-Identifier: Apache-2.0
"""Pictures continued beyond where they are known: to the nearest pixel, or smoothly into a few hidden ones."""

from __future__ import annotations

from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_WIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0, 64.0)
_REACH = 4.0  # standard deviations: where OpenCV cuts the window of a float picture
_ENOUGH = 0.05
_ANY = 1e-6  # enough for the widest: better little than a black hole


class Continuation:
    """Every pixel's nearest known pixel. distance: (H, W) pixels to it, infinite if nothing is known. nearest: (H, W)
    int32, its index in the picture's rows laid end to end; the pixel's own if nothing is known."""

    def __init__(self, known: Mask) -> None:
        self.distance: Floats = np.full(known.shape, np.inf, np.float32)
        self.nearest: npt.NDArray[np.int32] = np.arange(known.size, dtype=np.int32).reshape(known.shape)
        if not known.any():
            return
        distance, label = cv2.distanceTransformWithLabels(
            (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        self.distance = np.asarray(distance)
        of_label = np.zeros(int(label.max()) + 1, np.int32)
        of_label[label[known]] = self.nearest[known]
        self.nearest = of_label[label]


class Spread:
    """The `wanted` pixels (H, W) as the `seen` ones (H, W; at least one) continue them: normalised Gaussians, each as
    narrow as it suffices, and beyond the reach of the widest the nearest seen pixel. Only the wanted pixels, a few
    hundred of a view, are ever computed."""

    def __init__(self, seen: Mask, wanted: Mask) -> None:
        self._seen = seen.view(np.uint8)
        columns, rows = np.nonzero(wanted.T)  # column by column, as the kernel wants them
        self._rows, self._columns = rows.astype(np.int32), columns.astype(np.int32)
        self._width = np.full(len(rows), -1)  # index of the one that suffices, -1 where none reaches a seen pixel
        self._share = np.zeros(len(rows))
        ones = np.ones((*seen.shape, 1), np.float32)
        for index in range(len(_WIDTHS)):
            waiting = np.flatnonzero(self._width < 0)
            if not len(waiting):
                break
            share = self._sums(ones, index, waiting)[:, 0]
            enough = share > (_ENOUGH if index < len(_WIDTHS) - 1 else _ANY)
            self._width[waiting[enough]], self._share[waiting[enough]] = index, share[enough]
        self._far = np.flatnonzero(self._width < 0)
        self._nearest = Continuation(seen).nearest[self._rows, self._columns][self._far] if len(self._far) else None

    def mark_sources(self, needed: Mask) -> None:
        """Set `needed` (H, W) at all pixels that `into` looks at."""
        for index in np.unique(self._width[self._width >= 0]):
            own = self._width == index
            _mark_windows(self._seen, len(_window(index)) // 2, self._rows[own], self._columns[own], needed)
        if self._nearest is not None:
            needed.reshape(-1)[self._nearest] = True

    def into(self, image: Floats) -> None:  # (H, W, C) float32
        """Write into the wanted pixels what the seen ones of the same picture say."""
        values = np.empty((len(self._rows), image.shape[2]), np.float32)
        for index in np.unique(self._width[self._width >= 0]):
            own = np.flatnonzero(self._width == index)
            values[own] = self._sums(image, index, own) / self._share[own][:, None]
        if self._nearest is not None:
            values[self._far] = image.reshape(-1, image.shape[2])[self._nearest]
        image[self._rows, self._columns] = values

    def _sums(self, image: Floats, width: int, own: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
        result = np.empty((len(own), image.shape[2]))
        _weighted_sums(image, self._seen, _window(width), self._rows[own], self._columns[own], result)
        return result


def _window(index: int) -> npt.NDArray[np.float32]:
    """Weights of OpenCV's Gaussian blur of a float picture."""
    taps = int(np.rint(_WIDTHS[index] * _REACH * 2 + 1)) | 1
    return np.asarray(cv2.getGaussianKernel(taps, _WIDTHS[index], cv2.CV_32F), np.float32)[:, 0]


@numba.njit(cache=True, nogil=True)
def _mirrored(at, size):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """OpenCV's BORDER_REFLECT_101: the picture goes on as its mirror image, its edge not doubled."""
    while at < 0 or at >= size:
        if size == 1:
            return 0
        at = -at if at < 0 else 2 * size - 2 - at
    return at


@numba.njit(cache=True, nogil=True)
def _weighted_sums(image, seen, window, rows, columns, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Separable sums at pixels that come column by column: along rows where one of the column's pixels needs them,
    then down the column."""
    height, _, channels = image.shape
    reach = len(window) // 2
    along, needed = np.empty((height, channels)), np.zeros(height, np.uint8)
    first = 0
    while first < len(rows):
        last = first
        needed[:] = 0
        while last < len(rows) and columns[last] == columns[first]:
            for j in range(-reach, reach + 1):
                needed[_mirrored(rows[last] + j, height)] = 1
            last += 1
        _sum_along_rows(image, seen, window, columns[first], needed, along)
        for k in range(first, last):
            result[k] = 0.0
            for j in range(len(window)):
                y = _mirrored(rows[k] - reach + j, height)
                for c in range(channels):
                    result[k, c] += window[j] * along[y, c]
        first = last


@numba.njit(cache=True, nogil=True)
def _sum_along_rows(image, seen, window, column, needed, along):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Of the needed rows, around one column."""
    height, width, channels = image.shape
    left = column - len(window) // 2
    for y in range(height):
        if needed[y] == 0:
            continue
        along[y] = 0.0
        for i in range(len(window)):
            x = _mirrored(left + i, width)
            if seen[y, x] == 0:
                continue
            for c in range(channels):
                along[y, c] += window[i] * image[y, x, c]


@numba.njit(cache=True, nogil=True)
def _mark_windows(seen, reach, rows, columns, needed):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = seen.shape
    for k in range(len(rows)):
        for y in range(max(rows[k] - reach, 0), min(rows[k] + reach + 1, height)):
            for x in range(max(columns[k] - reach, 0), min(columns[k] + reach + 1, width)):
                if seen[y, x]:
                    needed[y, x] = True
