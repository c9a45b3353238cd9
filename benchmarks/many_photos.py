# SPDX-License-Identifier: Apache-2.0
"""Which of many photos: 24 portraits of a performer who turns from side to side, some blurred, some dark.

All are of one sitting, as production hands them over: the first from the front, the others from right to left with the
head nodding, so that the first few in the order of their names show one side only. Some are out of focus or taken two
stops too dark, as frames of a turn are.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.png import read_png, write_png

from .performers import SOURCE, Cast, Performer, performers
from .swap_robustness import several_photos

PHOTOS = 24
_YAW, _PITCH = 60.0, 20.0  # degrees at most
_BLURRED, _DARK = 6, 4
_OUT_OF_FOCUS = 2.5  # pixels, standard deviation
_STOPS = 2.0
_READ_NOISE = 0.003  # linear, of the dark ones: what a short exposure leaves
_PICTURE = "portrait.png"
_THUMBNAIL, _FRAME, _COLUMNS = 112, 4, 12
_KEPT, _SPOILT, _LEFT_OUT = (40, 220, 60), (200, 40, 40), (30, 30, 30)


@attrs.frozen
class Frame:
    """One photo of the turn. blurred, dark: what is wrong with it."""

    name: str
    yaw: float
    pitch: float
    blurred: bool = False
    dark: bool = False


def turn(seed: int = 0) -> list[Frame]:
    """The frames, always the same for a seed; the first is frontal and good."""
    draw = np.random.default_rng([11, seed])
    yaws = np.linspace(-_YAW, _YAW, PHOTOS - 1)
    pitches = draw.uniform(-_PITCH, _PITCH, PHOTOS - 1)
    spoilt = draw.permutation(PHOTOS - 1)[: _BLURRED + _DARK]
    blurred, dark = set(spoilt[:_BLURRED].tolist()), set(spoilt[_BLURRED:].tolist())
    frames = [Frame("frame_00", 0.0, 0.0)]
    for index, (yaw, pitch) in enumerate(zip(yaws, pitches, strict=True)):
        place = (round(float(yaw), 1), round(float(pitch), 1))
        frames.append(Frame(f"frame_{index + 1:02d}", *place, index in blurred, index in dark))
    return frames


def sitters(makehuman: bool, count: int) -> list[Performer]:
    """The first one-sided performers of `swap_photos`, each with a turn of its own."""
    found = []
    for index, person in enumerate(performers(makehuman, count)):
        usual = person.sittings[SOURCE]
        sittings = {f.name: attrs.evolve(usual, turn=(f.pitch, f.yaw, 0.0)) for f in turn(index)}
        found.append(attrs.evolve(person, name=person.name + "_turn", sittings=sittings, one_sided=True))
    return found


def source_of(cast: Cast, person: Performer, frames: Sequence[Frame], out: Path) -> Path:
    """A source folder of some frames, in their order, spoilt as they are said to be."""
    return several_photos({f.name: _photo_of(cast, person, f) for f in frames}, out)


def sheet_of(cast: Cast, person: Performer, frames: Sequence[Frame], kept: Sequence[str]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) all photos in rows; those whose file names are `kept` are framed in green, spoilt ones that are not in
    red."""
    tiles = []
    for frame in frames:
        picture = read_png(_photo_of(cast, person, frame) / _PICTURE)[..., :3]
        small = cv2.resize(picture, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
        colour = _KEPT if f"{frame.name}.png" in kept else _SPOILT if frame.blurred or frame.dark else _LEFT_OUT
        tiles.append(cv2.copyMakeBorder(small, *4 * (_FRAME,), cv2.BORDER_CONSTANT, value=colour))
    rows = [np.concatenate(tiles[i : i + _COLUMNS], 1) for i in range(0, len(tiles), _COLUMNS)]
    return np.concatenate(rows)


def _photo_of(cast: Cast, person: Performer, frame: Frame) -> Path:
    rendered = cast.of(person, frame.name)
    if not (frame.blurred or frame.dark):
        return rendered
    out = cast.of(person, f"{frame.name}_spoilt")
    out.mkdir(exist_ok=True)
    for name in ("landmarks.json", "consent.json"):
        shutil.copyfile(rendered / name, out / name)
    write_png(out / _PICTURE, _spoilt(read_png(rendered / _PICTURE)[..., :3], frame))
    return out


def _spoilt(image: npt.NDArray[np.uint8], frame: Frame) -> npt.NDArray[np.uint8]:
    """(h, w, 3) out of focus, or two stops too dark with a sensor's noise."""
    linear: npt.NDArray[Any] = linear_from_srgb(image.astype(np.float32) / 255)
    if frame.blurred:
        linear = cv2.GaussianBlur(linear, (0, 0), _OUT_OF_FOCUS)
    if frame.dark:
        draw = np.random.default_rng([13, int(frame.name[-2:])])
        linear = linear / 2**_STOPS + draw.normal(0, _READ_NOISE, linear.shape).astype(np.float32)
    spoilt: npt.NDArray[np.uint8] = np.rint(255 * srgb_from_linear(np.clip(linear, 0, 1))).astype(np.uint8)
    return spoilt
