# SPDX-License-Identifier: Apache-2.0
"""The control that any swap must beat: the photo's face, moved, turned and scaled onto the view, and nothing else."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.faceswap.source import Photo
from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.mesh import Mesh

Floats = npt.NDArray[Any]
_FEWEST = 5  # landmarks
_HIDDEN = 0.01  # metres by which a landmark may lie behind what the view shows


def pasted_rigidly(photo: Photo, images: ViewImages, mesh: Mesh, camera: Camera) -> npt.NDArray[np.float32]:
    """The view's rgb (H, W, 3) with the hull of the photo's landmarks over it, by the best similarity transform.

    No warp, no colours matched, no soft edge. Views that show fewer than five landmarks are returned as they are.
    """
    ids = np.array([i for i in sorted(photo.landmarks) if mesh.landmarks[i] >= 0])
    vertices = mesh.landmarks[ids]
    pixels, depth = camera.project(mesh.vertices[vertices])
    towards = camera.position - mesh.vertices[vertices]
    seen = ((mesh.normals[vertices] * towards).sum(1) > 0) & _in_sight(pixels, depth, images)
    if seen.sum() < _FEWEST:
        return images.rgb
    start = np.array([photo.landmarks[int(i)] for i in ids])
    matrix = similarity(start[seen], pixels[seen])
    hull = cv2.convexHull(start.astype(np.float32))[:, 0] @ matrix[:, :2].T + matrix[:, 2]
    area = np.zeros(images.alpha.shape, np.uint8)
    cv2.fillConvexPoly(area, np.rint(hull - 0.5).astype(np.int32), 1)
    centres = matrix.copy()
    centres[:, 2] += matrix[:, :2] @ [0.5, 0.5] - 0.5  # OpenCV's pixel centres lie at whole numbers
    encoded: Floats = srgb_from_linear(photo.image)
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.9:
        encoded = cv2.GaussianBlur(encoded, (0, 0), 0.4 / scale)
    size = (camera.width, camera.height)
    warped = cv2.warpAffine(encoded, centres, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    linear = linear_from_srgb(np.clip(warped, 0, 1)) * images.alpha[..., None]
    return np.where(area[..., None] > 0, linear, images.rgb).astype(np.float32)


def similarity(start: Floats, goal: Floats) -> npt.NDArray[np.float64]:  # (N, 2), (N, 2)
    """(2, 3) scale, rotation and translation that bring `start` nearest to `goal` (Umeyama 1991), unmirrored."""
    middle, target = start.mean(0), goal.mean(0)
    a, b = start - middle, goal - target
    turn = (a * b).sum() + 1j * (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()
    factor = turn / max(float((a**2).sum()), 1e-12)
    linear = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.concatenate([linear, (target - linear @ middle)[:, None]], axis=1)


def _in_sight(pixels: Floats, depth: Floats, images: ViewImages) -> npt.NDArray[np.bool_]:
    height, width = images.alpha.shape
    column, row = np.floor(pixels).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    if images.depth is None:
        return inside
    shown = images.depth[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    return inside & ((shown <= 0) | (depth < shown + _HIDDEN))
