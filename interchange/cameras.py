# SPDX-License-Identifier: Apache-2.0
"""Pinhole cameras and the only axis conversions of the project.

Conventions. A camera is OpenCV's: x right, y down, z forward; `world_to_camera` maps world points into it. Pixel
centres lie at +0.5, so a point projects to u = fx x/z + cx with cx = W/2 for a centred lens. Blender and nerfstudio
use OpenGL cameras (y up, looking along -z); `OPENGL_FROM_OPENCV` leads from one to the other. The world of a capture
is Blender's (z up, metres). Splat files are y down, as viewers expect: `SPLAT_FROM_BLENDER` leads there.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .errors import InputError

Array = npt.NDArray[Any]

OPENGL_FROM_OPENCV: Array = np.diag([1.0, -1.0, -1.0, 1.0])
"""4x4; its own inverse. Flips the camera's y and z axes."""

SPLAT_FROM_BLENDER: Array = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""3x3 rotation: Blender's z-up world to the y-down world of splat files: (x, y, z) -> (x, -z, y)."""


def _matrix(value: Any, size: int) -> Array:
    matrix = np.array(value, dtype=np.float64)
    if matrix.shape != (size, size):
        raise InputError(f"A camera matrix has shape {matrix.shape}, not {size} x {size}.", "Capture again.")
    matrix.setflags(write=False)
    return matrix


def _matrix3(value: Any) -> Array:
    return _matrix(value, 3)


def _matrix4(value: Any) -> Array:
    return _matrix(value, 4)


@attrs.frozen(eq=False)
class Camera:
    """A pinhole camera without distortion.

    K: (3, 3) intrinsics in pixels. world_to_camera: (4, 4) rigid transform, OpenCV axes. width, height: pixels.
    """

    K: Array = attrs.field(converter=_matrix3)
    world_to_camera: Array = attrs.field(converter=_matrix4)
    width: int = attrs.field(converter=int)
    height: int = attrs.field(converter=int)

    @property
    def rotation(self) -> Array:
        """(3, 3) world to camera."""
        return self.world_to_camera[:3, :3]

    @property
    def translation(self) -> Array:
        """(3,) of world_to_camera."""
        return self.world_to_camera[:3, 3]

    @property
    def position(self) -> Array:
        """(3,) camera centre in the world."""
        return -self.rotation.T @ self.translation

    @property
    def forward(self) -> Array:
        """(3,) unit viewing direction in the world."""
        return self.rotation[2].copy()

    def is_finite(self) -> bool:
        """False if any number of K or world_to_camera is NaN or infinite."""
        return bool(np.isfinite(self.K).all() and np.isfinite(self.world_to_camera).all())

    def to_camera(self, points: Array) -> Array:  # (N, 3) world -> (N, 3)
        """World points in camera axes, metres."""
        return np.asarray(points, np.float64) @ self.rotation.T + self.translation

    def project(self, points: Array) -> tuple[Array, Array]:  # (N, 3)
        """World points to pixels: uv (N, 2) with centres at +0.5, planar depth (N,) in metres (<= 0: behind)."""
        local = self.to_camera(points)
        depth = local[:, 2]
        safe = np.where(np.abs(depth) < 1e-12, 1e-12, depth)
        homogeneous = local @ self.K.T
        return homogeneous[:, :2] / safe[:, None], depth

    def unproject(self, uv: Array, depth: Array) -> Array:  # (N, 2) pixels, (N,) planar depth
        """Pixels with planar depth back to world points (N, 3)."""
        uv = np.asarray(uv, np.float64)
        depth = np.asarray(depth, np.float64)
        ones = np.ones((len(uv), 1))
        rays = np.concatenate([uv, ones], axis=1) @ np.linalg.inv(self.K).T
        return np.asarray((rays * depth[:, None] - self.translation) @ self.rotation, np.float64)

    def pixel_centres(self) -> Array:
        """(H*W, 2) pixel centres, row by row."""
        x, y = np.meshgrid(np.arange(self.width) + 0.5, np.arange(self.height) + 0.5)
        return np.stack([x.ravel(), y.ravel()], axis=1)

    def scaled(self, factor: float) -> Camera:
        """The same view at `factor` times the resolution, each side of a pixel at least."""
        width, height = max(1, round(self.width * factor)), max(1, round(self.height * factor))
        K = self.K.copy()
        K[0] *= width / self.width
        K[1] *= height / self.height
        return Camera(K, self.world_to_camera, width, height)

    def in_splat_frame(self) -> Camera:
        """The same camera seen from the y-down world of splat files instead of Blender's."""
        splat_to_blender = np.eye(4)
        splat_to_blender[:3, :3] = SPLAT_FROM_BLENDER.T
        return Camera(self.K, self.world_to_camera @ splat_to_blender, self.width, self.height)

    def opengl_camera_to_world(self) -> Array:
        """(4, 4) as nerfstudio's `transform_matrix` and Blender's `matrix_world` have it."""
        return np.linalg.inv(self.world_to_camera) @ OPENGL_FROM_OPENCV

    @property
    def horizontal_field_of_view(self) -> float:
        """Radians."""
        return float(2 * np.arctan(self.width / (2 * self.K[0, 0])))


