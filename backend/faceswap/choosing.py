# SPDX-License-Identifier: Apache-2.0
"""Which of many photos of a performer are used: the few that show the face best together.

A swap's time and memory grow with its photos, and a blurred or dark one does harm. As in FSGAN's appearance map (Nirkin
et al. 2019) photos are points in the plane of yaw and pitch, and of two that are nearly the same point the better one
stays. Its triangulation of that plane is not needed here, where the mesh says what each photo shows: photos are taken
one by one, always the one that adds most to the face that is seen squarely, sharp and well exposed. That is within
1 - 1/e of the best choice (Nemhauser, Wolsey and Fisher 1978). The first photo is the artist's and always stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .measuring import Measured

Floats = npt.NDArray[Any]
_NEAR = 3.0  # degrees in the plane of yaw and pitch: two photos nearer than that are duplicates
_LEAST = 0.005  # of the face: what adds less is not worth its time
_SHARP = 75  # percentile over photos of the detail at a patch that counts as sharp
_STOPS = 1.0  # by which a photo may be darker or brighter than the others before it counts less
_USUAL = 1.25  # times the photos' median misfit of landmarks
_WELL = 0.25  # of `seen`: patches that photos are compared on
_WORSE = 0.7  # of the photos' median: a quality, or part of it, that is given as the reason


@attrs.frozen
class Quality:
    """Of a photo among others, parts and product 0..1. sharp: detail, place by place, against the sharp ones. exposed:
    by the stops that it is off. toned: what is not clipped. fits: by its landmarks' misfit."""

    sharp: float
    exposed: float
    toned: float
    fits: float

    @property
    def whole(self) -> float:
        """The product."""
        return self.sharp * self.exposed * self.toned * self.fits


@attrs.frozen
class LeftOut:
    """A photo that is not used, and a sentence that says why. yaw, pitch: degrees. quality: 0..1; None where it was not
    judged."""

    name: str
    reason: str
    yaw: float
    pitch: float
    quality: float | None


@attrs.frozen
class Choice:
    """names, qualities: of all photos that were judged. kept: indices of those that are used, ascending; the first is
    always 0. left_out: the others. covered: 0..1, how well those that are kept show the face."""

    names: tuple[str, ...]
    kept: tuple[int, ...]
    left_out: tuple[LeftOut, ...]
    qualities: tuple[Quality, ...]
    covered: float


def choose(photos: Sequence[Measured], share: Floats, most: int) -> Choice:
    """Choose at most `most` of the photos; `share` (P,) is how much of the face each patch is. Depends on nothing but
    what it is given; of equal photos the first is taken."""
    qualities = judge(photos)
    values = np.stack([q.whole * p.seen for q, p in zip(qualities, photos, strict=True)])
    reasons = _without_colour(photos) | _duplicates(photos, qualities)
    kept, best = [0], np.array(values[0], np.float64)
    while len(kept) < most:
        out = {*kept, *reasons}
        gains = [-1.0 if i in out else _gain(value, best, share) for i, value in enumerate(values)]
        index = int(np.argmax(gains))
        if gains[index] < _LEAST:
            break
        kept.append(index)
        best = np.maximum(best, values[index])
    left = tuple(
        LeftOut(p.name, reasons.get(i) or _reason(qualities, i, _gain(values[i], best, share)), p.yaw, p.pitch, q.whole)
        for i, (p, q) in enumerate(zip(photos, qualities, strict=True))
        if i not in kept
    )
    names = tuple(p.name for p in photos)
    return Choice(names, tuple(sorted(kept)), left, tuple(qualities), float(best @ share))


def distance(photo: Any, other: Any) -> float:
    """Degrees between two photos in the plane of yaw and pitch; whatever has both."""
    return float(np.hypot(photo.yaw - other.yaw, photo.pitch - other.pitch))


def judge(photos: Sequence[Measured]) -> list[Quality]:
    """Judge photos by each other, where they show the same skin."""
    seen = np.stack([p.seen for p in photos]) > _WELL
    detail = np.where(seen, np.stack([p.detail for p in photos]), np.nan)
    light = np.where(seen, np.log2(np.maximum(np.stack([p.brightness for p in photos]), 1e-4)), np.nan)
    shown = seen.any(0)
    sharp, usual = np.full(seen.shape[1], np.nan), np.full(seen.shape[1], np.nan)
    sharp[shown] = np.nanpercentile(detail[:, shown], _SHARP, axis=0)
    usual[shown] = np.nanmedian(light[:, shown], axis=0)
    misfit = float(np.median([p.misfit for p in photos]))
    found = []
    for index, photo in enumerate(photos):
        mine = seen[index]
        if not mine.any():
            found.append(Quality(0.0, 0.0, 0.0, 0.0))
            continue
        ratio = float(np.median(np.minimum(detail[index, mine] / np.maximum(sharp[mine], 1e-6), 1)))
        stops = float(np.median(light[index, mine] - usual[mine]))
        exposed = 2.0 ** -max(0.0, abs(stops) - _STOPS)
        fits = 1 / max(1.0, photo.misfit / max(_USUAL * misfit, 1e-9))
        found.append(Quality(ratio, exposed, 1 - photo.clipped, fits))
    return found


def _gain(value: Floats, best: Floats, share: Floats) -> float:
    return float(np.maximum(value - best, 0) @ share)


def _without_colour(photos: Sequence[Measured]) -> dict[int, str]:
    """One photo without colour takes it from all, so it is left out where the artist's first has colour."""
    grey = () if photos[0].grey else (i for i, p in enumerate(photos) if p.grey)
    return {i: "It has no colour, unlike the first photo." for i in grey}


def _duplicates(photos: Sequence[Measured], qualities: Sequence[Quality]) -> dict[int, str]:
    """Reasons by index, for photos next to a better one."""
    order = sorted(range(len(photos)), key=lambda i: (-qualities[i].whole, i))
    unlike: list[Measured] = []
    reasons = {}
    for index in order:
        photo = photos[index]
        near = [p for p in unlike if distance(p, photo) < _NEAR and p.grey == photo.grey]
        if near and index != 0:
            apart = distance(near[0], photo)
            reasons[index] = f"{near[0].name} shows the face from the same angle (to {apart:.1f}°) and is no worse."
        else:
            unlike.append(photo)
    return reasons


def _reason(qualities: Sequence[Quality], index: int, gain: float) -> str:
    """Why a photo that is no duplicate was not taken: what is wrong with it, or that others show the same."""
    words = {"sharp": "It is less sharp than the others", "exposed": "It is much darker or brighter than the others",
             "toned": "Much of the face has no tone, being too dark or too bright",
             "fits": "Its landmarks fit a face less well than the others'"}  # fmt: skip
    usual = {part: float(np.median([getattr(q, part) for q in qualities])) for part in words}
    parts = {part: getattr(qualities[index], part) / max(usual[part], 1e-9) for part in words}
    worst = min(parts, key=lambda part: parts[part])
    adds = f"it would add {100 * gain:.1f} % of the face to the chosen ones."
    return f"{words[worst]}; {adds}" if parts[worst] < _WORSE else adds[0].upper() + adds[1:]
