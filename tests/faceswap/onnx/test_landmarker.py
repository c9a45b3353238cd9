# SPDX-License-Identifier: Apache-2.0
"""Faces found anywhere in a photo, at any size, leaning; and what is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.faceswap.onnx import landmarker as lm
from backend.faceswap.onnx.face_crop import Box
from backend.faceswap.onnx.face_detector import FaceDetector
from backend.faceswap.onnx.landmark_networks import Choice, LandmarkNetworks, choose, find_in_photo, open_chosen
from backend.faceswap.onnx.landmarker import Found, find_landmarks
from backend.faceswap.onnx.models import ModelFolder
from backend.faceswap.onnx.session import find_runtime
from interchange.errors import Cancelled, InputError

from . import landmark_networks as nets

Find = Callable[..., Found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("landmarkers")
    nets.write_fan(path / nets.FAN)
    nets.write_fan(path / "scored.onnx", ("landmarks",))
    nets.write_fan(path / "broken.onnx", broken=True)
    nets.write_space(path / nets.SPACE)
    nets.write_space(path / nets.SPACE_RAW, raw=True)
    nets.write_yunet(path / nets.YUNET)
    return path


@pytest.fixture(scope="module")
def networks(folder: Path) -> Callable[..., LandmarkNetworks]:
    def opened(landmarker: str = nets.FAN, detector: str = "none") -> LandmarkNetworks:
        choice = Choice(landmarker, detector)
        return open_chosen(choose(ModelFolder(folder), choice), choice, find_runtime())

    return opened


def errors_of(found: Found, points: np.ndarray) -> np.ndarray:
    """How far off each point is, in pixels."""
    return np.array([np.hypot(*(np.array(place) - points[i])) for i, place in found.points.items()])


SCENES = {  # photo's size, face's middle, size, leaning
    "large": (340, 400, 170, 200, 260, 0),
    "off the middle": (400, 500, 150, 320, 240, 0),
    "fills the photo": (290, 260, 145, 130, 230, 0),
    "leaning": (400, 500, 210, 240, 250, 28),
    "leaning back": (500, 400, 340, 190, 230, -40),
    "a quarter of the height": (1000, 700, 740, 260, 175, 20),
    "a quarter, portrait": (700, 1000, 200, 250, 250, -8),
}


@pytest.mark.parametrize("network", [nets.FAN, nets.SPACE, nets.SPACE_RAW, "scored.onnx"])
@pytest.mark.parametrize("scene", SCENES)
def test_faces_are_found_without_a_detector(scene: str, network: str, networks: Find) -> None:
    width, height, x, y, size, angle = SCENES[scene]
    points = nets.face_points(x, y, size, angle)
    found = find_landmarks(nets.paint(width, height, points), networks(network).landmarker)
    assert len(found.points) == 68 and not found.warnings
    assert errors_of(found, points).max() < 1
    assert abs(np.degrees(found.crop.angle) - angle) < 2


def test_a_huge_photo_is_searched_in_small_and_looked_at_in_full(networks: Find) -> None:
    points = nets.face_points(1500, 1400, 1100, 10)
    image = nets.paint(2600, 3000, points)
    found = find_landmarks(image, networks().landmarker)
    assert len(found.points) == 68 and errors_of(found, points).max() < 1100 / 240  # as many shares of a face


def test_points_that_are_not_seen_are_left_out(networks: Find) -> None:
    points = nets.face_points(240, 300, 380)
    seen = range(17, 68)
    found = find_landmarks(nets.paint(480, 600, points, seen), networks().landmarker)
    assert set(found.points) == set(seen) and errors_of(found, points).max() < 1.5
    assert (found.scores[:17] < 0.01).all() and (found.scores[17:] > 0.2).all()
    found = find_landmarks(nets.paint(480, 600, points, seen), networks(nets.SPACE).landmarker)
    assert set(found.points) == set(seen)  # these stay on the photo when the crop is shifted, those move with it


@pytest.mark.parametrize("network", [nets.FAN, nets.SPACE])
def test_half_a_face_behind_a_hand(network: str, networks: Find) -> None:
    """What is left of it says where the whole is, and noise where nothing is seen does not unsettle that."""
    points = nets.face_points(210, 300, 380, 15)
    seen = [i for i in range(68) if nets.FACE[i, 0] > 0.05]
    photo = nets.paint(480, 600, points, seen)
    hidden = points[[i for i in range(68) if i not in seen]].max(axis=0)[0]
    photo[150:500, 20 : int(hidden) - 60] = np.random.default_rng(0).uniform(0.42, 0.58, (350, int(hidden) - 80, 1))
    found = find_landmarks(photo, networks(network).landmarker)
    assert set(found.points) == set(seen) and errors_of(found, points).max() < 1.5


@pytest.mark.parametrize("seed", range(3))
def test_a_face_among_things_that_look_like_parts_of_faces(seed: int, networks: Find) -> None:
    """Eighty more dots in the colours of the face's, around it: the crop goes where most points agree."""
    random = np.random.default_rng(seed)
    points = nets.face_points(370, 400, 330, -15)
    photo = nets.paint(700, 900, points)
    for _ in range(80):
        place = random.uniform(5, [695, 895])
        if np.hypot(*(place - [370, 400])) > 260:
            nets.dot(photo, place, random.uniform(2, 6), nets.COLOURS[random.integers(68)])
    found = find_landmarks(photo, networks().landmarker)
    errors = errors_of(found, points)
    assert len(errors) > 50 and np.median(errors) < 1 and (errors < 2).mean() > 0.95


