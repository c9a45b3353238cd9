# SPDX-License-Identifier: Apache-2.0
"""Reading and checking the pictures of a fit."""

import attrs
import numpy as np
import pytest

from backend.fitting.dataset import check_cameras_see, load_dataset
from interchange.cameras import SPLAT_FROM_BLENDER, Camera
from interchange.capture import Capture, ViewImages, write_view
from interchange.errors import Cancelled, InputError

from .scene import CENTRE, ball_camera, make_capture, trace


@pytest.fixture
def capture(tmp_path):
    return make_capture(tmp_path / "capture", train=3, held_out=1, size=32)


def rewrite(capture, index, change):
    """Change one view's pictures on disk."""
    view = capture.views[index]
    images = capture.load_view(view)
    change(images)
    write_view(capture.folder / view.exr, images)


def test_views_are_display_referred_and_in_the_splat_frame(capture):
    dataset = load_dataset(Capture.load(capture.folder))
    assert [v.name for v in dataset.train] == ["train_00", "train_01", "train_02"]
    assert [v.name for v in dataset.held_out] == ["held_out_03"]
    view, source = dataset.train[0], capture.views[0]
    assert np.array_equal(view.rgb, capture.load_view(source).display())
    uv, _ = view.camera.project((CENTRE @ SPLAT_FROM_BLENDER.T)[None])
    assert np.allclose(uv, source.camera.project(CENTRE[None])[0], atol=1e-9)
    assert view.face is None and dataset.held_out[0].face.max() == 1
    assert dataset.notes == []


def test_digest_follows_the_inputs(capture):
    first = load_dataset(capture).digest
    assert load_dataset(Capture.load(capture.folder)).digest == first
    rewrite(capture, 1, lambda images: images.rgb.__imul__(0.5))
    assert load_dataset(capture).digest != first


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_pixels_are_refused(capture, value):
    def spoil(images: ViewImages) -> None:
        images.rgb[3, 4, 1] = value

    rewrite(capture, 1, spoil)
    with pytest.raises(InputError, match="train_01.*NaN or infinite pixels"):
        load_dataset(capture)


def test_broken_cameras_are_refused(capture):
    matrix = capture.views[2].camera.world_to_camera.copy()
    matrix[0, 3] = np.nan
    camera = capture.views[2].camera
    capture.views[2] = attrs.evolve(capture.views[2], camera=Camera(camera.K, matrix, camera.width, camera.height))
    with pytest.raises(InputError, match="camera of view train_02.*NaN"):
        load_dataset(capture)
    flat = camera.K.copy()
    flat[0, 0] = 0
    capture.views[2] = attrs.evolve(capture.views[2], camera=attrs.evolve(camera, K=flat))
    with pytest.raises(InputError, match="focal length"):
        load_dataset(capture)


def test_no_training_view_is_refused(capture):
    capture.views = capture.held_out_views
    with pytest.raises(InputError, match="no training views"):
        load_dataset(capture)


def test_damaged_and_missing_pictures_are_refused(capture):
    path = capture.folder / capture.views[0].exr
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="damaged"):
        load_dataset(capture)
    path.unlink()
    with pytest.raises(InputError, match="missing"):
        load_dataset(capture)


def test_transparent_views(capture):
    def clear(images: ViewImages) -> None:
        images.rgb[:], images.alpha[:] = 0, 0

    rewrite(capture, 0, clear)
    dataset = load_dataset(capture)
    assert [v.name for v in dataset.train] == ["train_01", "train_02"]
    assert "1 of 3 training views show nothing" in dataset.notes[0]
    for index in (1, 2):
        rewrite(capture, index, clear)
    with pytest.raises(InputError, match="All 3 training pictures.*transparent"):
        load_dataset(capture)


def test_other_poses_are_left_out(capture):
    capture.views[1] = attrs.evolve(capture.views[1], pose="smile")
    dataset = load_dataset(capture)
    assert len(dataset.train) == 2 and "other than rest" in dataset.notes[0]


def test_cameras_that_miss(capture):
    dataset = load_dataset(capture)
    points = (CENTRE @ SPLAT_FROM_BLENDER.T)[None]
    check_cameras_see(points, dataset.train)
    away = ball_camera(0, 0, 32, target=CENTRE + [0, 0, 5])
    missing = [attrs.evolve(v, camera=away.in_splat_frame()) for v in dataset.train]
    with pytest.raises(InputError, match="None of the 3 training cameras"):
        check_cameras_see(points, missing)


def test_cancel_while_reading(capture):
    with pytest.raises(Cancelled):
        load_dataset(capture, cancelled=lambda: True)


def test_the_scene_is_what_it_claims():
    """The traced depth is the planar depth of points on the ball, so tests built on it mean something."""
    camera = ball_camera(0.3, 0.1, 32)
    images = trace(camera, samples=1)
    row, column = np.nonzero(images.depth > 0)
    points = camera.unproject(np.stack([column + 0.5, row + 0.5], axis=1), images.depth[row, column])
    assert np.allclose(np.linalg.norm(points - CENTRE, axis=1), 0.12, atol=1e-6)
