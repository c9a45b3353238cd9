# SPDX-License-Identifier: Apache-2.0
"""Where the cameras stand around the face: azimuths, the choice of views to show, the turntable's path."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera, look_at
from interchange.capture import Capture, Pose, View

Array = npt.NDArray[np.float64]

UP = np.array([0.0, 0.0, 1.0])
FULL_TURN_GAP = 60.0
"""Degrees: with a wider gap between neighbouring training cameras the turntable swings instead of turning round."""
SWING_LIMIT = 80.0
FACE_SEEN = 100.0
"""Degrees of azimuth up to which a view still shows some of the face."""


@attrs.frozen(eq=False)
class Stage:
    """The captured head in the world: centre of the face (3,), unit direction it looks in (3,), its points (V, 3)."""

    centre: Array
    facing: Array
    head: Array

    def azimuth(self, camera: Camera) -> float:
        """Degrees -180..180 of a camera around the vertical, 0 in front, positive towards the character's left."""
        return self._angle(camera.position - self.centre)

    def elevation(self, camera: Camera) -> float:
        """Degrees above the horizon of the face's centre."""
        offset = camera.position - self.centre
        return float(np.degrees(np.arctan2(offset[2], np.hypot(offset[0], offset[1]))))

    def direction(self, azimuth: float, elevation: float) -> Array:
        """Unit vector (3,) from the centre to where a camera of that azimuth and elevation (degrees) stands."""
        base = np.arctan2(self.facing[1], self.facing[0])
        a, e = base + np.radians(azimuth), np.radians(elevation)
        return np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])

    def _angle(self, offset: Array) -> float:
        angle = np.arctan2(offset[1], offset[0]) - np.arctan2(self.facing[1], self.facing[0])
        return float((np.degrees(angle) + 180) % 360 - 180)


def stage(capture: Capture) -> Stage:
    """Read the first pose's mesh and head bone; without a mesh the face is where the cameras look, towards -Y.

    Raises InputError if the mesh is damaged.
    """
    if not capture.poses:
        centre = _common_target([v.camera for v in capture.views], np.zeros(3))
        return Stage(centre, np.array([0.0, -1.0, 0.0]), np.zeros((0, 3)))
    mesh = capture.load_mesh()
    face = mesh.region_face > 0.5
    points = (mesh.vertices[face] if face.any() else mesh.vertices).astype(np.float64)
    above_chin = mesh.vertices[:, 2] >= points[:, 2].min()
    return Stage(points.mean(axis=0), facing(capture.poses[0]), mesh.vertices[above_chin].astype(np.float64))


def facing(pose: Pose) -> Array:
    """Unit horizontal direction (3,) of the face: -Y at rest, turned as the head bone is."""
    turned = np.array([0.0, -1.0, 0.0])
    for bone in pose.bones:
        if bone.name == "head":
            rest, posed = np.array(bone.rest)[:3, :3], np.array(bone.posed)[:3, :3]
            turned = posed @ np.linalg.inv(rest) @ turned
    turned[2] = 0
    length = np.linalg.norm(turned)
    return turned / length if length > 1e-6 else np.array([0.0, -1.0, 0.0])


def frontal_first(views: Sequence[View], place: Stage) -> list[View]:
    """Views by their distance from the frontal one, nearest first."""
    return sorted(views, key=lambda v: (np.hypot(place.azimuth(v.camera), place.elevation(v.camera)), v.name))


def spread_views(views: Sequence[View], place: Stage, count: int) -> list[View]:
    """At most `count` views spread over the azimuths, from the character's right to its left.

    Views from behind are shown only where too few see the face.
    """
    azimuth = {v.name: place.azimuth(v.camera) for v in views}
    left = frontal_first(views, place)
    if sum(abs(azimuth[v.name]) <= FACE_SEEN for v in left) >= 3:
        left = [v for v in left if abs(azimuth[v.name]) <= FACE_SEEN]
    chosen: list[View] = []
    while left and len(chosen) < count:  # the frontal one first, then always the one farthest from those chosen
        distance = [min((abs(azimuth[v.name] - azimuth[c.name]) for c in chosen), default=0.0) for v in left]
        chosen.append(left.pop(int(np.argmax(distance))))
    return sorted(chosen, key=lambda v: (azimuth[v.name], v.name))


def turntable_cameras(capture: Capture, place: Stage, frames: int = 48, size: int = 320) -> list[Camera]:
    """An orbit at the training cameras' typical distance: round the head where they surround it, else a swing.

    A double is only known from where it was seen: showing its unseen back would show nothing but guesses.
    """
    views = capture.train_views or capture.views
    azimuths = np.array([place.azimuth(v.camera) for v in views])
    distance = float(np.median([np.linalg.norm(v.camera.position - place.centre) for v in views]))
    elevation = float(np.clip(np.median([place.elevation(v.camera) for v in views]), -5, 10))
    target = _common_target([v.camera for v in views], place.centre)
    ordered = np.sort(azimuths)
    gaps = np.diff(np.append(ordered, ordered[0] + 360))
    phase = np.arange(frames) / frames
    if len(views) > 2 and gaps.max() <= FULL_TURN_GAP:
        path = 360 * phase
    else:
        reach = min(SWING_LIMIT, float(np.percentile(np.abs(azimuths), 90)))
        path = reach * np.sin(2 * np.pi * phase)
    first = views[0].camera
    side = max(first.width, first.height)
    K = first.K.copy()
    K[:2] *= size / side
    K[:2, 2] = size / 2
    return [look_at(target + distance * place.direction(a, elevation), target, UP, K, size, size) for a in path]


def _common_target(cameras: Sequence[Camera], fallback: Array) -> Array:
    """The point nearest to all optical axes (least squares); `fallback` when they are parallel."""
    matrix, vector = np.zeros((3, 3)), np.zeros(3)
    for camera in cameras:
        across = np.eye(3) - np.outer(camera.forward, camera.forward)
        matrix += across
        vector += across @ camera.position
    if np.linalg.cond(matrix) > 1e6:
        return fallback
    return np.asarray(np.linalg.solve(matrix, vector), np.float64)
