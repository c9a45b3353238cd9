# SPDX-License-Identifier: Apache-2.0
"""From each pixel of a moved mesh's view to where its surface was in the old view."""

from __future__ import annotations

from typing import Any

import attrs
import numba
import numpy as np
import numpy.typing as npt

from backend.kernels.mesh_rasterization import Raster
from interchange.cameras import Camera
from interchange.mesh import Mesh

from .filling import Continuation

Floats = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
_HIDDEN = 0.003  # metres behind what the old view shows: another surface lay in front
_OUTLINE_PX = 6.0  # how far beyond an outline the way back is continued, and as far again while it fades


@attrs.frozen(eq=False)
class WayBack:
    """step: (H, W, 2) pixels (x, y) to the old place. hidden: (H, W), where another surface lay in front of it."""

    step: npt.NDArray[np.float32]
    hidden: Mask


def way_back(before: Raster, after: Raster, mesh: Mesh, camera: Camera) -> WayBack:
    """`before` is the raster of `mesh`, `after` that of the same mesh moved, both at one sample a pixel."""
    step = np.zeros((*after.face.shape, 2), np.float32)
    hidden = np.zeros(after.face.shape, bool)
    _steps(
        after.face, after.weights, mesh.faces, np.asarray(mesh.vertices, np.float32), before.depth,
        camera.world_to_camera, camera.K, _HIDDEN, step, hidden,
    )  # fmt: skip
    beyond = Continuation(after.covered)
    _continue(beyond.distance, beyond.nearest, _OUTLINE_PX, step)
    return WayBack(step, hidden)


@numba.njit(cache=True, nogil=True)
def _steps(face, weights, faces, vertices, depth, pose, K, tolerance, step, hidden):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = face.shape
    point, local, seen = np.empty(3), np.empty(3), np.empty(3)
    for row in range(height):
        for column in range(width):
            f = face[row, column]
            if f < 0:
                continue
            w = weights[row, column]
            for c in range(3):
                # In single precision, as everything that is interpolated over a raster.
                point[c] = (
                    w[0] * vertices[faces[f, 0], c] + w[1] * vertices[faces[f, 1], c] + w[2] * vertices[faces[f, 2], c]
                )
            for i in range(3):
                local[i] = pose[i, 0] * point[0] + pose[i, 1] * point[1] + pose[i, 2] * point[2] + pose[i, 3]
            for i in range(3):
                seen[i] = K[i, 0] * local[0] + K[i, 1] * local[1] + K[i, 2] * local[2]
            safe = local[2] if abs(local[2]) >= 1e-12 else 1e-12
            x, y = seen[0] / safe, seen[1] / safe
            step[row, column, 0], step[row, column, 1] = x - (column + 0.5), y - (row + 0.5)
            x0, y0 = int(min(max(x, 0.0), width - 1.0)), int(min(max(y, 0.0), height - 1.0))
            farthest = np.float32(0.0)
            for j in range(max(y0 - 1, 0), min(y0 + 2, height)):
                for i in range(max(x0 - 1, 0), min(x0 + 2, width)):
                    farthest = max(farthest, depth[j, i])
            hidden[row, column] = local[2] > farthest + tolerance


@numba.njit(cache=True, nogil=True)
def _continue(distance, nearest, outline, step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = distance.shape
    for row in range(height):
        for column in range(width):
            away = distance[row, column]
            if away <= 0.0 or away >= 2 * outline:
                continue
            fade = np.float32(min(max(2.0 - away / outline, 0.0), 1.0))
            known = nearest[row, column]
            for c in range(2):
                step[row, column, c] = step[known // width, known % width, c] * fade
