# SPDX-License-Identifier: Apache-2.0
"""The performer's iris in a photo: where it is, whatever the gaze, and what colour it has without the photo's light.

The disc is sought between the lids as the one that is darker than the white on both sides of it (Daugman's operator on
the left and right arcs, which no lid covers), its size being known but for the differences of people. Its light is read
from the white beside it, whose colour differs little between people, within what the face's own light allows.
"""

from __future__ import annotations

from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from ..delighting import Shading
from .avatar import BAND, WHITE, Eye
from .window import RADIUS, Window

Floats = npt.NDArray[Any]
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
_SIZES = np.geomspace(0.78, 1.28, 9)  # of the expected radius
_SIZE_SPREAD = 0.15  # natural logarithm
_GAZE_SPREAD = 0.6  # iris radii: a gaze 17 degrees off the head's
_INNER, _OUTER = (0.62, 0.95), (1.06, 1.4)  # of the radius: what is compared
_LEAST_STEP = 0.06  # of encoded brightness between iris and white
_LEAST_SEEN = 0.2  # share of the band of the iris that must be free of lids and glare
_ONE_SIDED = 0.7  # how far a disc is believed with white on one side only
_CLIPPED = 0.985  # encoded
_OCCLUDED = 0.8  # of the face's light reaches an eye between its lids
_AGAINST_FACE = (0.4, 1.25)  # the light that the white tells of, against the face's
_UNSHADED = 0.7  # of the white: the rest is more in the lids' shade than the iris
_TINT = (0.75, 1.33)  # its colour against the face's


@attrs.frozen(eq=False)
class MeasuredIris:
    """albedo: (N, 3) linear, of the iris' pixels. weight: how far they count against other eyes'. offset: (2,) iris
    radii from where the iris would be if the eye looked ahead. light: what told the light: white, face or none."""

    left: bool
    albedo: npt.NDArray[np.float32]
    weight: float
    radius_px: float
    offset: Floats
    light: str


@attrs.frozen
class _Disc:
    x: float
    y: float
    radius: float
    step: float


def measure(window: Window, eye: Eye, shading: Shading | None, white: Floats, gloss: float) -> MeasuredIris | str:
    """The iris in a window, or why there is none. shading: the photo's light on the face, None to leave light on.
    white: (3,) linear, of the avatar's eyes, which the performer's are taken to share. gloss: as in `SwapSettings`."""
    disc = _find(window)
    if disc is None:
        return "do not show the iris clearly"
    share = _shares(window, disc)
    seen = _iris_pixels(window, share, disc)
    full = np.pi * (BAND[1] ** 2 - BAND[0] ** 2) * disc.radius**2 * window.squeeze
    if seen.sum() < _LEAST_SEEN * full:
        return "show too little of the iris"
    light, told_by = _light(window, share, eye, shading, white)
    reflectance = window.linear[seen] / light
    albedo = reflectance
    if shading is not None:
        # The cornea mirrors what is before the face, which no lid dims as it dims the light on the iris.
        mirrored = gloss * np.maximum(shading.on(eye.axis[None])[0] / light, 1)
        albedo = np.maximum(reflectance - mirrored, 0.25 * reflectance)
    weight = disc.step * min(1.0, float(seen.sum()) / full) * min(1.0, window.photo_radius / 12)
    offset = (np.array([disc.x, disc.y]) - window.expected) / RADIUS
    radius = window.photo_radius * disc.radius / RADIUS
    return MeasuredIris(window.left, np.clip(albedo, 0, 1).astype(np.float32), weight, radius, offset, told_by)


