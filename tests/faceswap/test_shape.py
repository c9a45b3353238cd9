# SPDX-License-Identifier: Apache-2.0
"""The performer's shape: from photos to offsets, onto posed meshes, into rendered views."""

from pathlib import Path

import attrs
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from backend.evaluation.metrics import psnr
from backend.evaluation.silhouette import mesh_silhouette, performers_shape, silhouette_iou
from backend.faceswap import swap as swap_stage
from backend.faceswap.registration import register
from backend.faceswap.settings import SwapSettings
from backend.faceswap.shape import identity_shape, moved_mesh, reshape_view
from backend.faceswap.source import Photo
from backend.faceswap.swap import swap
from backend.kernels.mesh_rasterization import rasterize
from interchange.capture import Bone, Capture
from interchange.colour import linear_from_srgb
from interchange.errors import Cancelled, InputError

from .synthetic import TODAY, Light, dome_camera, head, paint, render, write_capture, write_source

LIGHT = Light()


def _photos(azimuths, noise_px=0.0, identity="B"):
    """Photos of 400 pixels; only their landmarks count here."""
    mesh, photos = head(identity), []
    for number, azimuth in enumerate(azimuths):
        points = dome_camera(azimuth, 2.0, 400, 0.8).project(mesh.vertices[mesh.landmarks])[0]
        points = points + np.random.default_rng(number).normal(0, noise_px, points.shape)
        image = np.zeros((400, 400, 3), np.float32)
        photos.append(Photo(Path(f"{azimuth}.png"), image, None, dict(enumerate(map(tuple, points))), False))
    return photos


def _error_mm(target, performer, offset):
    moved = target.rest_vertices + offset
    inside = target.region_face > 0.5
    return 1e3 * np.linalg.norm(moved - performers_shape(target, performer, moved), axis=1)[inside].mean()


def _solved(azimuths, noise_px=0.0):
    target = head("A")
    photos = _photos(azimuths, noise_px)
    return target, identity_shape(target, photos, [register(target, photo) for photo in photos])


def test_one_photo_moves_the_face_towards_the_performers():
    target, shape = _solved([0])
    assert _error_mm(target, head("B"), shape.offset) < 0.8 * _error_mm(target, head("B"), 0 * shape.offset)
    assert shape.photos == 1 and shape.landmarks >= 60 and shape.residual_px < 4


def test_photos_from_the_side_add_depth():
    target, one = _solved([0])
    _, three = _solved([0, 40, -40])
    assert _error_mm(target, head("B"), three.offset) < 0.8 * _error_mm(target, head("B"), one.offset)


def test_noise_of_two_pixels_leaves_most_of_the_gain():
    target, noisy = _solved([0, 40, -40], noise_px=2)
    assert _error_mm(target, head("B"), noisy.offset) < 0.6 * _error_mm(target, head("B"), 0 * noisy.offset)


def test_ones_own_photo_moves_nothing():
    target, photos = head("B"), _photos([0])
    shape = identity_shape(target, photos, [register(target, photo) for photo in photos])
    assert shape.largest_mm < 0.5


def test_landmarks_that_form_no_face_are_refused():
    target = head("A")
    photo = _photos([0])[0]
    fit = register(target, photo)
    elsewhere = {i: (x * 8, y * 0.1) for i, (x, y) in photo.landmarks.items()}
    with pytest.raises(InputError, match="together"):
        identity_shape(target, [attrs.evolve(photo, landmarks=elsewhere)], [attrs.evolve(fit, face_size=1e-3)])


