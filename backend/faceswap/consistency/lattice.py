# SPDX-License-Identifier: Apache-2.0
"""The face's part of the texture in pixels as large as a view's, and a lattice over it on which smooth moves live."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from scipy import sparse

from ..atlas import Atlas

Floats = npt.NDArray[Any]
_NODES = 9  # along the longer side
_LARGEST = 384  # pixels a side: finer ones would cost much and tell little


@attrs.frozen(eq=False)
class Lattice:
    """Of N nodes over P = h w pixels (`size` is h, w). rows, columns: (T,) of an atlas's texels in their own box, of
    `full` rows and columns. step: texels a pixel. basis: (P, N) linear weights of nodes at pixels. tension: (N, N) the
    sum of squared differences between neighbouring nodes, as a quadratic form."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    full: tuple[int, int]
    size: tuple[int, int]
    step: float
    basis: sparse.csr_array
    tension: sparse.csr_array

    @property
    def count(self) -> int:
        """N."""
        return int(self.basis.shape[1])

    @staticmethod
    def of(atlas: Atlas, step: float) -> Lattice:
        """Over all texels of an atlas; pixels of `step` texels a side, or larger ones if that would be too many."""
        rows, columns = atlas.rows - atlas.rows.min(), atlas.columns - atlas.columns.min()
        full = (int(rows.max()) + 1, int(columns.max()) + 1)
        step = max(step, max(full) / _LARGEST)
        size = (max(2, round(full[0] / step)), max(2, round(full[1] / step)))
        spacing = max(size) / (_NODES - 1)
        down, across = (int(np.ceil(n / spacing)) + 1 for n in size)
        basis = sparse.kron(_tents(size[0], spacing, down), _tents(size[1], spacing, across))
        tension = sparse.kron(_tension(down), sparse.eye_array(across))
        tension = tension + sparse.kron(sparse.eye_array(down), _tension(across))
        return Lattice(rows, columns, full, size, step, sparse.csr_array(basis), sparse.csr_array(tension))

    def image(self, texels: npt.NDArray[np.int32], values: Floats) -> npt.NDArray[np.float32]:  # (M,), (M, C)
        """Values at some texels as an image (*full, C), 0 elsewhere."""
        image = np.zeros((*self.full, values.shape[1]), np.float32)
        image[self.rows[texels], self.columns[texels]] = values
        return image

    def shrunk(self, image: Floats) -> npt.NDArray[np.float32]:  # (*full, C)
        """The same in pixels (h, w, C), each a mean."""
        return np.asarray(cv2.resize(image, self.size[::-1], interpolation=cv2.INTER_AREA), np.float32)

    def moves(self, nodes: Floats) -> npt.NDArray[np.float32]:  # (N, 2)
        """(h, w, 2) what the nodes say at the pixels."""
        return np.asarray(self.basis @ nodes, np.float32).reshape(*self.size, 2)


def _tents(pixels: int, spacing: float, nodes: int) -> sparse.csr_array:
    """(pixels, nodes) linear weights of nodes that stand `spacing` pixels apart."""
    at = (np.arange(pixels) + 0.5) / spacing
    first = np.minimum(at.astype(int), nodes - 2)
    share, row = at - first, np.arange(pixels)
    places = (np.r_[row, row], np.r_[first, first + 1])
    return sparse.csr_array((np.r_[1 - share, share], places), (pixels, nodes))


def _tension(nodes: int) -> Any:
    """(nodes, nodes) along one axis."""
    difference = sparse.diags_array([-1.0, 1.0], offsets=[0, 1], shape=(nodes - 1, nodes))
    return difference.T @ difference
