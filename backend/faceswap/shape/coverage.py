# SPDX-License-Identifier: Apache-2.0
"""How much of each pixel a mesh covers, before and after it has moved."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import covered_samples
from interchange.cameras import Camera
from interchange.mesh import Mesh, Region

from ..views import filter_taps

Floats = npt.NDArray[Any]


def filtered_coverages(
    mesh: Mesh, moved: Mesh, camera: Camera, samples: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(H, W) of `mesh` and of the same mesh `moved`, under the renderer's pixel filter, `samples` a side and pixel.

    Without lashes, which are thinner than a pixel, and seen through. What stays is drawn once for both.
    """
    solid = mesh.face_region != Region.LASHES
    moves = (mesh.vertices != moved.vertices).any(axis=1)[mesh.faces].any(axis=1)
    old = covered_samples(mesh.vertices, mesh.faces[solid & ~moves], camera, samples)
    new = old.copy()
    travelling = mesh.faces[solid & moves]
    covered_samples(mesh.vertices, travelling, camera, samples, into=old)
    covered_samples(moved.vertices, travelling, camera, samples, into=new)
    return _filtered(old, camera, samples), _filtered(new, camera, samples)


def _filtered(covered: npt.NDArray[np.uint8], camera: Camera, samples: int) -> npt.NDArray[np.float32]:
    result = np.zeros((camera.height, camera.width), np.float32)
    _gather(covered, filter_taps(samples), samples, result)
    return result


@numba.njit(cache=True, nogil=True)
def _gather(covered, taps, samples, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Weighted counts of the samples around each pixel, the outermost repeated beyond the frame. Most pixels are
    covered wholly or not at all, which a plain count tells."""
    height, width = covered.shape
    before = (len(taps) - samples) // 2
    full = _weighted_count(np.ones_like(covered), taps, 0, 0)
    counts = np.empty(width, np.int64)  # of the samples around a row of pixels, by column
    for row in range(result.shape[0]):
        top = row * samples - before
        counts[:] = 0
        for j in range(len(taps)):
            counts += covered[min(max(top + j, 0), height - 1)]
        for column in range(result.shape[1]):
            left = column * samples - before
            count = 0
            for i in range(len(taps)):
                count += counts[min(max(left + i, 0), width - 1)]
            if count == len(taps) * len(taps):
                result[row, column] = full
            elif count:
                result[row, column] = _weighted_count(covered, taps, top, left)


@numba.njit(cache=True, nogil=True)
def _weighted_count(covered, taps, top, left):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = covered.shape
    total = 0.0
    for j in range(len(taps)):
        y = min(max(top + j, 0), height - 1)
        for i in range(len(taps)):
            if covered[y, min(max(left + i, 0), width - 1)]:
                total += taps[j] * taps[i]
    return total
