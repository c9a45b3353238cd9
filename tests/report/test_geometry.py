# SPDX-License-Identifier: Apache-2.0
"""Where cameras stand around the face, which views are shown, how the turntable moves; crops and error maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend.report import geometry, pictures
from interchange.capture import Bone, Capture, Pose, View
from tests.evaluation import scene

PLACE = geometry.Stage(scene.CENTRE, np.array([0.0, -1.0, 0.0]), np.zeros((0, 3)))


def views(azimuths: list[float], split: str = "train") -> list[View]:
    return [View(f"v{i:02d}", split, "rest", scene.camera(a, 5), "", "") for i, a in enumerate(azimuths)]


def test_azimuth_and_elevation() -> None:
    for azimuth, elevation in ((0, 0), (30, 10), (-120, -20), (179, 0)):
        camera = scene.camera(azimuth, elevation)
        assert PLACE.azimuth(camera) == pytest.approx(azimuth, abs=1e-6)
        assert PLACE.elevation(camera) == pytest.approx(elevation, abs=1e-6)
        stood = PLACE.centre + 0.8 * PLACE.direction(azimuth, elevation)
        np.testing.assert_allclose(stood, camera.position, atol=1e-9)


def test_face_turns_with_the_head_bone() -> None:
    rest = np.eye(4)
    quarter = np.array([[0, -1, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])  # -Y becomes +X
    pose = Pose("turned", "", bones=[Bone("head", None, rest.tolist(), (quarter @ rest).tolist())])
    np.testing.assert_allclose(geometry.facing(pose), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(geometry.facing(Pose("rest", "")), [0, -1, 0])


def test_shown_views_start_in_front_are_spread_and_show_the_face() -> None:
    azimuths = [-60.0, -58.0, -20.0, 3.0, 5.0, 40.0, 80.0, 170.0]
    shown = [round(PLACE.azimuth(v.camera)) for v in geometry.spread_views(views(azimuths), PLACE, 4)]
    assert shown == sorted(shown) and 170 not in shown
    assert {3, 80, -60} <= set(shown) and len(shown) == 4
    behind = geometry.spread_views(views([150.0, 180.0]), PLACE, 4)
    assert len(behind) == 2


def test_turntable_goes_round_where_cameras_surround_the_head_else_swings() -> None:
    around = Capture(Path("x"), views=views(list(range(-180, 180, 40))))
    path = [PLACE.azimuth(c) % 360 for c in geometry.turntable_cameras(around, PLACE, 36, 100)]
    np.testing.assert_allclose(np.diff(path), 10, atol=1e-6)
    front = Capture(Path("x"), views=views([-50.0, -20.0, 0.0, 20.0, 50.0]))
    cameras = geometry.turntable_cameras(front, PLACE, 36, 100)
    swing = np.array([PLACE.azimuth(c) for c in cameras])
    assert 40 < swing.max() <= 50 and swing.min() == pytest.approx(-swing.max())
    assert all((c.width, c.height) == (100, 100) for c in cameras)
    uv, depth = cameras[5].project(scene.CENTRE[None])
    np.testing.assert_allclose(uv, [[50, 50]], atol=1e-6)
    assert depth[0] == pytest.approx(0.8)
    np.testing.assert_allclose(cameras[0].K[0, 0], 3.2 * 100)


def test_head_box_is_square_inside_and_around_the_face() -> None:
    alpha = np.zeros((100, 160))
    alpha[20:100, 60:110] = 1
    face = np.zeros_like(alpha)
    face[30:60, 70:90] = 1
    left, top, right, bottom = pictures.head_box(face, alpha)
    assert right - left == bottom - top == 57  # 1.15 x the 50 px of silhouette beside the face
    assert left <= 60 and right >= 110 and top <= 30 and bottom >= 60
    assert pictures.head_box(None, np.zeros((40, 60)))[3] == 40
    assert pictures.head_box(face * 0, alpha) == pictures.head_box(None, alpha)


def test_error_scale_and_colours() -> None:
    levels = np.zeros((10, 10), np.float32)
    assert pictures.error_scale([levels]) == 4
    levels[:5] = 20
    assert pictures.error_scale([levels]) == 32
    colours = pictures.error_picture(levels, 32)
    assert colours.shape == (10, 10, 3) and colours[9, 9].sum() < 20 < colours[0, 0].sum()
    assert pictures.error_gradient().startswith("linear-gradient(90deg,#000003")


def test_large_pictures_are_scaled_down_for_the_page() -> None:
    noise = np.random.default_rng(0).random((600, 300, 3)).astype(np.float32)
    assert len(pictures.data_uri(noise, lossless=True, longest=96)) < 96 * 96 * 3 * 4 / 3
    assert len(pictures.data_uri(noise, lossless=True)) > 600 * 300 * 3


def test_curves_without_psnr_are_the_loss_alone() -> None:
    from backend.report.plots import training_curves

    curves = {"iteration": [0.0, 1.0], "loss": [0.2, 0.1], "psnr": [np.nan, np.nan]}
    assert len(training_curves(curves)) == 1
    assert len(training_curves(curves | {"psnr": [20.0, np.nan]})) == 2
