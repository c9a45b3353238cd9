# SPDX-License-Identifier: Apache-2.0
"""Joining two textures under a soft mask, band by band (Burt and Adelson 1983): tones over a wide seam, detail over a
narrow one. Between UV islands both textures go on with the nearest texel, so nothing foreign bleeds in. Or in the
gradient domain (Pérez, Gangnet and Blake 2003): the front keeps its differences and gives up its tone."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.mesh import Mesh

from .atlas import Atlas
from .completion import membrane

Floats = npt.NDArray[Any]
_RIM = (0.05, 0.5)  # of the mask: where a gradient-domain blend is held to the background
_SOFT = 0.05  # stiffness of the membrane along the rim, where both skins' details differ
_FULL = 0.3  # of the mask: from there on the blend holds fully; below it fades to the untouched background


def laplacian_blend(front: Floats, back: Floats, mask: Floats, levels: int = 5) -> npt.NDArray[np.float32]:
    """`front` where `mask` is 1, exactly `back` where it is 0: (H, W, 3), (H, W, 3), (H, W) 0..1 -> (H, W, 3)."""
    levels = max(0, min(levels, int(np.log2(max(1, min(mask.shape)))) - 2))
    fronts, backs, masks = (_gaussian(np.asarray(i, np.float32), levels) for i in (front, back, mask))
    result = _mix(fronts[-1], backs[-1], masks[-1])
    for level in range(levels - 1, -1, -1):
        size = masks[level].shape[::-1]
        bands = [stack[level] - cv2.pyrUp(stack[level + 1], dstsize=size) for stack in (fronts, backs)]
        result = cv2.pyrUp(result, dstsize=size) + _mix(bands[0], bands[1], masks[level])
    # The pyramid carries tones past the mask's edge: fade that out, so that nothing changes outside.
    return _mix(result, backs[0], np.clip(masks[0] / _FULL, 0, 1) * (masks[0] > 0))


def _gaussian(image: Floats, levels: int) -> list[Floats]:
    stack = [image]
    for _ in range(levels):
        stack.append(cv2.pyrDown(stack[-1]))
    return stack


def _mix(front: Floats, back: Floats, mask: Floats) -> Floats:
    return back + mask[..., None] * (front - back)


def gradient_shift(
    front: Floats, back: Floats, mask: Floats, mesh: Mesh, atlas: Atlas, object_index: int
) -> npt.NDArray[np.float32]:  # (T, 3), (T, 3), (T,)
    """`front` (T, 3) moved so that it meets `back` along the mask's rim and keeps its gradients inside: what is added
    is the membrane through both ones' difference there. It lies on the mesh, so the UVs' seams are none to it."""
    outer, inner = _RIM
    rim = np.clip((inner - mask) / (inner - outer), 0, 1)
    shift = membrane(back - front, rim, mesh, atlas, object_index, _SOFT)
    return (front + shift).astype(np.float32)
