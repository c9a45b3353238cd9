# SPDX-License-Identifier: Apache-2.0
"""Where in a photo a landmarker looks: upright or turned squares around a face, and those to begin with."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from ..sampling import sample_linear
from .alignment import Matrix, resample
from .landmark_kinds import LandmarkKind

Floats = npt.NDArray[Any]

_FAN_SIDE = 200 / 195  # of a box's width and height together, FAN's own training crop
_FAN_LIFT = 0.12  # of its height: brows are the topmost points, not the top of a face
_SPACE_SIDE = 1.5  # of the longer side of a detector's box
_FOREHEAD = 0.25  # of the height of the points' box: how far a detector's box reaches above the brows
_MORE = 1.5  # times the photo: for one that a face fills
_FINER = 2.0  # pixels of a photo for one of a crop, on each side
_STEP = 0.5  # from one first crop to the next, of its side
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)


@attrs.frozen
class Box:
    """A face: left, top, width, height in pixels of the upright photo, its corner at 0. score: 0..1."""

    left: float
    top: float
    width: float
    height: float
    score: float = 1.0

    @property
    def area(self) -> float:
        """Pixels."""
        return self.width * self.height

    def scaled(self, factor: float) -> Box:
        """In the pixels of a photo that is so many times as large."""
        left, top, width, height = (factor * v for v in (self.left, self.top, self.width, self.height))
        return Box(left, top, width, height, self.score)


@attrs.frozen
class Crop:
    """A square of a photo. x, y: its middle, and side, in pixels (centres at +0.5); angle: radians by which its x axis
    is turned from the photo's towards the photo's y axis."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def matrix(self, size: int) -> Matrix:
        """(2, 3) from pixel indices of the crop, drawn with `size` pixels a side, to those of the photo."""
        step = self.side / size
        cos, sin = step * math.cos(self.angle), step * math.sin(self.angle)
        linear = np.array([[cos, -sin], [sin, cos]])
        middle = np.full(2, (size - 1) / 2)
        return np.concatenate([linear, (np.array([self.x, self.y]) - 0.5 - linear @ middle)[:, None]], axis=1)

    def to_photo(self, points: Floats, size: int) -> npt.NDArray[np.float64]:  # (N, 2) crop pixels, centres at +0.5
        """(N, 2) pixels of the photo."""
        matrix = self.matrix(size)
        return (np.asarray(points, np.float64) - 0.5) @ matrix[:, :2].T + matrix[:, 2] + 0.5

    def moved(self, across: float, down: float) -> Crop:
        """The same square, moved along its own axes by shares of its side."""
        cos, sin = self.side * math.cos(self.angle), self.side * math.sin(self.angle)
        return attrs.evolve(self, x=self.x + across * cos - down * sin, y=self.y + across * sin + down * cos)

    def scaled(self, factor: float) -> Crop:
        """In the pixels of a photo that is so many times as large."""
        return attrs.evolve(self, x=self.x * factor, y=self.y * factor, side=self.side * factor)


class Pyramid:
    """A photo, and smaller versions of it for crops that need no more: drawing a crop costs what its own pixels do.

    Beyond the photo it is black, as the crops were that the networks have learnt from.
    """

    def __init__(self, picture: Floats) -> None:  # (H, W, 3)
        self.height, self.width = picture.shape[:2]
        self._picture, self._levels = picture, dict[int, Floats]()

    def draw(self, crop: Crop, size: int) -> npt.NDArray[np.float32]:
        """(size, size, 3) of a crop, which is in the photo's pixels, out of a photo at least twice as fine."""
        factor = min(max(int(crop.side / (_FINER * size)), 1), self.height, self.width)
        if factor not in self._levels:
            self._levels[factor] = np.pad(_reduced(self._picture, factor), ((1, 1), (1, 1), (0, 0)))
        matrix = crop.scaled(1 / factor).matrix(size)
        matrix[:, 2] += 1  # the black frame
        return resample(self._levels[factor], matrix, range(size), range(size), sample_linear)


def _reduced(picture: Floats, factor: int) -> Floats:
    """Means of squares of `factor` pixels; what is left at the right and at the bottom is cut off."""
    if factor == 1:
        return picture
    height, width = (side // factor for side in picture.shape[:2])
    squares = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return squares.mean(axis=(1, 3), dtype=np.float32)


def crop_of_box(box: Box, kind: LandmarkKind, angle: float = 0.0) -> Crop:
    """The crop that a landmarker was trained on, of a detector's box."""
    x, y = box.left + box.width / 2, box.top + box.height / 2
    if kind.heatmaps:
        return Crop(x, y - _FAN_LIFT * box.height, _FAN_SIDE * (box.width + box.height), angle)
    return Crop(x, y, _SPACE_SIDE * max(box.width, box.height), angle)


def crop_of_points(points: Floats, kind: LandmarkKind, angle: float = 0.0) -> Crop:  # (68, 2)
    """The crop around a face whose points are known: what `crop_of_box` gives of their box, turned by `angle`.

    FAN was trained on the points' own box; for a network that was trained on a detector's the forehead is added.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    back = np.array([[cos, sin], [-sin, cos]])  # to axes along the face
    along = np.asarray(points, np.float64) @ back.T
    low, high = along.min(axis=0), along.max(axis=0)
    if not kind.heatmaps:
        low = low - [0.0, _FOREHEAD * (high - low)[1]]
    crop = crop_of_box(Box(*low, *(high - low)), kind, angle)
    x, y = back.T @ np.array([crop.x, crop.y])
    return attrs.evolve(crop, x=float(x), y=float(y))


def upright_angle(points: Floats) -> float:  # (68, 2)
    """By how much a face leans, radians: of the line from its right eye to its left one, against the photo's x axis."""
    across = points[_LEFT_EYE].mean(axis=0) - points[_RIGHT_EYE].mean(axis=0)
    return math.atan2(across[1], across[0])


def first_crops(width: int, height: int) -> Iterator[list[Crop]]:
    """Where to look without a detector, likelier and fewer crops first: the whole photo, more than that, and its
    squares; then squares of half the height. Networks expect a face to fill about half of what they see."""
    whole, short = max(width, height), min(width, height)
    yield [Crop(width / 2, height / 2, share * whole) for share in (1.0, _MORE)] + _grid(width, height, short)
    yield _grid(width, height, min(height / 2, short))


def _grid(width: int, height: int, side: float) -> list[Crop]:
    """Squares over the whole photo, half a side apart."""
    places = [_places(length, side) for length in (height, width)]
    return [Crop(x, y, side) for y in places[0] for x in places[1]]


def _places(length: float, side: float) -> list[float]:
    count = max(math.ceil((length - side) / (_STEP * side) - 1e-6) + 1, 1)
    if count == 1:
        return [length / 2]
    return [side / 2 + (length - side) * i / (count - 1) for i in range(count)]
