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
_BROAD = 1.0  # stiffness of the membrane that follows broad unevenness
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_GLARE = 1.15  # times the usual skin's brightness: beyond that it is light
_HAIR_RIM = 0.012  # of the texture's width
_SPOT = (0.025, 0.28)  # a mole: at most so large (of the width), at least so round (area over diagonal squared)
_REDDENED = (0.45, 1.6)  # how far red may fall (natural logarithm), how many times as far green must


def statistics_of(encoded: Floats, where: npt.NDArray[np.bool_]) -> SkinStatistics:  # (T, 3) sRGB, (T,)
    """Skin statistics of chosen texels; InputError when they are too few to tell."""
    if where.sum() < 50:
        raise InputError(
            "Too little plain facial skin can be seen.", "Use a photo from the front; check the avatar's face region."
        )
    return skin_statistics(encoded, where)


def off_hair(albedo: Floats, trust: Floats, regions: Regions, atlas: Atlas) -> Floats:
    """(T,) 0 on hair that grows into the face from outside, and on a rim around it: what is not skin and hangs together
    with the mask's edge. Brows and lips do not, so they stay; moles and birthmarks stay even there."""
    encoded = srgb_from_linear(albedo)
    asked = (trust > 0) & (regions.core | (regions.face <= 0.6))
    foreign = asked.copy()
    skin = statistics_of(encoded, (trust > 0.5) & regions.core)
    foreign[asked] = (membership(encoded[asked], skin) < 0.5) & ~reddened(albedo[asked], skin)
    foreign &= ~_spots(foreign, atlas)
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


def reddened(albedo: Floats, skin: SkinStatistics) -> npt.NDArray[np.bool_]:  # (N, 3) linear
    """(N,) whether a colour is this skin with more blood in it, as a birthmark or a flush is: haemoglobin takes green
    and blue alike and leaves red (Jacques, "Optical properties of biological tissues", 2013). Hair and shade take red
    too, fair hair takes blue before green."""
    usual = linear_from_srgb(skin.mean.astype(np.float32))
    red, green, blue = -np.log(np.maximum(albedo, 1e-4) / np.maximum(usual, 1e-4)).T
    deepest, steepness = _REDDENED
    alike = np.abs(green - blue) < 0.15 + 0.4 * np.abs(green)
    return (red > -0.2) & (red < deepest) & (green > 0.1) & (green > steepness * red) & alike


def _spots(foreign: npt.NDArray[np.bool_], atlas: Atlas) -> npt.NDArray[np.bool_]:
    """(T,) what is foreign, small and round, and stands alone."""
    image = np.zeros((atlas.height, atlas.width), np.uint8)
    image[atlas.rows, atlas.columns] = foreign
    labels, measures = cv2.connectedComponentsWithStats(image, connectivity=8)[1:3]
    size, roundness = _SPOT
    diagonal = np.hypot(measures[:, cv2.CC_STAT_WIDTH], measures[:, cv2.CC_STAT_HEIGHT])
    spot = (diagonal < 2 * size * atlas.width) & (measures[:, cv2.CC_STAT_AREA] > roundness * diagonal**2)
    spot[0] = False
    return np.asarray(spot[labels[atlas.rows, atlas.columns]])


def believable(albedo: Floats, trust: Floats, regions: Regions) -> Floats:
    """(T,) 1, but 0 for what is not skin where that is hardly the face's own: at the mask's soft edge (hair,
    background) and where the photo sees the surface at a slant (somebody else's jaw line, shadows behind it)."""
    encoded = srgb_from_linear(albedo)
    skin = statistics_of(encoded, (trust > 0.5) & regions.core)
    doubt = np.maximum(np.clip((1 - regions.face) / 0.1, 0, 1), np.clip((0.9 - trust) / 0.3, 0, 1))
    doubt[trust == 0] = 0
    asked = doubt > 0
    doubt[asked] *= np.where(reddened(albedo[asked], skin), 0, 1 - membership(encoded[asked], skin))
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
    is_skin = membership(encoded, skin) * trust * regions.core * ~reddened(albedo, skin)  # birthmarks are no shade
    brightness = np.log(np.maximum(albedo @ _LUMINANCE, 1e-3))
    usual = np.log(max(float(linear_from_srgb(skin.mean) @ _LUMINANCE), 1e-3))
    broad = membrane((brightness - usual)[:, None], is_skin, mesh, atlas, head, _BROAD)[:, 0]
    return np.clip(albedo * np.exp(-amount * broad)[:, None], 0, 1).astype(np.float32)