def _find(window: Window) -> _Disc | None:
    """The iris' disc: the highest step of brightness from its inside to the white left and right of it."""
    known = (window.open & (window.depth > 0.08 * RADIUS)).astype(np.float32)
    bright = window.bright * known
    height, width = known.shape
    y, x = np.mgrid[0:height, 0:width] + 0.5
    off = ((x - window.expected[0]) ** 2 + (1.3 * (y - window.expected[1])) ** 2) / (_GAZE_SPREAD * RADIUS) ** 2
    inside = cv2.dilate(window.open.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    prior = np.exp(-0.5 * off) * inside
    best = None
    for size in _SIZES:
        radius = size * RADIUS
        step = _step(bright, known, radius, window.squeeze)
        score = step * prior ** 0.5 * np.exp(-0.5 * (np.log(size) / _SIZE_SPREAD) ** 2)
        row, column = np.unravel_index(int(score.argmax()), score.shape)
        if best is None or score[row, column] > best[0]:
            best = float(score[row, column]), _Disc(x[row, column], y[row, column], radius, float(step[row, column]))
    assert best is not None
    return best[1] if best[0] > 0 and best[1].step > _LEAST_STEP else None


def _step(bright: Floats, known: Floats, radius: float, squeeze: float) -> Floats:
    """(h, w) by the disc's middle: brightness outside less brightness inside, the sides weighted by what is seen."""
    reach = int(np.ceil(_OUTER[1] * radius)) + 1
    v, u = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    share = np.hypot(u / squeeze, v) / radius
    beside = np.abs(v) < 0.8 * np.abs(u)
    total, amount, sides = np.zeros_like(bright), np.zeros_like(bright), np.zeros_like(bright)
    for side in (u < 0, u > 0):
        means, counts = [], []
        for low, high in (_INNER, _OUTER):
            kernel = (beside & side & (share > low) & (share < high)).astype(np.float32)
            count = cv2.filter2D(known, -1, kernel, borderType=cv2.BORDER_CONSTANT)
            means.append(cv2.filter2D(bright, -1, kernel, borderType=cv2.BORDER_CONSTANT) / np.maximum(count, 1e-3))
            counts.append(count / kernel.sum())
        seen = np.clip(np.minimum(*counts) - 0.15, 0, 0.5)
        total += seen * (means[1] - means[0])
        amount += seen
        sides += seen > 0
    return np.where(amount > 0, total / np.maximum(amount, 1e-3), 0) * np.where(sides > 1, 1, _ONE_SIDED)


def _shares(window: Window, disc: _Disc) -> Floats:
    """(h, w) distance from the disc's middle in its radii."""
    y, x = np.mgrid[0 : window.open.shape[0], 0 : window.open.shape[1]] + 0.5
    return np.hypot((x - disc.x) / window.squeeze, y - disc.y) / disc.radius


def _iris_pixels(window: Window, share: Floats, disc: _Disc) -> npt.NDArray[np.bool_]:
    """(h, w) the band of the iris without the lids' shadow, lashes, glare and what a wide pupil takes of it."""
    free = window.open & (window.depth > 0.12 * RADIUS) & (window.under > 0.3 * RADIUS)
    glare = _glare(window, share, free)
    inner = max(BAND[0], 1.15 * _pupil(window, share, free & ~glare))
    band = free & ~glare & (share > inner) & (share < max(BAND[1], inner + 0.15))
    if band.sum() < 8:
        return band
    encoded = window.encoded.mean(-1)
    usual = float(np.median(encoded[band]))
    spread = 1.4826 * float(np.median(np.abs(encoded[band] - usual))) + 0.01
    return band & (np.abs(encoded - usual) < 2.5 * spread)


def _glare(window: Window, share: Floats, free: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(h, w) reflections on the iris, with a rim: bright and without its colour."""
    inside = free & (share < 0.9)
    if not inside.any():
        return np.zeros_like(free)
    least = window.encoded.min(-1)  # a coloured iris has a dark channel, a reflection has none
    usual = float(np.median(least[inside & (share > BAND[0])])) if (inside & (share > BAND[0])).any() else 0.0
    spread = 1.4826 * float(np.median(np.abs(least[inside] - usual)))
    bright = (share < 1) & ((least > usual + max(2.5 * spread, 0.06)) | (window.encoded.max(-1) > _CLIPPED))
    rim = max(1, round(0.06 * RADIUS))
    return cv2.dilate(bright.astype(np.uint8), np.ones((2 * rim + 1,) * 2, np.uint8)) > 0


def _pupil(window: Window, share: Floats, free: npt.NDArray[np.bool_]) -> float:
    """Its radius as a share of the iris', 0.36 where none can be told."""
    edges = np.arange(0.0, 0.9, 0.06)
    bins = np.digitize(share[free], edges) - 1
    number = np.bincount(bins, minlength=len(edges))[: len(edges)]
    total = np.bincount(bins, window.encoded.mean(-1)[free], minlength=len(edges))[: len(edges)]
    known = np.flatnonzero(number > 3)
    if len(known) < 4:
        return 0.36
    profile = np.interp(np.arange(len(edges)), known, total[known] / number[known])
    step = profile[2:] - profile[:-2]
    middle = edges[1:-1] + 0.03
    step = np.where((middle > 0.2) & (middle < 0.62), step, 0)
    best = int(step.argmax())
    return float(middle[best]) if step[best] > 0.04 else 0.36


def _light(
    window: Window, share: Floats, eye: Eye, shading: Shading | None, white: Floats
) -> tuple[Floats, str]:
    """(3,) the light on the eye, as a white surface would show it, and what told it."""
    if shading is None:
        return np.ones(3), "none"
    face = shading.on(eye.axis[None])[0].astype(np.float64)
    near = window.open & (window.depth > 0.15 * RADIUS) & (window.under > 0.3 * RADIUS)
    near &= (share > WHITE[0]) & (share < WHITE[1]) & (window.encoded.max(-1) < _CLIPPED)
    if near.sum() < 0.15 * RADIUS**2:
        return _OCCLUDED * face, "face"
    colours = window.linear[near]
    shade = colours @ _LUMINANCE
    # The brightest part: lids' shadows, veins and the pink corners are darker, and lids shade the white more than the
    # iris, which lies between them.
    seen = np.median(colours[shade >= np.quantile(shade, _UNSHADED)], axis=0) / white
    amount = float(np.clip(seen @ _LUMINANCE / (face @ _LUMINANCE), *_AGAINST_FACE)) * float(face @ _LUMINANCE)
    tint = np.clip(seen / (seen @ _LUMINANCE) / (face / (face @ _LUMINANCE)), *_TINT) * face / (face @ _LUMINANCE)
    return amount * tint / float(tint @ _LUMINANCE), "white"
