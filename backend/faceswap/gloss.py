# SPDX-License-Identifier: Apache-2.0
"""How much of a photo's skin is gloss, place by place: the colourless light that its surface reflects.

Skin mirrors a few percent of the light from around it. On dark skin that is as much as what comes out of the skin, and
it goes with the light: less in the eyes' sockets and beside the nose, which little of the surroundings can reach, more
where a lamp glances off brow and cheekbone. One amount taken off everywhere leaves the shade too red and the rest too
grey. Colour tells how much it is (the dichromatic reflection model, Shafer 1985): skin that is only shaded is darker in
all channels alike, skin with less gloss is darker by the same amount in each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.mesh import Mesh

from .atlas import Atlas
from .cleaning import reddened, statistics_of
from .completion import membrane
from .harmonization import membership
from .regions import Regions

Floats = npt.NDArray[Any]
_BROAD = 1.0  # stiffness of the membrane that follows light and gloss
_SPREAD = 0.4  # of the usual gloss: how much it differs from the light's share, from place to place
_HUES = 0.06  # natural logarithm: how much skin's own hue differs from place to place
_SHADE = (0.5, 2.5)  # light and shade in which skin is looked for, as factors that undo them
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_LEAST, _MOST = 0.1, 3.0  # what light may be, times the usual


def gloss_by_place(
    reflectance: Floats, trust: Floats, mesh: Mesh, head: int, atlas: Atlas, regions: Regions, gloss: float
) -> npt.NDArray[np.float32]:
    """(T,) what to take off each texel's reflectance (T, 3), `gloss` where skin is as bright as usual.

    Skin's broad colour is d (albedo + gloss) + e: light d, which the fitted one has missed, and gloss e beyond its
    share. Both are found by least squares, e held to 0 by what is known of either spread, so that on fair skin, whose
    hues vary more than gloss can change them, it goes with the light alone. Raises InputError when too little skin is
    seen.
    """
    encoded = srgb_from_linear(np.clip(reflectance, 0, 1).astype(np.float32))
    skin = statistics_of(encoded, (trust > 0.5) & regions.core)
    # Skin in the shade is skin; a birthmark's hue is not that of skin without gloss, though it goes the same way.
    brightness = np.maximum(reflectance @ _LUMINANCE, 1e-4)
    lit = np.clip(float(linear_from_srgb(skin.mean.astype(np.float32)) @ _LUMINANCE) / brightness, *_SHADE)
    like = srgb_from_linear(np.clip(reflectance * lit[:, None], 0, 1).astype(np.float32))
    is_skin = membership(like, skin) * trust * regions.core * ~reddened(reflectance, skin)
    usual = np.median(reflectance[(trust > 0.5) & regions.core & (is_skin > 0)], axis=0).astype(np.float64)
    broad = usual + membrane(reflectance - usual.astype(np.float32), is_skin, mesh, atlas, head, _BROAD)
    light, beyond = _separated(broad, usual, gloss)
    return np.maximum(gloss * light + beyond, 0).astype(np.float32)


def _separated(broad: Floats, usual: Floats, gloss: float) -> tuple[Floats, Floats]:  # (T, 3), (3,)
    """d and e (T,) of broad = d usual + e in all channels."""
    if gloss == 0:
        return np.ones(len(broad)), np.zeros(len(broad))
    weight = 1 / (_HUES * usual) ** 2
    held = 1 / (_SPREAD * gloss) ** 2
    a, b, c = (weight * usual**2).sum(), (weight * usual).sum(), weight.sum() + held
    p, q = broad @ (weight * usual), broad @ weight
    determinant = a * c - b * b
    light, beyond = (c * p - b * q) / determinant, (a * q - b * p) / determinant
    return np.clip(light, _LEAST, _MOST), beyond
