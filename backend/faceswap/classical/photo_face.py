# SPDX-License-Identifier: Apache-2.0
"""Which pixels of a photo are the performer's face: not the hair that grows into it, not the wall behind."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import srgb_from_linear
from interchange.errors import InputError

from ..harmonization import skin_statistics
from ..source import Photo
from .points import ControlPoints

Floats = npt.NDArray[Any]
_INNER = 0.72  # the hull shrunk by this holds little but skin
_RIM = 0.03  # of the face's width, around hair
_ENOUGH = 200
_FOREIGN = 3.0  # deviations
_LIGHTNESS = 0.3


def face_of_photo(photo: Photo, points: ControlPoints) -> npt.NDArray[np.float32]:
    """(h, w) 0..1. What is not skin and hangs together with the outside of the points' hull is hair, wall or hand;
    brows, lips, eyes and moles do not, so they stay. Raises InputError when the hull holds no skin to speak of."""
    encoded = srgb_from_linear(photo.image)
    height, width = encoded.shape[:2]
    hull = cv2.convexHull(points.photo.astype(np.float32))[:, 0]
    middle = hull.mean(0)
    inner, outer = _filled(middle + _INNER * (hull - middle), height, width), _filled(hull, height, width)
    if inner.sum() < _ENOUGH:
        raise InputError(f"The face in {photo.path} is too small.", "Use a larger photo, or check the landmarks.")
    unlike = _unlike(encoded.reshape(-1, 3), encoded[inner > 0]).reshape(height, width)
    foreign = (unlike > _FOREIGN).astype(np.uint8)
    labels = cv2.connectedComponents(foreign, connectivity=4)[1]
    outside = np.unique(labels[(outer == 0) & (foreign > 0)])
    grown = (np.isin(labels, outside) & (foreign > 0)).astype(np.uint8)
    rim = max(1, round(_RIM * float(np.ptp(hull[:, 0]))))
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    # A stray pixel of freckle at the hull's edge is not hair.
    hair = cv2.dilate(cv2.morphologyEx(grown, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), shape)
    face = 1 - cv2.GaussianBlur(hair.astype(np.float32), (0, 0), rim / 2 + 0.5)
    if photo.alpha is not None:
        face = face * np.clip(photo.alpha * 2 - 1, 0, 1)
    return face.astype(np.float32)


def _unlike(colours: Floats, skin: Floats) -> Floats:  # (N, 3), (M, 3) sRGB
    """(N,) by how many deviations colours are unlike skin; lightness counts little, as much of it is shade."""
    values, samples = _hue(colours), _hue(skin)
    statistics = skin_statistics(samples)
    away = values - statistics.mean
    spread = statistics.covariance + 0.02**2 * np.eye(3)
    return np.sqrt(np.maximum((away * np.linalg.solve(spread, away.T).T).sum(1), 0))


def _hue(colours: Floats) -> Floats:
    lab = cv2.cvtColor(np.asarray(colours, np.float32)[None], cv2.COLOR_RGB2Lab)[0] / 100
    return lab * np.array([_LIGHTNESS, 1, 1], np.float32)


def _filled(polygon: Floats, height: int, width: int) -> npt.NDArray[np.uint8]:
    image = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(image, np.rint(polygon).astype(np.int32), 1)
    return image
