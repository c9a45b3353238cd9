# SPDX-License-Identifier: Apache-2.0
"""What of a photo is the performer's facial skin, and what is hair, shade or glare that the photo added."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.errors import InputError
from interchange.mesh import Mesh

from .atlas import Atlas
from .completion import membrane
from .harmonization import SkinStatistics, membership, skin_statistics
from .regions import Regions

Floats = npt.NDArray[Any]
_BROAD = 4.0  # stiffness of the membrane that follows broad unevenness
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_GLARE = 1.15  # times the usual skin's brightness: beyond that it is light
_HAIR_RIM = 0.012  # of the texture's width


def statistics_of(encoded: Floats, where: npt.NDArray[np.bool_]) -> SkinStatistics:  # (T, 3) sRGB, (T,)
    """Skin statistics of chosen texels; InputError when they are too few to tell."""
    if where.sum() < 50:
        raise InputError(
            "Too little plain facial skin can be seen.", "Use a photo from the front; check the avatar's face region."
        )
    return skin_statistics(encoded, where)


def off_hair(albedo: Floats, trust: Floats, regions: Regions, atlas: Atlas) -> Floats:
    """(T,) 0 on hair that grows into the face from outside, and on a rim around it: what is not skin and hangs together
    with the mask's edge. Brows, moles and lips do not, so they stay."""
    encoded = srgb_from_linear(albedo)
    asked = (trust > 0) & (regions.core | (regions.face <= 0.6))
    foreign = asked.copy()
    foreign[asked] = membership(encoded[asked], statistics_of(encoded, (trust > 0.5) & regions.core)) < 0.5
    image = np.zeros((atlas.height, atlas.width), np.uint8)
    image[atlas.rows, atlas.columns] = foreign | (regions.face < 0.3)
    labels = cv2.connectedComponents(image, connectivity=4)[1]
    outside = np.unique(labels[atlas.rows, atlas.columns][regions.face < 0.3])
    grown = (np.isin(labels, outside[outside > 0]) & (image > 0)).astype(np.float32)
    # The mask's own outside is no hair: only what the photo shows as foreign gets a rim.
    hair = np.zeros_like(grown)
    hair[atlas.rows, atlas.columns] = grown[atlas.rows, atlas.columns] * foreign
    rim = max(1, round(_HAIR_RIM * atlas.width))
    shape = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * rim + 1, 2 * rim + 1))
    soft = cv2.GaussianBlur(cv2.dilate(hair, shape), (0, 0), rim / 2)
    return 1 - np.clip(2 * atlas.of_image(soft), 0, 1)


def believable(albedo: Floats, trust: Floats, regions: Regions) -> Floats:
    """(T,) 1, but 0 for what is not skin where that is hardly the face's own: at the mask's soft edge (hair,
    background) and where the photo sees the surface at a slant (somebody else's jaw line, shadows behind it)."""
    encoded = srgb_from_linear(albedo)
    skin = statistics_of(encoded, (trust > 0.5) & regions.core)
    doubt = np.maximum(np.clip((1 - regions.face) / 0.1, 0, 1), np.clip((0.9 - trust) / 0.3, 0, 1))
    doubt[trust == 0] = 0
    asked = doubt > 0
    doubt[asked] *= 1 - membership(encoded[asked], skin)
    return 1 - doubt


def without_glare(albedo: Floats, trust: Floats, regions: Regions) -> Floats:
    """Albedo in 0..1 with what is much brighter than the skin brought back towards it: highlights, and folds that the
    target's shape puts deeper into the shade than the performer's."""
    brightness = np.maximum(albedo @ _LUMINANCE, 1e-4)
    seen = (trust > 0.5) & regions.core
    usual = np.median(albedo[seen], axis=0) if seen.any() else albedo.mean(0)
    excess = brightness / max(float(usual @ _LUMINANCE), 1e-4) - _GLARE
    bright = np.flatnonzero(excess > 0)
    result = np.array(albedo, np.float32)
    pressed = (_GLARE + 0.2 * excess[bright])[:, None]  # times the usual brightness
    hue = albedo[bright] / brightness[bright, None] * float(usual @ _LUMINANCE)
    amount = np.clip(2 * excess[bright], 0, 0.8)[:, None]  # the brighter, the less its hue can be trusted
    result[bright] = pressed * (hue + amount * (usual - hue))
    return np.clip(result, 0, 1)


def evened(
    albedo: Floats, trust: Floats, mesh: Mesh, head: int, atlas: Atlas, regions: Regions, amount: float
) -> Floats:
    """Albedo with its broad unevenness of brightness lessened: cast shadows, broad gloss and the difference between two
    people's shapes leave more of it than skin has. Hues stay."""
    encoded = srgb_from_linear(albedo)
    skin = statistics_of(encoded, (trust > 0.3) & regions.core)
    is_skin = membership(encoded, skin) * trust * regions.core
    brightness = np.log(np.maximum(albedo @ _LUMINANCE, 1e-3))
    usual = np.log(max(float(linear_from_srgb(skin.mean) @ _LUMINANCE), 1e-3))
    broad = membrane((brightness - usual)[:, None], is_skin, mesh, atlas, head, _BROAD)[:, 0]
    return np.clip(albedo * np.exp(-amount * broad)[:, None], 0, 1).astype(np.float32)
