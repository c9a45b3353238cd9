# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.registration import register
from backend.faceswap.source import Photo
from interchange.cameras import Camera
from interchange.errors import InputError
from interchange.mesh import Mesh

from .synthetic import dome_camera, head

FIVE = (36, 45, 30, 48, 54)
SIZE = 400


def photo_of(mesh: Mesh, camera: Camera, ids: tuple = tuple(range(68)), noise: float = 0.0) -> Photo:
    points = camera.project(mesh.vertices[mesh.landmarks])[0]
    points = points + np.random.default_rng(3).normal(0, noise, points.shape)
    listed = {i: (float(points[i, 0]), float(points[i, 1])) for i in ids}
    return Photo(Path("portrait.png"), np.zeros((camera.height, camera.width, 3), np.float32), None, listed, False)


@pytest.mark.parametrize(("azimuth", "elevation"), [(0, 0), (25, 10), (-50, -15), (70, 0)])
def test_the_camera_of_the_same_head_is_found(azimuth: float, elevation: float) -> None:
    mesh, camera = head("A"), dome_camera(azimuth, elevation, SIZE)
    found = register(mesh, photo_of(mesh, camera))
    assert found.final_rms < 1e-2
    seen = camera.project(mesh.rest_vertices)[0]
    again = found.camera.project(found.vertices)[0]
    front = mesh.region_face > 0.5
    assert np.sqrt(((again - seen)[front] ** 2).sum(1).mean()) < 0.01 * found.face_size
    assert abs(found.yaw + azimuth) < 6  # seen from its left, a face is turned to its right
    assert 0.75 < found.camera.K[0, 0] / camera.K[0, 0] < 1.35


@pytest.mark.parametrize("ids", [tuple(range(68)), tuple(range(17, 68)), FIVE])
def test_landmarks_of_another_head_are_hit_exactly(ids: tuple) -> None:
    target, other = head("A"), head("B")
    photo = photo_of(other, dome_camera(20, 5, SIZE), ids)
    found = register(target, photo, smoothing=0.0)
    assert found.final_rms < 1e-6 < found.rigid_rms
    projected = found.camera.project(found.vertices[target.landmarks[list(ids)]])[0]
    assert_allclose(projected, [photo.landmarks[i] for i in ids], atol=1e-5)


def test_more_landmarks_bring_the_rest_of_the_face_closer() -> None:
    target, other, camera = head("A"), head("B"), dome_camera(0, 0, SIZE)
    front = (target.region_face > 0.9) & (target.normals @ -camera.forward > 0.5)
    truth = camera.project(other.vertices)[0][front]

    def error(ids: tuple) -> float:
        found = register(target, photo_of(other, camera, ids))
        return float(np.sqrt(((found.camera.project(found.vertices)[0][front] - truth) ** 2).sum(1).mean()))

    assert error(tuple(range(68))) < 0.5 * error(FIVE)
    assert error(tuple(range(68))) < 4


def test_vertices_move_in_the_picture_only() -> None:
    target = head("A")
    found = register(target, photo_of(head("B"), dome_camera(30, 0, SIZE)))
    moved = found.vertices - target.rest_vertices
    assert np.abs(moved @ found.camera.forward).max() < 1e-9
    assert np.abs(moved).max() > 1e-3


def test_smoothing_trusts_noisy_landmarks_less() -> None:
    mesh = head("A")
    photo = photo_of(mesh, dome_camera(0, 0, SIZE), noise=3.0)
    exact, smooth, chosen = (register(mesh, photo, smoothing=s) for s in (0.0, 1.0, None))
    assert exact.final_rms < 1e-6 < smooth.final_rms < smooth.rigid_rms
    assert exact.smoothing == 0 and chosen.smoothing >= 0.1


def test_exact_landmarks_are_trusted() -> None:
    found = register(head("A"), photo_of(head("B"), dome_camera(0, 0, SIZE)))
    assert found.smoothing <= 0.03 and found.final_rms < 0.005 * found.face_size


def test_the_posed_mouth_does_not_matter() -> None:
    closed, opened = head("A"), head("A", mouth_open=1.0)
    photo = photo_of(closed, dome_camera(0, 0, SIZE))
    assert_allclose(register(closed, photo).vertices, register(opened, photo).vertices)


def changed(photo: Photo, landmarks: dict[int, tuple[float, float]]) -> Photo:
    return Photo(photo.path, photo.image, photo.alpha, landmarks, photo.grey)


@pytest.mark.parametrize("azimuth", [0, 40, -40])
@pytest.mark.parametrize("ids", [tuple(range(68)), FIVE])
def test_a_mirrored_photo_is_refused(azimuth: float, ids: tuple) -> None:
    mesh = head("A")
    photo = photo_of(mesh, dome_camera(azimuth, 0, SIZE), ids)
    flipped = {i: (SIZE - x, y) for i, (x, y) in photo.landmarks.items()}
    with pytest.raises(InputError, match="mirrored"):
        register(mesh, changed(photo, flipped))


def test_swapped_landmarks_are_named() -> None:
    mesh = head("A")
    photo = photo_of(mesh, dome_camera(0, 0, SIZE))
    swapped = dict(photo.landmarks)
    swapped[36], swapped[54] = swapped[54], swapped[36]
    with pytest.raises(InputError, match="landmark 36, 54 does not lie"):
        register(mesh, changed(photo, swapped))


def test_points_that_form_no_face_are_refused() -> None:
    mesh = head("A")
    photo = photo_of(mesh, dome_camera(0, 0, SIZE))
    points = np.random.default_rng(1).uniform(20, SIZE - 20, (68, 2))
    with pytest.raises(InputError):
        register(mesh, changed(photo, {i: (float(x), float(y)) for i, (x, y) in enumerate(points)}))


def test_landmarks_in_one_spot_or_too_few_are_refused() -> None:
    mesh = head("A")
    photo = photo_of(mesh, dome_camera(0, 0, SIZE))
    with pytest.raises(InputError, match="span only"):
        register(mesh, changed(photo, {i: (200.0, 200.0 + i / 10) for i in range(68)}))
    mesh.landmarks[:] = -1
    mesh.landmarks[:4] = [0, 1, 2, 3]
    with pytest.raises(InputError, match="share 4 landmarks"):
        register(mesh, photo)


def test_an_avatar_with_all_landmarks_in_one_place_is_refused() -> None:
    mesh, camera = head("A"), dome_camera(0, 0, SIZE)
    photo = photo_of(mesh, camera)
    mesh.landmarks[:] = mesh.landmarks[30]
    with pytest.raises(InputError):
        register(mesh, photo)
