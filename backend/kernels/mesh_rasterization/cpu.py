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
_CHUNK = 8192  # vertices: a longer product of matrices is given to all cores, which wait for each other
_TILE = 8  # samples a side: what is covered wholly is passed over


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
    return rasterize_homogeneous(_corners(vertices, faces, view), view.width, view.height)


def covered_samples(
    vertices: Floats, faces: npt.NDArray, camera: Camera, samples: int = 1, into: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:  # (V, 3), (F, 3)
    """(H, W) 1 where `rasterize` finds a face, at a part of its cost; `into` is added to, if given, and returned."""
    view = camera.scaled(samples)
    covered = np.zeros((view.height, view.width), np.uint8) if into is None else into
    _mark_covered(_corners(vertices, faces, view), covered)
    return covered


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


def _corners(vertices: Floats, faces: npt.NDArray, view: Camera) -> npt.NDArray[np.float64]:
    """(F, 3, 3) what `rasterize_homogeneous` takes, from vertices in the world."""
    seen = np.empty((len(vertices), 3))
    for first in range(0, len(vertices), _CHUNK):
        seen[first : first + _CHUNK] = view.to_camera(vertices[first : first + _CHUNK]) @ view.K.T
    return seen[np.asarray(faces)]


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
def _first_inside(a0, a1, a2, d0, d1, d2, c0, c1, c2, x0, x1):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """First column of x0..x1 whose sample lies inside, x1 + 1 if there is none; edge functions are a x + d + c.

    None of them ever falls along a row where it should rise, rounded as it is: each of its operations keeps the order.
    So the samples inside are one span. Its start is estimated from the edges that rise and then put right by tests.
    """
    left = float(x0)
    if a0 > 0:
        left = max(left, -(d0 + c0) / a0 - 0.5)
    if a1 > 0:
        left = max(left, -(d1 + c1) / a1 - 0.5)
    if a2 > 0:
        left = max(left, -(d2 + c2) / a2 - 0.5)
    column = int(min(left, x1 + 1.0)) if left >= x0 else x0
    while column > x0:
        x = column - 0.5
        if (a0 > 0 and a0 * x + d0 + c0 < 0) or (a1 > 0 and a1 * x + d1 + c1 < 0) or (a2 > 0 and a2 * x + d2 + c2 < 0):
            break
        column -= 1
    while column <= x1:
        x = column + 0.5
        e0, e1, e2 = a0 * x + d0 + c0, a1 * x + d1 + c1, a2 * x + d2 + c2
        if e0 >= 0 and e1 >= 0 and e2 >= 0:
            break
        if (a0 <= 0 and e0 < 0) or (a1 <= 0 and e1 < 0) or (a2 <= 0 and e2 < 0):
            return x1 + 1  # an edge that falls is below already
        column += 1
    return column


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
        volume *= sign
        a0, a1, a2 = edge[0, 0] * sign, edge[1, 0] * sign, edge[2, 0] * sign
        c0, c1, c2 = edge[0, 2] * sign, edge[1, 2] * sign, edge[2, 2] * sign
        for row in range(y0, y1 + 1):
            y = (row + 0.5) * sign
            d0, d1, d2 = edge[0, 1] * y, edge[1, 1] * y, edge[2, 1] * y
            for column in range(_first_inside(a0, a1, a2, d0, d1, d2, c0, c1, c2, x0, x1), x1 + 1):
                x = column + 0.5
                e0, e1, e2 = a0 * x + d0 + c0, a1 * x + d1 + c1, a2 * x + d2 + c2
                if not (e0 >= 0 and e1 >= 0 and e2 >= 0):
                    break
                nearness = (e0 + e1 + e2) / volume
                if nearness > inverse_depth[row, column]:
                    inverse_depth[row, column] = nearness
                    face[row, column] = f


@_njit
def _mark_covered(corners, covered):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    height, width = covered.shape
    edge = np.empty((3, 3))
    free = _free_samples(covered)
    for f in range(len(corners)):
        volume = _edges(corners[f], edge)
        if volume == 0.0 or not math.isfinite(volume):
            continue
        x0, x1, y0, y1 = _bounds(corners[f], width, height)
        if x0 > x1 or not free[y0 // _TILE : y1 // _TILE + 1, x0 // _TILE : x1 // _TILE + 1].any():
            continue
        sign = 1.0 if volume > 0 else -1.0
        a0, a1, a2 = edge[0, 0] * sign, edge[1, 0] * sign, edge[2, 0] * sign
        c0, c1, c2 = edge[0, 2] * sign, edge[1, 2] * sign, edge[2, 2] * sign
        for row in range(y0, y1 + 1):
            y = (row + 0.5) * sign
            d0, d1, d2 = edge[0, 1] * y, edge[1, 1] * y, edge[2, 1] * y
            for column in range(_first_inside(a0, a1, a2, d0, d1, d2, c0, c1, c2, x0, x1), x1 + 1):
                x = column + 0.5
                if not (a0 * x + d0 + c0 >= 0 and a1 * x + d1 + c1 >= 0 and a2 * x + d2 + c2 >= 0):
                    break
                if not covered[row, column]:
                    covered[row, column] = 1
                    free[row // _TILE, column // _TILE] -= 1


@_njit
def _free_samples(covered):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """By tile: how many samples are not covered."""
    height, width = covered.shape
    free = np.zeros((-(-height // _TILE), -(-width // _TILE)), np.int32)
    for row in range(height):
        for column in range(width):
            free[row // _TILE, column // _TILE] += covered[row, column] == 0
    return free


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
