# SPDX-License-Identifier: Apache-2.0
"""Does the rim of a swapped face show? Two figures along the rim of what was changed, where skin lies on both sides.

*gradient jump*: how much steeper the picture gets across the rim than the reference is there, in L* a pixel: a hard
line. *ring difference*: by how much the step from the colours of a ring of `RING` pixels inside to those of one
outside is another one than the reference's, in CIE76 dE: a mask of another tone, however soft its line. Both are
differences to a reference (the true swap), because a chin and a hairline have an edge of their own; 0 is a rim that
nobody sees.
"""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

FloatArray = npt.NDArray[np.floating]
RING = 5
"""Pixels."""
_CHANGE, _CHANGE_BLUR = 4 / 255, 1.0  # mean of the channels; pixels
_SKIN = 0.95
_FEWEST = 20  # pixels of rim on skin


@attrs.frozen
class Seam:
    """gradient_jump: L* a pixel above the reference's, negative where softer. ring_difference: dE (CIE76), >= 0."""

    gradient_jump: float
    ring_difference: float


def changed_region(picture: FloatArray, untouched: FloatArray) -> npt.NDArray[np.bool_]:  # (H, W, 3), (H, W, 3)
    """(H, W) where a swap has visibly changed a picture: the largest connected piece, with its holes filled. Eyes are
    holes; single pixels, and what a fit gets wrong everywhere, are not in it."""
    difference = np.abs(picture - untouched).mean(-1).astype(np.float32)
    changed = (cv2.GaussianBlur(difference, (0, 0), _CHANGE_BLUR) > _CHANGE).astype(np.uint8)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(changed, connectivity=4)
    if count < 2:
        return np.zeros(changed.shape, bool)
    largest = 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    return np.asarray(ndimage.binary_fill_holes(labels == largest))


def seam(
    picture: FloatArray, reference: FloatArray, inside: npt.NDArray[np.bool_], skin: FloatArray
) -> Seam | None:
    """Both figures of a picture (H, W, 3) sRGB 0..1 against a reference of the same view.

    inside: (H, W) the changed region. skin: (H, W) soft mask. None where its rim hardly runs over skin.
    """
    plain = skin > _SKIN
    rim = _rim(inside, plain)
    if rim.sum() < _FEWEST:
        return None
    (jump, step), (usual_jump, usual_step) = (
        _figures(_lab(image), inside, plain, rim) for image in (picture, reference)
    )
    return Seam(jump - usual_jump, float(np.linalg.norm(step - usual_step, axis=-1).mean()))


def _rim(inside: npt.NDArray[np.bool_], plain: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels just inside the mask, with skin all around as far as the rings reach."""
    edge = inside & (cv2.erode(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    around = np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)
    return edge & (cv2.erode(plain.astype(np.uint8), around, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0)


def _figures(
    lab: FloatArray, inside: npt.NDArray[np.bool_], plain: npt.NDArray[np.bool_], rim: npt.NDArray[np.bool_]
) -> tuple[float, FloatArray]:
    """Gradient jump, and the step of colour (N, 3) at each pixel of the rim."""
    lightness = np.ascontiguousarray(lab[..., 0])
    slope = np.hypot(*(cv2.Sobel(lightness, cv2.CV_32F, x, 1 - x, ksize=3, scale=1 / 8) for x in (0, 1)))
    near = cv2.dilate(rim.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0  # the mask's rim may be a pixel off
    far = cv2.dilate(rim.astype(np.uint8), np.ones((2 * RING + 1,) * 2, np.uint8)) > 0
    jump = float(slope[near].mean() - slope[far & ~near & plain].mean())
    rings = [_mean_around(lab, side & plain) for side in (inside, ~inside)]
    return jump, (rings[0] - rings[1])[rim]


def _mean_around(lab: FloatArray, where: npt.NDArray[np.bool_]) -> FloatArray:
    """(H, W, 3) mean of the pixels `where` within `RING` of each."""
    size = (2 * RING + 1, 2 * RING + 1)
    weight = where.astype(np.float32)
    total = cv2.boxFilter(np.asarray(lab * weight[..., None], np.float32), -1, size, normalize=False)
    count = cv2.boxFilter(weight, -1, size, normalize=False)
    return np.asarray(total / np.maximum(count, 1e-6)[..., None])


def _lab(image: FloatArray) -> FloatArray:
    return np.asarray(cv2.cvtColor(np.asarray(image, np.float32), cv2.COLOR_RGB2Lab))
