# SPDX-License-Identifier: Apache-2.0
"""The face on the texture: where it is, what of it is plain skin, and lips, brows and eyes by themselves."""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.mesh import Mesh

from .atlas import Atlas

Floats = npt.NDArray[Any]
NO_REGION = "The avatar has no face region (region_face is empty)."
DRAW_REGION = "Draw Regions from Landmarks in the panel Avatar does it, or paint it, 1 on the face; then capture again."
_EYE_CORNERS = ((36, 39), (42, 45))
_EYE_REACH = (0.25, 0.55)  # of an eye's width from the line between its corners: inside, outside


@attrs.frozen(eq=False)
class Regions:
    """Per texel: face (T,) soft mask of all that may come from a photo; core (T,) bool, plain facial skin: no lips, no
    brows, no soft edge. blend (T,): the mask under which the new skin is put in, the painted one if there is one.
    parts: soft masks (T,) of lips, brows and eyes (lids and what is around them)."""

    face: npt.NDArray[np.float32]
    core: npt.NDArray[np.bool_]
    blend: npt.NDArray[np.float32]
    parts: dict[str, npt.NDArray[np.float32]]


def face_regions(mesh: Mesh, atlas: Atlas, painted: Floats | None = None) -> Regions:
    """The mesh's regions on the texels; `painted` (h, w) 0..1 says where the swap shall be instead of the mesh's own
    face region, which it may leave. Raises InputError when there is no face region, or nothing of it painted."""
    face = np.clip(atlas.of_vertices(mesh, mesh.region_face), 0, 1)
    if face.max(initial=0) < 0.5:
        raise InputError(NO_REGION, DRAW_REGION)
    lips, brows = (np.clip(atlas.of_vertices(mesh, r), 0, 1) for r in (mesh.region_lips, mesh.region_brows))
    core = (face > 0.6) & (lips < 0.05) & (brows < 0.05)
    parts = {"lips": lips, "brows": brows, "eyes": _around_eyes(mesh, atlas)}
    if painted is None:
        return Regions(face, core, face, parts)
    blend = _on_texels(painted, atlas)
    if blend.max(initial=0) < 0.05:
        raise InputError("The painted mask is black where the head's skin is.", "Paint white what shall be swapped.")
    return Regions(np.maximum(face, blend), core, blend, parts)


def part_share(regions: Regions, strengths: dict[str, float]) -> npt.NDArray[np.float32]:
    """(T,) how much of the new skin is taken where a part of the face has a strength of its own; 1 elsewhere."""
    result = np.ones_like(regions.face)
    for name, amount in strengths.items():
        result *= 1 - (1 - amount) * regions.parts[name]
    return result


def _on_texels(image: Floats, atlas: Atlas) -> npt.NDArray[np.float32]:
    shrinks = image.shape[1] > atlas.width or image.shape[0] > atlas.height
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(np.asarray(image, np.float32), (atlas.width, atlas.height), interpolation=way)
    return np.clip(atlas.of_image(resized), 0, 1).astype(np.float32)


def _around_eyes(mesh: Mesh, atlas: Atlas) -> npt.NDArray[np.float32]:
    """(T,) 1 on the lids, falling off around them, by the distance of rest points to the line between an eye's corners.
    Zero for an avatar without these landmarks."""
    rest = np.asarray(mesh.rest_vertices, np.float64)
    amount = np.zeros(len(rest))
    for corners in _EYE_CORNERS:
        ids = mesh.landmarks[list(corners)]
        if (ids < 0).any():
            continue
        start, end = rest[ids]
        along = end - start
        width = float(np.linalg.norm(along))
        if width <= 0:
            continue
        share = np.clip((rest - start) @ along / width**2, 0, 1)
        distance = np.linalg.norm(rest - start - share[:, None] * along, axis=1) / width
        near, far = _EYE_REACH
        amount = np.maximum(amount, np.clip((far - distance) / (far - near), 0, 1))
    return np.clip(atlas.of_vertices(mesh, amount), 0, 1)
