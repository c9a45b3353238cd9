# SPDX-License-Identifier: GPL-3.0-or-later
"""From directions to cameras: lens, distance, framing. Pure mathematics, no bpy."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, errors

Array = npt.NDArray[Any]

SENSOR_MM = 36.0
"""Width of the sensor that lens lengths refer to, Blender's default."""

_UP = np.array([0.0, 0.0, 1.0])


@attrs.frozen
class Lens:
    """lens_mm: focal length on a 36 mm sensor along the picture's longer side. width, height: pixels."""

    lens_mm: float
    width: int
    height: int

    @property
    def intrinsics(self) -> Array:
        """K (3, 3) in pixels, square pixels, centred."""
        focal = self.lens_mm / SENSOR_MM * max(self.width, self.height)
        return np.array([[focal, 0.0, self.width / 2], [0.0, focal, self.height / 2], [0.0, 0.0, 1.0]])


def surround(
    points: Array, directions: Array, lens: Lens, distance: float | None = None, margin: float = 0.04
) -> list[cameras.Camera]:
    """Cameras along world `directions` (N, 3) that look at `points` (V, 3) from `distance` metres of their middle, or
    each as near as it can be while seeing all of them.

    Every camera looks straight against its direction. Without a distance its place is the nearest one that leaves
    `margin` of the picture's sides free all around. With r = m / f a point at local (x, y, z) is inside if
    |x - tx| <= r (d + z), so the smallest distance is (max(x - r z) - min(x + r z)) / 2r and tx the mean of these two;
    likewise for y. Raises InputError if the points have no extent, or a camera would stand among them.
    """
    centre = (points.min(axis=0) + points.max(axis=0)) / 2
    if not (np.ptp(points, axis=0) > 0).any():
        raise errors.InputError("The avatar has no extent, so no camera can frame it.", "Check mesh and scale.")
    cloud = np.unique(np.round(points - centre, 4), axis=0)
    return [_camera(cloud, centre, outward, lens, distance, margin) for outward in directions]


def _camera(
    cloud: Array, centre: Array, outward: Array, lens: Lens, distance: float | None, margin: float
) -> cameras.Camera:
    K, size = lens.intrinsics, np.array([lens.width, lens.height])
    target = centre
    if distance is not None and float((cloud @ outward).max()) >= distance:
        raise errors.InputError(
            f"At a distance of {distance:g} m the cameras would stand inside the avatar.", "Choose a larger distance."
        )
    if distance is None:
        turn = cameras.look_at(outward, np.zeros(3), _UP, K, lens.width, lens.height).rotation
        local = cloud @ turn.T
        reach = (0.5 - margin) * size / K[0, 0]  # (2,): tangents of half the fields of view, less the margin
        high = (local[:, :2] - reach * local[:, 2:]).max(axis=0)
        low = (local[:, :2] + reach * local[:, 2:]).min(axis=0)
        distance = float(((high - low) / (2 * reach)).max())
        target = centre + turn[:2].T @ ((high + low) / 2)
    return cameras.look_at(target + distance * outward, target, _UP, K, lens.width, lens.height)


def portrait_camera(
    landmarks: Array,  # (N, 3) world
    facing: Array,  # (3,) world, where the face looks
    lens: Lens,
    fill: float = 0.42,
) -> cameras.Camera:
    """A camera straight in front of the face; the landmarks' height fills `fill` of the picture, slightly below centre.

    Raises InputError if the landmarks have no height.
    """
    K = lens.intrinsics
    low, high = landmarks.min(axis=0), landmarks.max(axis=0)
    height = float(high[2] - low[2])
    if height <= 0:
        raise errors.InputError("The avatar's landmarks lie at one height.", "Set its 68 landmarks again.")
    target = (low + high) / 2 + np.array([0.0, 0.0, 0.12 * height])
    level = np.array([facing[0], facing[1], 0.0])
    distance = K[0, 0] * height / (fill * lens.height)
    return cameras.look_at(target + distance * level / np.linalg.norm(level), target, _UP, K, lens.width, lens.height)
