# SPDX-License-Identifier: Apache-2.0
"""Camera conventions: projection, frames, Blender and nerfstudio conversions."""

from __future__ import annotations

import numpy as np
import pytest

from interchange.cameras import (
    SPLAT_FROM_BLENDER,
    Camera,
    blender_matrix_from_world_to_camera,
    intrinsics_from_blender,
    look_at,
    world_to_camera_from_blender,
)
from interchange.errors import InputError

K = intrinsics_from_blender(50, 36, 24, "AUTO", 0, 0, 320, 240)


def test_a_camera_in_front_of_the_face_sees_left_right_and_up_where_they_are() -> None:
    camera = look_at([0, -2, 0], [0, 0, 0], [0, 0, 1], K, 320, 240)  # Blender: the face looks along -y
    uv, depth = camera.project(np.array([[0, 0, 0], [0.1, 0, 0], [0, 0, 0.1]]))
    np.testing.assert_allclose(uv[0], [160, 120])
    assert uv[1, 0] > 160 and uv[2, 1] < 120  # +x is the picture's right, +z is up
    np.testing.assert_allclose(depth, 2)
    np.testing.assert_allclose(camera.position, [0, -2, 0], atol=1e-12)
    np.testing.assert_allclose(camera.forward, [0, 1, 0], atol=1e-12)


def test_unproject_inverts_project() -> None:
    rng = np.random.default_rng(0)
    camera = look_at([0.4, -2, 0.3], [0, 0, 0.1], [0, 0, 1], K, 320, 240)
    points = rng.normal(size=(50, 3)) * 0.3
    np.testing.assert_allclose(camera.unproject(*camera.project(points)), points, atol=1e-12)


def test_blender_matrix_round_trip_ignores_scale() -> None:
    camera = look_at([0.4, -2, 0.3], [0, 0, 0.1], [0, 0, 1], K, 320, 240)
    matrix = blender_matrix_from_world_to_camera(camera.world_to_camera)
    scaled = matrix @ np.diag([2, 2, 2, 1])
    np.testing.assert_allclose(world_to_camera_from_blender(scaled), camera.world_to_camera, atol=1e-12)
    np.testing.assert_allclose(matrix, camera.opengl_camera_to_world(), atol=1e-12)
    with pytest.raises(InputError):
        world_to_camera_from_blender(np.zeros((4, 4)))


def test_portrait_auto_fit_uses_the_larger_side() -> None:
    portrait = intrinsics_from_blender(50, 36, 24, "AUTO", 0, 0, 480, 640)
    np.testing.assert_allclose(portrait[0, 0], 888.8889, rtol=1e-6)
    vertical = intrinsics_from_blender(50, 36, 24, "VERTICAL", 0.1, 0.2, 480, 640)
    np.testing.assert_allclose(vertical[:2, 2], [240 - 64, 320 + 128])


def test_pixels_that_are_not_square_have_two_focal_lengths() -> None:
    """Blender's own projection is the judge in tests/blender_addon/test_projection.py; here what the formula means."""
    K = intrinsics_from_blender(50, 36, 24, "AUTO", 0.1, 0.2, 400, 300, 1.0, 2.0)
    assert K[1, 1] == pytest.approx(K[0, 0] / 2)  # a pixel twice as high holds twice the angle
    assert K[0, 0] == pytest.approx(50 / 36 * 600)  # 300 pixels of height 2 are the longer side
    assert K[0, 2] == pytest.approx(200 - 0.1 * 600) and K[1, 2] == pytest.approx(150 + 0.2 * 300)


def test_the_splat_frame_sees_the_same_picture() -> None:
    camera = look_at([0.4, -2, 0.3], [0, 0, 0.1], [0, 0, 1], K, 320, 240)
    points = np.random.default_rng(1).normal(size=(20, 3)) * 0.3
    uv, depth = camera.project(points)
    uv_splat, depth_splat = camera.in_splat_frame().project(points @ SPLAT_FROM_BLENDER.T)
    np.testing.assert_allclose(uv_splat, uv)
    np.testing.assert_allclose(depth_splat, depth)
    assert np.linalg.det(SPLAT_FROM_BLENDER) == pytest.approx(1)
    np.testing.assert_array_equal(SPLAT_FROM_BLENDER @ [0, 0, 1], [0, -1, 0])  # Blender's up is y down's up


def test_scaled_keeps_the_frustum() -> None:
    camera = look_at([0, -2, 0], [0, 0, 0], [0, 0, 1], K, 320, 240)
    half = camera.scaled(0.5)
    point = np.array([[0.2, 0.1, -0.1]])
    np.testing.assert_allclose(half.project(point)[0], camera.project(point)[0] / 2)
    assert half.horizontal_field_of_view == pytest.approx(camera.horizontal_field_of_view)


def test_look_at_refuses_a_parallel_up() -> None:
    with pytest.raises(InputError):
        look_at([0, 0, 2], [0, 0, 0], [0, 0, 1], K, 320, 240)


def test_wrong_shapes_and_nan() -> None:
    with pytest.raises(InputError):
        Camera(np.eye(4), np.eye(4), 3, 3)
    assert not Camera(np.full((3, 3), np.nan), np.eye(4), 3, 3).is_finite()


def test_a_narrow_picture_keeps_a_pixel_when_scaled_down() -> None:
    small = Camera([[100, 0, 1000], [0, 100, 1.5], [0, 0, 1]], np.eye(4), 2000, 3).scaled(0.1)
    assert (small.width, small.height) == (200, 1)
    assert small.K[1, 2] == 0.5 and small.K[0, 2] == 100
