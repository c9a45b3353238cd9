# SPDX-License-Identifier: GPL-3.0-or-later
"""In which directions the cameras of a rig stand. Pure mathematics, no bpy.

Directions are unit vectors from the avatar to the camera in the avatar's own axes: the face looks along -Y, the
character's left is +X, up is +Z. Azimuth 0 is in front of the face and grows towards +X; elevation grows upwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import errors

Array = npt.NDArray[Any]

MOST_VIEWS = 10_000
"""Of one kind in a rig; more is a slip of the keyboard."""

_GOLDEN = (np.sqrt(5) - 1) / 2


@attrs.frozen
class Dome:
    """A dome of cameras that is denser in front of the face, but goes all around.

    train, held_out: numbers of views. low, high: elevations in degrees. face_weight: how much denser the front is than
    the back (0 = even). seed: turns the pattern.
    """

    train: int = 40
    held_out: int = 8
    low: float = -25.0
    high: float = 50.0
    face_weight: float = 2.0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        _check_counts("dome", self.train, self.held_out)
        _check_elevations("dome", self.low, self.high)
        check_seed(self.seed)
        if not 0 <= self.face_weight <= 1000:  # also false for NaN
            raise errors.InputError(f"A dome cannot be {self.face_weight} times denser.", "Choose 0 to 1000, say 2.")


@attrs.frozen
class Sphere:
    """Cameras spread evenly over a ball (Fibonacci lattice), or over the part of it between two elevations.

    train, held_out: numbers of views. low, high: elevations in degrees. seed: turns the pattern.
    """

    train: int = 40
    held_out: int = 8
    low: float = -60.0
    high: float = 80.0
    seed: int = 0

    def __attrs_post_init__(self) -> None:
        _check_counts("sphere", self.train, self.held_out)
        _check_elevations("sphere", self.low, self.high)
        check_seed(self.seed)


def _elevations(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _names(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


def _frames(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(values)


@attrs.frozen
class Rings:
    """Level rings of cameras, one above the other; one ring is a turntable.

    per_ring: cameras a ring, the first in front of the face. elevations: degrees. held_out: how many of all are kept
    for judging.
    """

    per_ring: int = 24
    elevations: tuple[float, ...] = attrs.field(default=(0.0,), converter=_elevations)
    held_out: int = 4

    def __attrs_post_init__(self) -> None:
        if not self.elevations:
            raise errors.InputError("The rig has no ring.", "Give one elevation or more, for example 0.")
        _check_elevations("ring", min(self.elevations), max(self.elevations), same=True)
        _check_counts("set of rings", self.per_ring * len(self.elevations) - self.held_out, self.held_out)


@attrs.frozen
class LightStage:
    """Rows and columns of cameras around the face, as in a light stage or a scanning rig.

    azimuth: half the angle in degrees that the columns span, 180 for all around. low, high: elevations of the lowest
    and highest row. held_out: how many of all are kept for judging.
    """

    rows: int = 4
    columns: int = 9
    azimuth: float = 90.0
    low: float = -20.0
    high: float = 40.0
    held_out: int = 4

    def __attrs_post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1 or not 0 < self.azimuth <= 180:
            raise errors.InputError(
                f"A light stage of {self.rows} x {self.columns} cameras over {self.azimuth} degrees is not possible.",
                "Give at least one row and column, and up to 180 degrees to each side.",
            )
        _check_elevations("light stage", self.low, self.high, same=self.rows == 1)
        _check_counts("light stage", self.rows * self.columns - self.held_out, self.held_out)


@attrs.frozen
class SceneCameras:
    """Cameras that stand in the scene, by name. frames: where an animated one is sampled; empty = where it is now.

    held_out: how many of all are kept for judging.
    """

    names: tuple[str, ...] = attrs.field(converter=_names)
    frames: tuple[int, ...] = attrs.field(default=(), converter=_frames)
    held_out: int = 0

    def __attrs_post_init__(self) -> None:
        if not self.names:
            raise errors.InputError("There are no cameras to take.", "Select some, or name a collection of cameras.")
        _check_counts("set", len(self.names) * max(len(self.frames), 1) - self.held_out, self.held_out)


Rig = Dome | Sphere | Rings | LightStage


def directions_of(rig: Rig) -> tuple[Array, Array]:
    """Directions of the training (train, 3) and held-out (held_out, 3) cameras of a rig."""
    if isinstance(rig, Dome):
        return dome_directions(rig)
    if isinstance(rig, Sphere):
        return sphere_directions(rig)
    every = ring_grid(rig) if isinstance(rig, Rings) else stage_grid(rig)
    chosen = evenly(len(every), rig.held_out)
    return every[~chosen], every[chosen]


def view_count(rig: Rig | SceneCameras) -> tuple[int, int]:
    """How many training and held-out views a rig has."""
    if isinstance(rig, (Dome, Sphere)):
        return rig.train, rig.held_out
    if isinstance(rig, Rings):
        total = rig.per_ring * len(rig.elevations)
    elif isinstance(rig, LightStage):
        total = rig.rows * rig.columns
    else:
        total = len(rig.names) * max(len(rig.frames), 1)
    return total - rig.held_out, rig.held_out


def check_seed(seed: int) -> None:
    """Raises InputError for a seed that numpy's generators do not take."""
    if seed < 0:
        raise errors.InputError(f"A seed of {seed} is not possible.", "Choose 0 or more.")


