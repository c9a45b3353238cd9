# SPDX-License-Identifier: Apache-2.0
"""The rasterizer in plain numpy: every face against every sample. Slow, short, obviously right; same names as `cpu`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from .cpu import Raster

Floats = npt.NDArray[np.floating]


def rasterize(vertices: Floats, faces: npt.NDArray, camera: Camera, samples: int = 1) -> Raster:  # (V, 3), (F, 3)
    """As `cpu.rasterize`."""
    view = camera.scaled(samples)
    return rasterize_homogeneous((view.to_camera(vertices) @ view.K.T)[np.asarray(faces)], view.width, view.height)


def rasterize_uv(face_uvs: Floats, width: int, height: int) -> Raster:  # (F, 3, 2) v up
    """As `cpu.rasterize_uv`."""
    corners = np.ones((len(face_uvs), 3, 3))
    corners[..., 0] = face_uvs[..., 0] * float(width)
    corners[..., 1] = (1.0 - np.asarray(face_uvs[..., 1], np.float64)) * height
    return rasterize_homogeneous(corners, width, height)


def rasterize_homogeneous(corners: Floats, width: int, height: int) -> Raster:  # (F, 3, 3): x*z, y*z, z
    """As `cpu.rasterize_homogeneous`."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    face = np.full((height, width), -1, np.int32)
    nearness = np.zeros((height, width))
    weights = np.zeros((height, width, 3), np.float32)
    depth = np.zeros((height, width), np.float32)
    for index, (a, b, c) in enumerate(np.asarray(corners, np.float64)):
        edges = [_cross(b, c), _cross(c, a), _cross(a, b)]
        volume = a[0] * edges[0][0] + a[1] * edges[0][1] + a[2] * edges[0][2]
        if volume == 0 or not np.isfinite(volume):
            continue
        values = np.stack([edge[0] * x + edge[1] * y + edge[2] for edge in edges])
        total = values[0] + values[1] + values[2]
        wins = (values * np.sign(volume) >= 0).all(0) & (total / volume > nearness)
        face[wins] = index
        nearness[wins] = (total / volume)[wins]
        weights[wins] = (values[:, wins] / total[wins]).T
        depth[wins] = volume / total[wins]
    return Raster(face, weights, depth)


def interpolate(raster: Raster, corner_values: Floats) -> npt.NDArray[np.float32]:  # (F, 3, C)
    """As `cpu.interpolate`."""
    mixed = np.einsum("hwc,hwcv->hwv", raster.weights, np.asarray(corner_values, np.float32)[raster.face])
    return np.where(raster.covered[..., None], mixed, 0).astype(np.float32)


def _cross(a: Floats, b: Floats) -> tuple[float, float, float]:
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