def test_strays_are_left_out(networks: Find) -> None:
    points = nets.face_points(240, 300, 380)
    wrong = points.copy()
    wrong[8] = points[30] - [0, 170]  # the chin on the forehead
    found = find_landmarks(nets.paint(480, 600, wrong), networks().landmarker)
    assert set(found.points) == set(range(68)) - {8}


def test_points_outside_the_photo_are_left_out(networks: Find) -> None:
    points = nets.face_points(240, 300, 380) - [0, 240]
    found = find_landmarks(nets.paint(480, 600, points), networks().landmarker)
    inside = {i for i in range(68) if points[i, 1] > 8}
    assert inside <= set(found.points) and all(0 <= y <= 600 for _, y in found.points.values())
    assert not [i for i in found.points if points[i, 1] < -8]


def no_faces() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    points = nets.face_points(240, 300, 380)
    mirrored = points * [-1, 1] + [480, 0]
    return {
        "grey": np.full((300, 300, 3), 0.5, np.float32),
        "noise": random.uniform(0, 1, (300, 300, 3)).astype(np.float32),
        "four points": nets.paint(480, 600, points, range(28, 32)),
        "mirrored": nets.paint(480, 600, mirrored),
        "strewn": nets.paint(480, 600, random.uniform(60, 420, (68, 2))),
        "exchanged": nets.paint(480, 600, points[random.permutation(68)]),
    }


@pytest.mark.parametrize("network", [nets.FAN, nets.SPACE])
@pytest.mark.parametrize("photo", no_faces())
def test_no_face(photo: str, network: str, networks: Find) -> None:
    with pytest.raises(InputError, match=r"^No face was found in me\.png\.") as caught:
        find_landmarks(no_faces()[photo], networks(network).landmarker, name="me.png")
    assert "by hand" in caught.value.hint


def test_a_tiny_face_is_refused(networks: Find) -> None:
    image = nets.paint(160, 160, nets.face_points(80, 80, 20))
    box = [Box(65, 62, 30, 34)]
    with pytest.raises(InputError, match="(is only 2. pixels large|No face was found)"):
        find_landmarks(image, networks().landmarker, lambda _: box)


def test_a_network_that_gives_nan_is_refused(networks: Find) -> None:
    image = nets.paint(480, 600, nets.face_points(240, 300, 380))
    with pytest.raises(InputError, match=r"broken.onnx gives NaN or infinite numbers"):
        find_landmarks(image, networks("broken.onnx").landmarker)


def test_it_can_be_stopped(networks: Find) -> None:
    with pytest.raises(Cancelled):
        find_landmarks(np.full((300, 300, 3), 0.5, np.float32), networks().landmarker, cancelled=lambda: True)