def _check_counts(kind: str, train: int, held_out: int) -> None:
    for count, least, name in ((train, 1, "training"), (held_out, 0, "held-out")):
        if not least <= count <= MOST_VIEWS:
            raise errors.InputError(
                f"A {kind} of {count} {name} views is not possible.", f"Ask for {least} to {MOST_VIEWS}."
            )


def _check_elevations(kind: str, low: float, high: float, *, same: bool = False) -> None:
    if not -89 <= low <= high <= 89 or (low == high and not same):
        raise errors.InputError(
            f"A {kind} from {low} to {high} degrees is not possible.", "Stay within -89 to 89, low first."
        )


def direction(azimuth: Array | float, elevation: Array | float) -> Array:
    """Unit vectors (..., 3) for angles in radians."""
    azimuth, elevation = np.asarray(azimuth, float), np.asarray(elevation, float)
    level = np.cos(elevation)
    return np.stack([level * np.sin(azimuth), -level * np.cos(azimuth), np.sin(elevation)], axis=-1)


def dome_directions(dome: Dome) -> tuple[Array, Array]:
    """Directions of the training (train, 3) and held-out (held_out, 3) cameras, all different.

    Both come from one golden-ratio lattice, evenly spread in the sine of the elevation and, through the inverse of its
    cumulative density 1 + face_weight * exp(-(azimuth / 50 deg)^2), in the azimuth. The held-out views are taken out of
    its interior at even steps in azimuth, so each lies among training views, and the face gets its share of them.
    """
    count = dome.train + dome.held_out
    index = np.arange(count)
    phase = np.random.default_rng(dome.seed).random() if dome.seed else 0.0
    low, high = np.sin(np.radians([dome.low, dome.high]))
    rank = (index + 0.5) / count
    elevation = np.arcsin(low + (high - low) * rank)
    azimuth = _weighted_azimuth((index * _GOLDEN + phase) % 1.0, dome.face_weight)
    every = direction(azimuth, elevation)
    interior = np.flatnonzero((rank > 0.15) & (rank < 0.85)) if dome.held_out else index[:0]
    if len(interior) < dome.held_out:
        interior = index
    ordered = interior[np.argsort(azimuth[interior], kind="stable")]
    steps = (np.arange(dome.held_out) + 0.5) * len(ordered) / max(dome.held_out, 1)
    chosen = np.zeros(count, bool)
    chosen[ordered[steps.astype(int)]] = True
    return every[~chosen], every[chosen]


def _weighted_azimuth(uniform: Array, weight: float) -> Array:  # (N,) 0..1 -> radians -pi..pi
    grid = np.linspace(-np.pi, np.pi, 2049)
    density = 1 + weight * np.exp(-((grid / np.radians(50)) ** 2))
    cumulative = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return np.interp(uniform, cumulative / cumulative[-1], grid)


def sphere_directions(sphere: Sphere) -> tuple[Array, Array]:
    """A Fibonacci lattice between two elevations: training (train, 3) and held-out (held_out, 3) directions.

    Source: Gonzalez, "Measurement of Areas on a Sphere Using Fibonacci and Latitude-Longitude Lattices", 2010.
    """
    count = sphere.train + sphere.held_out
    phase = np.random.default_rng(sphere.seed).random() if sphere.seed else 0.0
    low, high = np.sin(np.radians([sphere.low, sphere.high]))
    index = np.arange(count)
    elevation = np.arcsin(low + (high - low) * (index + 0.5) / count)
    azimuth = 2 * np.pi * ((index * _GOLDEN + phase) % 1.0)
    every, chosen = direction(azimuth, elevation), evenly(count, sphere.held_out)
    return every[~chosen], every[chosen]


def ring_grid(rings: Rings) -> Array:
    """(rings * per_ring, 3) directions, ring by ring from the first elevation; every other ring is turned by half a
    step, so that no two cameras stand above each other.
    """
    step = 2 * np.pi / rings.per_ring
    turned = [np.arange(rings.per_ring) * step + (number % 2) * step / 2 for number in range(len(rings.elevations))]
    return np.concatenate(
        [direction(a, np.full(len(a), np.radians(e))) for a, e in zip(turned, rings.elevations, strict=True)]
    )


def stage_grid(stage: LightStage) -> Array:
    """(rows * columns, 3) directions, row by row from the lowest, each from the character's right (-X) to the left."""
    whole = stage.azimuth == 180  # both ends would be one camera behind the head
    azimuth = np.radians(np.linspace(-stage.azimuth, stage.azimuth, stage.columns + whole))[: stage.columns]
    azimuth = azimuth if stage.columns > 1 else np.zeros(1)
    elevation = np.radians(np.linspace(stage.low, stage.high, stage.rows) if stage.rows > 1 else [stage.low])
    grid_elevation, grid_azimuth = np.meshgrid(elevation, azimuth, indexing="ij")
    return direction(grid_azimuth.ravel(), grid_elevation.ravel())


def evenly(count: int, held_out: int) -> Array:
    """(count,) bool: `held_out` of them true, at even steps."""
    chosen = np.zeros(count, bool)
    chosen[((np.arange(held_out) + 0.5) * count / max(held_out, 1)).astype(int)] = True
    return chosen