def test_an_offset_turns_with_its_bone_and_leaves_the_expression():
    mesh = head("A", mouth_open=1.0)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("z", 40, degrees=True).as_matrix()
    weights = np.zeros((len(mesh.vertices), 4))
    weights[:, 0] = 1
    expression = mesh.vertices - mesh.rest_vertices
    posed = attrs.evolve(
        mesh, vertices=mesh.vertices @ turn[:3, :3].T, normals=mesh.normals @ turn[:3, :3].T, bone_weight=weights
    )
    bones = [Bone("head", None, np.eye(4).tolist(), turn.tolist())]
    offset = np.zeros_like(mesh.vertices)
    offset[: len(offset) // 2] = [0.0, -0.004, 0.001]
    moved = moved_mesh(posed, offset, bones)
    back = moved.vertices @ turn[:3, :3]  # into the bone's own axes
    np.testing.assert_allclose(back - moved.rest_vertices, expression, atol=2e-6)
    still = (offset == 0).all(1)
    assert np.array_equal(moved.vertices[still], posed.vertices[still])
    assert np.array_equal(moved.normals[still], posed.normals[still])


def test_what_no_bone_holds_turns_with_the_rest():
    mesh = head("A")
    turn = Rotation.from_euler("xz", [10, 30], degrees=True).as_matrix()
    posed = attrs.evolve(mesh, vertices=mesh.vertices @ turn.T, normals=mesh.normals @ turn.T)
    offset = np.tile([0.0, -0.002, 0.0], (len(mesh.vertices), 1))
    np.testing.assert_allclose(moved_mesh(posed, offset, []).vertices, posed.vertices + offset @ turn.T, atol=1e-6)


@pytest.fixture(scope="module")
def moved_pair():
    """The target and the same with the performer's shape."""
    mesh, performer = head("A"), head("B")
    offset = performers_shape(mesh, performer, mesh.rest_vertices) - mesh.rest_vertices
    return mesh, moved_mesh(mesh, offset, [])


@pytest.mark.parametrize("azimuth", [0, 35, -80])
def test_a_reshaped_view_is_like_a_rendered_one(moved_pair, azimuth):
    mesh, moved = moved_pair
    skin = linear_from_srgb(paint("A"))
    camera = dome_camera(azimuth, 5, 160)
    before, truth = (render(m, skin, camera, LIGHT) for m in (mesh, moved))
    made = reshape_view(before, mesh, moved, camera)
    face = truth.masks["face"] > 0.5
    untouched = psnr(before.display()[face], truth.display()[face])
    reshaped = psnr(made.display()[face], truth.display()[face])
    assert reshaped > 30 and reshaped > untouched + 3
    assert np.abs(made.alpha - truth.alpha).mean() < 0.3 * np.abs(before.alpha - truth.alpha).mean()
    both = (made.depth > 0) & (truth.depth > 0)
    assert np.abs(made.depth - truth.depth)[both].mean() < 5e-4
    assert all(np.isfinite(getattr(made, name)).all() for name in ("rgb", "alpha", "albedo", "light", "normal", "uv"))


def test_pixels_whose_surface_stays_keep_every_bit(moved_pair):
    mesh, moved = moved_pair
    camera = dome_camera(150, 0, 120)  # the back of the head
    images = render(mesh, linear_from_srgb(paint("A")), camera, LIGHT)
    made = reshape_view(images, mesh, moved, camera)
    way = camera.project(moved.vertices)[0] - camera.project(mesh.vertices)[0]
    raster = rasterize(moved.vertices, moved.faces, camera)
    still = raster.covered & (np.linalg.norm(way, axis=1)[moved.faces].max(1)[raster.face] < 1e-4)
    assert still.mean() > 0.02
    assert np.array_equal(made.rgb[still], images.rgb[still])
    assert reshape_view(images, mesh, mesh, camera) is images


def _overlap(mesh, truth, camera):
    """Intersection over union of two heads' outlines."""
    return silhouette_iou(*(mesh_silhouette(m.vertices, m.faces[m.face_object == 0], camera) for m in (mesh, truth)))


def test_a_swap_with_shape_moves_mesh_views_and_outline(tmp_path):
    capture = write_capture(tmp_path / "capture", views=(-60, 0, 60))
    source = write_source(tmp_path / "source")
    result = swap(tmp_path / "capture", source, tmp_path / "out", SwapSettings(shape=1.0, engine="cpu"), today=TODAY)
    assert result.report["shape"]["photos"] == 1 and result.report["shape"]["largest_mm"] > 1
    swapped = Capture.load(tmp_path / "out")
    old, new = capture.load_mesh(), swapped.load_mesh()
    assert np.abs(new.vertices - old.vertices).max() > 1e-3 and np.array_equal(new.faces, old.faces)
    truth = attrs.evolve(new, vertices=performers_shape(old, head("B"), new.rest_vertices))
    cameras = [view.camera for view in swapped.views]
    outlines = [np.mean([_overlap(mesh, truth, camera) for camera in cameras]) for mesh in (old, new)]
    assert outlines[1] > 0.97 and outlines[1] > outlines[0], outlines
    for view in swapped.views:
        covered = rasterize(new.vertices, new.faces, view.camera).covered
        assert ((swapped.load_view(view).depth > 0) != covered).mean() < 0.01
    with np.load(tmp_path / "out" / "identity_offset.npz") as stored:
        assert stored["first_vertex"].tolist()[0] == 0 and stored["first_vertex"][-1] == len(old.vertices)
        np.testing.assert_allclose(stored["offset"], new.rest_vertices - old.rest_vertices, atol=1e-6)
    again = swap(tmp_path / "capture", source, tmp_path / "out", SwapSettings(engine="cpu"), today=TODAY)
    assert again.rendered and not (tmp_path / "out" / "identity_offset.npz").exists()
    assert again.report["shape"] is None


def test_a_view_is_left_between_its_steps_when_told(tmp_path, monkeypatch):
    write_capture(tmp_path / "capture", views=(0, 60))
    source, out, told = write_source(tmp_path / "source"), tmp_path / "out", []

    def reshaped(*arguments):
        told.append("stop")
        return reshape_view(*arguments)

    monkeypatch.setattr(swap_stage, "reshape_view", reshaped)
    settings = SwapSettings(shape=0.5, threads=1, engine="cpu")
    with pytest.raises(Cancelled):
        swap(tmp_path / "capture", source, out, settings, cancelled=lambda: bool(told), today=TODAY)
    assert told == ["stop"] and not list((out / "views").iterdir()) and not list((out / "previews").iterdir())
    monkeypatch.undo()
    seen = []
    swap(tmp_path / "capture", source, out, settings, lambda *step: seen.append(step), today=TODAY)
    assert [step[2] for step in seen if step[0] == "views"] == ["1 of 2 views", "2 of 2 views"]
    assert swap(tmp_path / "capture", source, out, settings, today=TODAY).rendered == ()
