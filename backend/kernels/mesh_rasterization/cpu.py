# SPDX-License-Identifier: Apache-2.0
"""The compiled rasterizer: one thread a call, releases the GIL, so views run side by side in a thread pool."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import attrs
import numba
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

Floats = npt.NDArray[np.floating]


def _njit(function: Callable) -> Any:
    # No fastmath: the compiler must not fuse multiply-adds, or shared edges would not cancel and cracks would open.
    return numba.njit(cache=True, nogil=True)(function)


@attrs.frozen(eq=False)
class Raster:
    """What lies under each sample, rows top-down.

    face: (H, W) int32, -1 where nothing is. weights: (H, W, 3) float32 perspective-correct barycentrics of the face's
    corners, sum 1, zeros where nothing is. depth: (H, W) float32 planar z in the unit of the input, 0 where nothing is.
    """

    face: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    depth: npt.NDArray[np.float32]

    @property
    def covered(self) -> npt.NDArray[np.bool_]:
        """(H, W) True where a face is."""
        return self.face >= 0


def rasterize(vertices: Floats, faces: npt.NDArray, camera: Camera, samples: int = 1) -> Raster:  # (V, 3), (F, 3)
    """See a mesh through `camera` with `samples` x `samples` regular samples a pixel (so H and W are multiplied).

    A sample lies at the centre of its cell; it belongs to the nearest face there, on equal depth to the face with the
    lower index; both sides of a face count. Vertices are in the camera's world, depth in the same unit.
    """
    view = camera.scaled(samples)
    local = view.to_camera(vertices) @ view.K.T
    return rasterize_homogeneous(local[np.asarray(faces)], view.width, view.height)


def rasterize_uv(face_uvs: Floats, width: int, height: int) -> Raster:  # (F, 3, 2) v up
    """Lay faces out in a texture: the sample of texel (row, column) has u = (column + .5) / width and
    v = 1 - (row + .5) / height. Where faces overlap the one with the lower index wins; depth is 1."""
    corners = np.ones((len(face_uvs), 3, 3))
    corners[..., 0] = face_uvs[..., 0] * float(width)
    corners[..., 1] = (1.0 - np.asarray(face_uvs[..., 1], np.float64)) * height
    return rasterize_homogeneous(corners, width, height)


def rasterize_homogeneous(corners: Floats, width: int, height: int) -> Raster:  # (F, 3, 3): x*z, y*z, z
    """Rasterize corners given as pixel coordinates times depth, and depth. See the module for the method."""
    corners = np.ascontiguousarray(corners, np.float64)
    face = np.full((height, width), -1, np.int32)
    inverse_depth = np.zeros((height, width), np.float64)
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.zeros((height, width), np.float32)
    _nearest_faces(corners, face, inverse_depth)
    _weights(corners, face, weights, depth)
    return Raster(face, weights, depth)


def interpolate(raster: Raster, corner_values: Floats) -> npt.NDArray[np.float32]:  # (F, 3, C)
    """Values given at the corners of faces, at each sample: (H, W, C) float32, zeros where nothing is.

    For values at vertices pass `values[faces]`.
    """
    result = np.zeros((*raster.face.shape, corner_values.shape[2]), np.float32)
    _interpolate(raster.face, raster.weights, np.ascontiguousarray(corner_values, np.float32), result)
    return result


@_njit
def _edges(corner, edge):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Rows of `edge`: cross products of two corners; returns the triple product."""
    for i in range(3):
        a, b = corner[(i + 1) % 3], corner[(i + 2) % 3]
        edge[i, 0] = a[1] * b[2] - a[2] * b[1]
        edge[i, 1] = a[2] * b[0] - a[0] * b[2]
        edge[i, 2] = a[0] * b[1] - a[1] * b[0]
    return corner[0, 0] * edge[0, 0] + corner[0, 1] * edge[0, 1] + corner[0, 2] * edge[0, 2]


@_njit
def _bounds(corner, width, height):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """First and last column and row whose samples can lie inside; everything when a corner is behind the camera."""
    left, right, top, bottom = math.inf, -math.inf, math.inf, -math.inf
    for i in range(3):
        z = corner[i, 2]
        if z <= 1e-9:
            return 0, width - 1, 0, height - 1
        x, y = corner[i, 0] / z, corner[i, 1] / z
        left, right = min(left, x), max(right, x)
        top, bottom = min(top, y), max(bottom, y)
    if not (right >= -1 and left <= width + 1 and bottom >= -1 and top <= height + 1):  # also false for NaN
        return 0, -1, 0, -1
    # A hair wider than needed: the test at the sample decides.
    x0 = max(0, int(math.ceil(max(left, -1.0) - 0.5 - 1e-6)))
    x1 = min(width - 1, int(math.floor(min(right, width + 1.0) - 0.5 + 1e-6)))
    y0 = max(0, int(math.ceil(max(top, -1.0) - 0.5 - 1e-6)))
    y1 = min(height - 1, int(math.floor(min(bottom, height + 1.0) - 0.5 + 1e-6)))
    return x0, x1, y0, y1


@_njit
def _nearest_faces(corners, face, inverse_depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = face.shape
    edge = np.empty((3, 3))
    for f in range(len(corners)):
        volume = _edges(corners[f], edge)
        if volume == 0.0 or not math.isfinite(volume):
            continue
        x0, x1, y0, y1 = _bounds(corners[f], width, height)
        sign = 1.0 if volume > 0 else -1.0
        for row in range(y0, y1 + 1):
            y = row + 0.5
            for column in range(x0, x1 + 1):
                x = column + 0.5
                e0 = edge[0, 0] * x + edge[0, 1] * y + edge[0, 2]
                e1 = edge[1, 0] * x + edge[1, 1] * y + edge[1, 2]
                e2 = edge[2, 0] * x + edge[2, 1] * y + edge[2, 2]
                if e0 * sign >= 0 and e1 * sign >= 0 and e2 * sign >= 0:
                    nearness = (e0 + e1 + e2) / volume
                    if nearness > inverse_depth[row, column]:
                        inverse_depth[row, column] = nearness
                        face[row, column] = f


@_njit
def _weights(corners, face, weights, depth):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = face.shape
    edge = np.empty((3, 3))
    last, volume = -1, 0.0
    for row in range(height):
        y = row + 0.5
        for column in range(width):
            f = face[row, column]
            if f < 0:
                continue
            if f != last:
                volume = _edges(corners[f], edge)
                last = f
            x = column + 0.5
            e0 = edge[0, 0] * x + edge[0, 1] * y + edge[0, 2]
            e1 = edge[1, 0] * x + edge[1, 1] * y + edge[1, 2]
            e2 = edge[2, 0] * x + edge[2, 1] * y + edge[2, 2]
            total = e0 + e1 + e2
            weights[row, column, 0] = e0 / total
            weights[row, column, 1] = e1 / total
            weights[row, column, 2] = e2 / total
            depth[row, column] = volume / total


@_njit
def _interpolate(face, weights, corner_values, result):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for row in range(face.shape[0]):
        for column in range(face.shape[1]):
            f = face[row, column]
            if f < 0:
                continue
            for channel in range(result.shape[2]):
                result[row, column, channel] = (
                    weights[row, column, 0] * corner_values[f, 0, channel]
                    + weights[row, column, 1] * corner_values[f, 1, channel]
                    + weights[row, column, 2] * corner_values[f, 2, channel]
                )
