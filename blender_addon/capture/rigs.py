# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the cameras stand. Pure mathematics, no bpy.

Directions are unit vectors from the avatar to the camera in the avatar's own axes: the face looks along -Y, the
character's left is +X, up is +Z. Azimuth 0 is in front of the face and grows towards +X; elevation grows upwards.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, errors

Array = npt.NDArray[Any]

SENSOR_MM = 36.0
"""Width of the sensor that lens lengths refer to, Blender's default."""

MOST_VIEWS = 10_000
"""Of one kind in a dome; more is a slip of the keyboard."""

_UP = np.array([0.0, 0.0, 1.0])
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
        for count, least, kind in ((self.train, 1, "training"), (self.held_out, 0, "held-out")):
            if not least <= count <= MOST_VIEWS:
                raise errors.InputError(
                    f"A dome of {count} {kind} views is not possible.", f"Ask for {least} to {MOST_VIEWS}."
                )
        if not -89 <= self.low < self.high <= 89:
            raise errors.InputError(
                f"A dome from {self.low} to {self.high} degrees is not possible.", "Stay within -89 to 89, low first."
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


def ring_directions(count: int, elevation_deg: float = 5.0) -> Array:
    """(count, 3) evenly spaced directions at one height, the first in front of the face: for turntables."""
    return direction(np.arange(count) * 2 * np.pi / count, np.full(count, np.radians(elevation_deg)))


def intrinsics(lens_mm: float, size: int) -> Array:
    """K (3, 3) of a square picture of `size` pixels through a lens on a 36 mm sensor."""
    focal = lens_mm / SENSOR_MM * size
    return np.array([[focal, 0.0, size / 2], [0.0, focal, size / 2], [0.0, 0.0, 1.0]])


def surround(points: Array, directions: Array, lens_mm: float, size: int, margin: float = 0.04) -> list[cameras.Camera]:
    """Cameras along world `directions` (N, 3) that each see all `points` (V, 3) as large as the frame allows.

    Every camera looks straight against its direction; its place is the nearest one that leaves `margin` of the
    picture's side free all around. With r = m / f a point at local (x, y, z) is inside if |x - tx| <= r (d + z), so the
    smallest distance is (max(x - r z) - min(x + r z)) / 2r and tx the mean of these two; likewise for y.
    Raises InputError if the points have no extent.
    """
    K = intrinsics(lens_mm, size)
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    reach = (0.5 - margin) * size / K[0, 0]
    cloud = np.unique(np.round(points - centre, 4), axis=0)
    views = []
    for outward in directions:
        turn = cameras.look_at(outward, np.zeros(3), _UP, K, size, size).rotation
        local = cloud @ turn.T
        high = (local[:, :2] - reach * local[:, 2:]).max(axis=0)
        low = (local[:, :2] + reach * local[:, 2:]).min(axis=0)
        distance = float((high - low).max()) / (2 * reach)
        if distance <= 0:
            raise errors.InputError("The avatar has no extent, so no camera can frame it.", "Check mesh and scale.")
        target = centre + turn[:2].T @ ((high + low) / 2)
        views.append(cameras.look_at(target + distance * outward, target, _UP, K, size, size))
    return views


def moved(views: list[cameras.Camera], shift: Array) -> list[cameras.Camera]:  # (3,) world
    """The same cameras with every place moved by `shift`."""
    result = []
    for view in views:
        world_to_camera = view.world_to_camera.copy()
        world_to_camera[:3, 3] -= view.rotation @ shift
        result.append(cameras.Camera(view.K, world_to_camera, view.width, view.height))
    return result


def portrait_camera(
    landmarks: Array,  # (N, 3) world
    facing: Array,  # (3,) world, where the face looks
    lens_mm: float,
    size: int,
    fill: float = 0.42,
) -> cameras.Camera:
    """A camera straight in front of the face; the landmarks' height fills `fill` of the picture, slightly below centre.

    Raises InputError if the landmarks have no height.
    """
    K = intrinsics(lens_mm, size)
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    height = float(high[2] - low[2])
    if height <= 0:
        raise errors.InputError("The avatar's landmarks lie at one height.", "Set its 68 landmarks again.")
    target = (low + high) / 2 + np.array([0.0, 0.0, 0.12 * height])
    level = np.array([facing[0], facing[1], 0.0])
    distance = K[0, 0] * height / (fill * size)
    return cameras.look_at(target + distance * level / np.linalg.norm(level), target, _UP, K, size, size)
