# SPDX-License-Identifier: Apache-2.0
"""The performer's face and the avatar's skin in one tone: skin by skin's statistics, lips and lids by their own. Brows
are hair on skin: the skin between them moves, the hair keeps its colour.

Who gives way is the setting `tone`: at 1 the whole avatar takes the performer's tone, at 0 the performer's face the
avatar's, between them both move to where they meet.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .cleaning import statistics_of
from .harmonization import SkinStatistics, colour_map, face_map, membership, skin_statistics
from .regions import Regions

Floats = npt.NDArray[Any]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)
_OF_SKIN = ("lips", "eyes")
_ENOUGH = 50  # texels of a part in a photo and on the avatar


def in_one_tone(
    front: Floats, trust: Floats, old: Floats, regions: Regions, method: str, tone: float
) -> tuple[Floats, Floats]:
    """The performer's face and the target's skin (T, 3) sRGB, both moved to where they meet.

    trust (T,): of the performer's face. Raises InputError when too little plain skin can be seen.
    """
    performer = statistics_of(front, (trust > 0.5) & regions.core)
    target = statistics_of(old, regions.core)
    if method == "none":
        return front, old
    parts = {name: pair for name in _OF_SKIN if (pair := _part_statistics(front, trust, old, regions.parts[name]))}
    new_front = front
    if tone < 1:
        new_front = colour_map(performer, target, method, 1 - tone)(front)
        hair_kept = partial(_moved_skin, performer=target, target=performer, method=method, tone=1 - tone)
        new_front = _put_in(new_front, front, hair_kept, regions.parts["brows"])
        for name, (theirs, own) in parts.items():
            new_front = _put_in(new_front, front, face_map(theirs, own, method, 1 - tone), regions.parts[name])
    if tone == 0:
        return new_front, old
    back = _moved_skin(old, performer, target, method, tone)
    for name, (theirs, own) in parts.items():
        back = _put_in(back, old, face_map(own, theirs, method, tone), regions.parts[name] * (regions.face > 0))
    return new_front, np.clip(back, 0, 1).astype(np.float32)


def _part_statistics(
    front: Floats, trust: Floats, old: Floats, part: Floats
) -> tuple[SkinStatistics, SkinStatistics] | None:
    """The performer's and the avatar's, or None where too little of it is seen."""
    # The avatar's too only where a photo sees it: textures are dark or blank inside the mouth and behind the lids.
    seen = (part > 0.5) & (trust > 0.5)
    if seen.sum() < _ENOUGH:
        return None
    return skin_statistics(front, seen), skin_statistics(old, seen)


def _put_in(result: Floats, colours: Floats, move: Any, part: Floats) -> Floats:
    """`result` with `colours` moved by a part's own map, as far as texels are of the part."""
    inside = np.flatnonzero(part > 0)
    result = np.array(result, np.float32)
    amount = part[inside, None]
    result[inside] += amount * (move(colours[inside]) - result[inside])
    return result


def _moved_skin(old: Floats, performer: SkinStatistics, target: SkinStatistics, method: str, tone: float) -> Floats:
    """Colours (N, 3) with what is `target`'s skin in them moved towards `performer`'s; hair keeps its colour."""
    moved = colour_map(target, performer, method, tone)(old)
    amount = membership(old, target)[:, None]
    # What is darker or greyer than skin (painted hair, folds, the mouth's inside) has as much skin in it as it is
    # bright and colourful.
    bright = old @ _LUMINANCE / (target.mean @ _LUMINANCE)
    red, green, blue = old.T  # much faster than along an axis of three
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    colourful = spread / max(float(np.ptp(target.mean)), 0.02)
    skin_share = np.clip(np.minimum(bright, colourful), 0, 1)[:, None]
    shift = (tone * (performer.mean - target.mean)).astype(np.float32)
    return old + amount * (moved - old) + (1 - amount) * skin_share * shift
