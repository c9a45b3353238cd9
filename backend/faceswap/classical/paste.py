# SPDX-License-Identifier: Apache-2.0
"""Joining a warped face into a view: mask, colours, Laplacian pyramid. On encoded sRGB, as a painter would."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..blending import laplacian_blend
from ..harmonization import face_map, skin_statistics
from .points import ControlPoints, SeenPoints

Floats = npt.NDArray[Any]
_FEATHER = 0.04  # of the face's width in the view
_REACH = 0.06  # of the face's width, as well
_CORE = 0.9
_ENOUGH = 30  # pixels from which colours can be matched
_SUBPIXEL = 4  # bits


def painted_triangles(points: ControlPoints, seen: SeenPoints, height: int, width: int) -> npt.NDArray[np.int32]:
    """(H, W) which of the triangles is drawn there, -1 where none is."""
    label = np.full((height, width), -1, np.int32)
    for index in np.flatnonzero(seen.drawn):
        corners = np.rint((seen.pixels[points.triangles[index]] - 0.5) * 2**_SUBPIXEL).astype(np.int32)
        cv2.fillConvexPoly(label, corners, int(index), shift=_SUBPIXEL)
    return label


def soft_mask(known: npt.NDArray[np.bool_], allowed: npt.NDArray[np.bool_], face_width: float) -> Floats:
    """(H, W) float32 0..1 of where to paint. known: (H, W) where the photo shows the face. allowed: (H, W) where the
    view shows the face's skin.

    It reaches a little beyond what is known, where `pasted` carries the tones on: a strip of the old skin between the
    photo's hairline and the view's would be a seam. From there it falls to 0 inwards.
    """
    reach = 2 * round(_REACH * face_width) + 1
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    inside = np.pad((cv2.dilate(known.astype(np.uint8), shape) > 0) & allowed, 1)  # the frame's edge is a rim too
    distance = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    smooth = np.clip(distance / max(1.5, _FEATHER * face_width), 0, 1)
    return (smooth * smooth * (3 - 2 * smooth)).astype(np.float32)


def pasted(
    front: Floats, back: Floats, known: npt.NDArray[np.bool_], mask: Floats, harmonize: str, levels: int
) -> npt.NDArray[np.float32]:
    """`front` in the tones of `back`, joined under the mask: (H, W, 3) sRGB 0..1 twice, (H, W) 0..1 -> (H, W, 3).

    The statistics of both are taken where `front` is known and the mask is full. Exactly `back` where the mask is 0.
    """
    core = known & (mask > _CORE)
    if core.sum() < _ENOUGH:
        core = known & (mask > 0)
    coloured = front
    if harmonize != "none" and core.sum() >= _ENOUGH:
        match = face_map(skin_statistics(front[core]), skin_statistics(back[core]), harmonize)
        coloured = match(front.reshape(-1, 3)).reshape(front.shape)
    return laplacian_blend(back + _continued(coloured - back, known), back, mask, levels)


def _continued(difference: Floats, known: npt.NDArray[np.bool_]) -> Floats:
    """Beyond what is known the difference goes on as it ends there, smoothed: tones, but no brow, hair or wall."""
    inside = cv2.distanceTransform(np.pad(known, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    reach = max(2.0, 0.015 * max(known.shape))
    inner = inside > 1
    where = ndimage.distance_transform_edt(~(inner if inner.any() else known), return_distances=False,
                                           return_indices=True)  # fmt: skip
    smooth = cv2.GaussianBlur(difference[where[0], where[1]].astype(np.float32), (0, 0), reach)
    share = np.clip(inside / reach, 0, 1)[..., None]  # no step where one ends and the other begins
    return smooth + share * np.where(known[..., None], difference - smooth, 0)