def world_to_camera_from_opengl(camera_to_world: Array) -> Array:  # (4, 4)
    """Blender's `matrix_world` (or nerfstudio's `transform_matrix`), possibly scaled, to an OpenCV world_to_camera."""
    matrix = np.array(camera_to_world, dtype=np.float64)
    scale = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or (scale < 1e-9).any():
        raise InputError("A camera's matrix is not usable (NaN or zero scale).", "Clear the camera's scale.")
    matrix[:3, :3] /= scale
    return np.linalg.inv(matrix @ OPENGL_FROM_OPENCV)


world_to_camera_from_blender = world_to_camera_from_opengl


def blender_matrix_from_world_to_camera(world_to_camera: Array) -> Array:  # (4, 4)
    """The `matrix_world` that puts a Blender camera where an OpenCV `world_to_camera` is."""
    return np.linalg.inv(np.asarray(world_to_camera, np.float64)) @ OPENGL_FROM_OPENCV


def intrinsics_from_blender(
    lens_mm: float,
    sensor_width: float,
    sensor_height: float,
    sensor_fit: str,
    shift_x: float,
    shift_y: float,
    width: int,
    height: int,
    pixel_aspect_x: float = 1.0,
    pixel_aspect_y: float = 1.0,
) -> Array:
    """K (3, 3) in pixels of a Blender perspective camera.

    `sensor_fit` is AUTO, HORIZONTAL or VERTICAL: AUTO relates the lens to the larger image side and always uses the
    sensor's width. A pixel is pixel_aspect_x wide and pixel_aspect_y high; only their ratio counts, and the picture's
    sides are compared in these units. Checked against Object.calc_matrix_camera in 240 cases.
    """
    tall = pixel_aspect_y / pixel_aspect_x  # a pixel's height in its width
    span = {"AUTO": max(width, height * tall), "HORIZONTAL": width, "VERTICAL": height * tall}[sensor_fit]
    focal = lens_mm / (sensor_height if sensor_fit == "VERTICAL" else sensor_width) * span
    return np.array(
        [
            [focal, 0.0, width / 2 - shift_x * span],
            [0.0, focal / tall, height / 2 + shift_y * span / tall],
            [0.0, 0.0, 1.0],
        ]
    )


def look_at(position: Array, target: Array, up: Array, K: Array, width: int, height: int) -> Camera:
    """A camera at `position` (3,) looking at `target` (3,) with `up` (3,) pointing up in the picture.

    Raises InputError if position and target coincide or the view is parallel to `up`.
    """
    position = np.asarray(position, np.float64)
    forward = np.asarray(target, np.float64) - position
    right = np.cross(forward, np.asarray(up, np.float64))
    if np.linalg.norm(right) < 1e-9:
        raise InputError("A camera looks straight along its up direction.", "Move the camera or its target.")
    forward /= np.linalg.norm(forward)
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    world_to_camera = np.eye(4)
    world_to_camera[:3, :3] = rotation
    world_to_camera[:3, 3] = -rotation @ position
    return Camera(K, world_to_camera, width, height)