def test_looks_are_few(networks: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    """A portrait is found at the first level; with a detector three looks do."""
    looks: list[int] = []
    original = lm.Landmarker.look
    monkeypatch.setattr(lm.Landmarker, "look", lambda self, *a: (looks.append(1), original(self, *a))[1])
    points = nets.face_points(240, 300, 380)
    image = nets.paint(480, 600, points)
    find_landmarks(image, networks().landmarker)
    assert len(looks) <= 7
    looks.clear()
    low, high = points.min(axis=0), points.max(axis=0)
    find_landmarks(image, networks().landmarker, lambda _: [Box(*low, *(high - low))])
    assert len(looks) <= 4


# --- the detector


def marked(photo: np.ndarray, at: tuple[float, float], mark: np.ndarray) -> np.ndarray:
    nets.dot(photo, np.array(at), 7, mark)
    return photo


def test_boxes_of_a_detector(folder: Path) -> None:
    detector = FaceDetector(ModelFolder(folder).file(nets.YUNET))
    photo = marked(np.full((500, 640, 3), nets.GREY, np.float32), (452.0, 300.0), nets.SMALL_MARK)
    boxes = detector(photo)
    assert len(boxes) == 1 and boxes[0].score > 0.9
    middle = np.array([boxes[0].left + boxes[0].width / 2, boxes[0].top + boxes[0].height / 2])
    assert np.abs(middle - [452, 300]).max() <= 8 and np.hypot(boxes[0].width - 160, boxes[0].height - 160) < 1
    twice = detector(photo.repeat(2, axis=0).repeat(2, axis=1))  # looked at in small: boxes are the photo's own
    assert len(twice) == 1 and abs(twice[0].width - 320) < 2 and abs(twice[0].left - 2 * boxes[0].left) < 4
    assert detector(np.full((500, 640, 3), nets.GREY, np.float32)) == []


def test_the_largest_of_two_faces_is_taken_and_said(networks: Find, tmp_path: Path) -> None:
    points = nets.face_points(620, 360, 300)
    photo = nets.paint(900, 700, points)
    other = nets.face_points(170, 250, 150)
    for index in range(68):
        nets.dot(photo, other[index], 2, nets.COLOURS[index])
    marked(marked(photo, (620, 350), nets.LARGE_MARK), (170, 250), nets.SMALL_MARK)
    Image.fromarray(np.rint(photo * 255).astype(np.uint8)).save(tmp_path / "two.png")
    both = networks(detector="auto")
    _, found = find_in_photo(tmp_path / "two.png", both)
    assert found.warnings == (f"{tmp_path / 'two.png'} shows 2 faces: the largest is taken.",)
    assert len(found.points) > 60 and errors_of(found, points).max() < 1.5
    assert [entry["role"] for entry in both.found_by] == ["landmarker", "detector"]
    assert both.found_by[1]["file"] == nets.YUNET and len(both.found_by[1]["sha256"]) == 64


def test_where_a_detector_sees_nobody_the_photo_is_searched_and_that_is_said(networks: Find) -> None:
    points = nets.face_points(240, 300, 380)
    both = networks(detector=nets.YUNET)
    found = find_landmarks(nets.paint(480, 600, points), both.landmarker, both.detector, "me.png")
    assert found.warnings == ("The detector sees no face in me.png: the whole photo was searched.",)
    assert len(found.points) == 68
    with pytest.raises(InputError, match="No face was found"):
        find_landmarks(np.full((300, 300, 3), 0.5, np.float32), both.landmarker, both.detector)


# --- choosing


def test_which_networks_are_taken(folder: Path, tmp_path: Path) -> None:
    chosen = choose(ModelFolder(folder), Choice())
    assert chosen.landmarker.name == nets.FAN and chosen.detector is not None  # it has scores, so it comes first
    assert choose(ModelFolder(folder), Choice(nets.SPACE, "none")).detector is None
    with pytest.raises(InputError, match="There is no landmarker in"):
        choose(ModelFolder(tmp_path), Choice())
    nets.write_numbers(tmp_path / "2d106det.onnx", 192, 212)
    (tmp_path / "damaged.onnx").write_bytes(b"no network")
    with pytest.raises(InputError, match="no landmarker in .* but 2d106det.onnx, which gives 106 points"):
        choose(ModelFolder(tmp_path), Choice())
    with pytest.raises(InputError, match="2dfan4.onnx is no face detector"):
        choose(ModelFolder(folder), Choice(detector=nets.FAN))
    with pytest.raises(InputError, match="no model else.onnx"):
        choose(ModelFolder(folder), Choice("else.onnx"))


def test_a_transparent_photo_lies_on_grey(networks: Find, tmp_path: Path) -> None:
    points = nets.face_points(240, 300, 380)
    rgba = np.zeros((600, 480, 4), np.uint8)
    rgba[..., :3] = np.rint(nets.paint(480, 600, points) * 255)
    rgba[..., 3] = 255 * (np.abs(rgba[..., :3].astype(int) - 128).max(-1) > 3)
    Image.fromarray(rgba).save(tmp_path / "cut.png")
    picture, found = find_in_photo(tmp_path / "cut.png", networks())
    assert picture[0, 0].tolist() == [0.5, 0.5, 0.5] and len(found.points) == 68
    assert errors_of(found, points).max() < 1.5
    Image.fromarray(rgba[:100, :100]).save(tmp_path / "small.png")
    with pytest.raises(InputError, match="the shorter side needs 128"):
        find_in_photo(tmp_path / "small.png", networks())
