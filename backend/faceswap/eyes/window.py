# SPDX-License-Identifier: Apache-2.0
"""One eye of a photo, cut out and brought to one size, so that all that follows counts in iris radii."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import srgb_from_linear
from interchange.mesh import Mesh

from ..registration import Registration
from ..source import Photo
from .avatar import IRIS_MM, LIDS, Eye, brightness

Floats = npt.NDArray[Any]
RADIUS = 20.0
"""Pixels of the iris' expected radius in a window."""
_HALF = (3.4, 2.4)  # half the window's sides in iris radii
_SMALLEST = 6.0  # pixels of the iris' radius in the photo
_CLOSED = 0.35  # of the iris' diameter between the lids
_FACING = 0.5  # cosine between the way the eye looks and the camera


@attrs.frozen(eq=False)
class Window:
    """linear (h, w, 3), encoded (h, w, 3) sRGB, bright (h, w). open: (h, w) bool, between the lids. depth: (h, w)
    pixels to the lids; under: (h, w) pixels below the upper lid. expected: (2,) where the iris would be if the eye
    looked ahead. squeeze: how narrow the view makes it. left: the character's. photo_radius: of the iris, in the
    photo's pixels."""

    linear: npt.NDArray[np.float32]
    encoded: npt.NDArray[np.float32]
    bright: Floats
    open: npt.NDArray[np.bool_]
    depth: Floats
    under: Floats
    expected: Floats
    squeeze: float
    left: bool
    photo_radius: float


def cut_out(photo: Photo, registration: Registration, mesh: Mesh, eye: Eye, scale: float) -> Window | str:
    """The eye's window, or why there is none: the end of a sentence about it. scale: the avatar's, as in
    `avatar.face_scale`."""
    ids = LIDS[int(eye.left)]
    lids = _lids(photo, registration, mesh, ids)
    if lids is None:
        return "have too few landmarks"
    camera = registration.camera
    rest = np.asarray(mesh.rest_vertices[eye.vertices], np.float64)
    shift = (registration.vertices[eye.vertices] - rest).mean(0)
    iris = eye.centre + shift + eye.radius * np.cos(eye.iris) * eye.axis
    towards = camera.position - iris
    towards = towards / np.linalg.norm(towards)
    if towards @ eye.axis < _FACING:
        return "are seen from the side"
    pixel, depth = camera.project(iris[None])
    radius = float(IRIS_MM / 1000 * scale * camera.K[0, 0] / depth[0])
    if radius < _SMALLEST:
        return f"are too small ({radius:.0f} pixels of iris radius, {_SMALLEST:.0f} are needed)"
    if _opening(lids) < _CLOSED * 2 * radius:
        return "are closed"
    zoom = RADIUS / radius
    size = np.array(_HALF) * 2 * RADIUS
    start = lids.mean(0) - size / zoom / 2
    linear = _resampled(photo.image, start, zoom, size)
    encoded = srgb_from_linear(linear).astype(np.float32)
    lids = (lids - start) * zoom
    inside, distance, under = _between(lids, linear.shape[:2])
    if photo.alpha is not None:
        inside &= _resampled(photo.alpha[..., None], start, zoom, size)[..., 0] > 0.9
    if inside.sum() < RADIUS**2 / 2:
        return "lie at the picture's edge"
    bright: Floats = cv2.GaussianBlur(brightness(encoded), (0, 0), max(1.0, 0.4 * zoom))
    expected = (pixel[0] - start) * zoom
    sideways = towards - towards @ np.array([0.0, 0.0, 1.0]) * np.array([0.0, 0.0, 1.0])
    squeeze = float(np.clip(sideways @ eye.axis / np.linalg.norm(sideways), 0.6, 1))
    return Window(linear, encoded, bright, inside, distance, under, expected, squeeze, eye.left, radius)


def _lids(photo: Photo, registration: Registration, mesh: Mesh, ids: Sequence[int]) -> Floats | None:
    """(6, 2) of an eye in the photo: as given, what is not given as the registered mesh has it."""
    if (mesh.landmarks[list(ids)] < 0).any():
        given = [photo.landmarks.get(i) for i in ids]
        return None if any(point is None for point in given) else np.array(given, np.float64)
    placed = registration.camera.project(registration.vertices[mesh.landmarks[list(ids)]])[0]
    return np.array([photo.landmarks.get(i, tuple(p)) for i, p in zip(ids, placed, strict=True)], np.float64)


def _opening(lids: Floats) -> float:
    """Pixels between the lids, across the line from corner to corner."""
    along = lids[3] - lids[0]
    across = np.array([-along[1], along[0]]) / max(float(np.linalg.norm(along)), 1e-9)
    return float(((lids[4:6] - lids[[2, 1]]) @ across).mean())


def _resampled(image: Floats, start: Floats, zoom: float, size: Floats) -> npt.NDArray[np.float32]:
    """The part of an image from pixel `start` (2,) on, `zoom` times as large, `size` (2,) pixels wide and high."""
    low = np.maximum(np.floor(start - 4).astype(int), 0)
    high = np.minimum(np.ceil(start + size / zoom + 4).astype(int), image.shape[1::-1])
    if (high - low).min() < 4:
        return np.zeros((int(size[1]), int(size[0]), image.shape[2]), np.float32)
    part: Floats = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]], np.float32)
    if zoom < 1:  # or it would alias
        part = cv2.GaussianBlur(part, (0, 0), 0.5 / zoom)
    shift = (low - start) * zoom + 0.5 * zoom - 0.5
    matrix = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    wanted = (int(size[0]), int(size[1]))
    result: Floats = cv2.warpAffine(part, matrix, wanted, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return result.reshape(wanted[1], wanted[0], image.shape[2]).astype(np.float32)


def _between(lids: Floats, shape: Sequence[int]) -> tuple[npt.NDArray[np.bool_], Floats, Floats]:
    """What lies between the lids, how deep, and how far below the upper one."""
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(16 * (lids - 0.5)).astype(np.int32)], 1, shift=4)
    distance: Floats = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    upper = lids[:4][np.argsort(lids[:4, 0])]
    edge = np.interp(np.arange(shape[1]) + 0.5, upper[:, 0], upper[:, 1])
    under = (np.arange(shape[0]) + 0.5)[:, None] - edge
    return mask > 0, distance, under.astype(np.float32)
