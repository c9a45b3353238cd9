# SPDX-License-Identifier: Apache-2.0
"""Every value at the border of landmarkers against a slow reference, and which files are taken for landmarkers."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.faceswap.onnx.face_crop import Box, Crop, Pyramid, crop_of_box, crop_of_points, first_crops, upright_angle
from backend.faceswap.onnx.landmark_decoding import decode_heatmaps, landmark_tensor, points_from
from backend.faceswap.onnx.landmark_kinds import FAN, SPACE, check_detector, recognise_landmarker
from backend.faceswap.onnx.onnx_file import read_first_operations, read_signature
from backend.faceswap.onnx.recognition import role_of
from interchange.errors import InputError

from . import landmark_networks as nets
from . import landmark_reference as reference
from .reference import warp

WITHIN = 1e-5
RAW = attrs.evolve(SPACE, mean=0.0, scale=255.0)
KINDS = {"fan": FAN, "space": SPACE, "raw": RAW}
BOX = (90.0, 70.0, 110.0, 130.0)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, (260, 300, 3)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("degrees", [0.0, 24.0])
def test_the_tensor_of_a_crop(kind: str, degrees: float, noise: np.ndarray) -> None:
    """A box at the photo's middle, and one that reaches over its edge; enlarged, reduced, turned."""
    for box in (BOX, (-40.0, 100.0, 60.0, 50.0), (0.0, 0.0, 300.0, 260.0)):
        crop = crop_of_box(Box(*box), KINDS[kind], np.radians(degrees))
        wanted = reference.fan_crop(*box) if kind == "fan" else reference.space_crop(*box)
        assert_allclose([crop.x, crop.y, crop.side], wanted, atol=1e-9)
        given = landmark_tensor(Pyramid(noise).draw(crop, KINDS[kind].size), KINDS[kind])
        expected = reference.tensor(noise, wanted, degrees, kind)
        assert given.dtype == np.float32 and given.shape == expected.shape
        assert np.abs(given - expected).max() <= WITHIN * (255 if kind == "raw" else 1)


def test_channels_and_ranges() -> None:
    picture = np.broadcast_to(np.float32([0, 0.5, 1]), (20, 20, 3))
    ranges = {"fan": (0, 0.5, 1), "space": (-127.5 / 128, 0, 127.5 / 128), "raw": (0, 127.5, 255)}
    for kind, wanted in ranges.items():
        tensor = landmark_tensor(picture, KINDS[kind])
        assert_allclose(tensor[0, :, 3, 4], wanted, atol=WITHIN)


def test_heatmaps_are_decoded_as_slowly(noise: np.ndarray) -> None:
    maps = np.random.default_rng(1).normal(0.1, 0.3, (68, 64, 64))
    maps[0, 0, 0], maps[1, 63, 63], maps[2, 0, 40] = 3, 3, 3  # at the edges
    points, scores = decode_heatmaps(maps)
    for index in range(68):
        x, y, height = reference.peak(maps[index])
        assert_allclose([*points[index], scores[index]], [x, y, min(height, 1)], atol=1e-9)
    points, scores = decode_heatmaps(np.full((2, 64, 64), -1.0))
    assert np.isfinite(points).all() and not scores.any()


def test_a_gaussian_is_found_between_pixels() -> None:
    grid = np.indices((64, 64)) + 0.5
    places = np.random.default_rng(2).uniform(5, 59, (68, 2))
    maps = np.exp(-((grid[1] - places[:, :1, None]) ** 2 + (grid[0] - places[:, 1:, None]) ** 2) / 2)
    assert np.abs(decode_heatmaps(maps)[0] - places).max() < 0.02


def test_what_networks_give_becomes_points_of_the_photo(noise: np.ndarray) -> None:
    random = np.random.default_rng(3)
    maps = np.zeros((1, 68, 64, 64), np.float32)
    cells = random.integers(4, 60, (68, 2))
    maps[0, np.arange(68), cells[:, 1], cells[:, 0]] = 0.5
    points, scores = points_from({"a": maps}, FAN, "f")
    assert_allclose(points, (cells + 0.5) * 4)
    assert_allclose(scores, 0.5)
    scored = np.concatenate([random.uniform(0, 64, (68, 2)), random.uniform(0, 1, (68, 1))], axis=1)[None]
    points, scores = points_from({"a": scored}, FAN, "f")
    assert_allclose(points, scored[0, :, :2] * 256 / 64)
    assert_allclose(scores, scored[0, :, 2])
    both, _ = points_from({"scored": scored, "maps": maps}, FAN, "f")
    assert_allclose(both, (cells + 0.5) * 4)  # heatmaps count where there are both
    vertices = random.uniform(-1, 1, (1103, 3))
    points, none = points_from({"fc1": vertices.reshape(1, 3309)}, SPACE, "s")
    assert_allclose(points, (vertices[1035:, :2] + 1) * 96 + 0.5)
    assert none is None
    crop = Crop(150.0, 120.0, 210.0, np.radians(-33))
    slow = [reference.to_photo((x, y), (150.0, 120.0, 210.0), -33.0, 192) for x, y in points]
    assert_allclose(crop.to_photo(points, 192), slow, atol=1e-9)
    for outputs, kind in (({"a": maps[:, :67]}, FAN), ({"fc1": vertices[None, :5]}, SPACE)):
        with pytest.raises(InputError, match="The landmarker f gives"):
            points_from(outputs, kind, "f")


@pytest.mark.parametrize("degrees", [0.0, 40.0, -170.0])
def test_the_crop_of_points_stands_as_the_crop_of_their_box(degrees: float) -> None:
    """Turned points give the same crop, turned with them."""
    level = nets.face_points(0, 0, 200)
    low, high = level.min(axis=0), level.max(axis=0)
    for kind, slow in ((FAN, reference.fan_crop), (SPACE, reference.space_crop)):
        forehead = 0 if kind is FAN else 0.25 * (high - low)[1]
        x, y, side = slow(low[0], low[1] - forehead, (high - low)[0], (high - low)[1] + forehead)
        points = nets.face_points(500, 400, 200, degrees)
        assert abs((upright_angle(points) - np.radians(degrees) + np.pi) % (2 * np.pi) - np.pi) < 1e-9
        crop = crop_of_points(points, kind, np.radians(degrees))
        middle = reference.to_photo((x + 1, y + 1), (500.0, 400.0, 2.0), degrees, 2)
        assert_allclose([crop.x, crop.y, crop.side], [*middle, side], atol=1e-9)


def test_a_pyramid_draws_what_the_photo_would() -> None:
    """Where a crop is not much coarser than the photo, bit by bit; elsewhere but for the noise that it averages."""
    y, x = np.indices((700, 900)) + 0.5
    waves = np.stack([np.sin(x / 40), np.cos(y / 55), np.sin((x + y) / 60)], axis=-1) / 2 + 0.5
    photo = (waves + np.random.default_rng(0).normal(0, 0.02, waves.shape)).astype(np.float32)
    fine, coarse = Crop(430.0, 320.0, 100.0, 0.4), Crop(450.0, 350.0, 520.0, 0.4)
    pyramid = Pyramid(photo)
    for crop, image, within in ((fine, photo, 1e-6), (coarse, waves, 0.02)):
        x, y = crop.to_photo(np.indices((64, 64))[::-1].reshape(2, -1).T + 0.5, 64).T
        slow = warp(image, crop.matrix(64), 64, 64)
        assert np.abs(pyramid.draw(crop, 64) - slow).max() < within
        assert x.min() > 0 and y.min() > 0 and x.max() < 900 and y.max() < 700
    assert np.isfinite(Pyramid(photo[:3]).draw(coarse, 8)).all()  # a photo of three rows


def test_first_crops_leave_no_place_out() -> None:
    for width, height in ((900, 900), (1200, 800), (700, 1500)):
        levels = list(first_crops(width, height))
        assert len(levels) == 2 and levels[0][0] == Crop(width / 2, height / 2, max(width, height))
        for crops in levels:
            side = crops[-1].side
            for x, y in np.random.default_rng(0).uniform([0, 0], [width, height], (50, 2)):
                reach = max(min(abs(c.x - min(max(x, side / 2), width - side / 2)) / c.side
                                + abs(c.y - min(max(y, side / 2), height - side / 2)) / c.side for c in crops), 0)
                assert reach <= 0.5 + 1e-9  # half a step in both directions


# --- which file is what


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("landmarkers")
    nets.write_fan(path / nets.FAN)
    nets.write_fan(path / "fan_both.onnx", ("landmarks", "heatmaps"))
    nets.write_fan(path / "fan_scored.onnx", ("landmarks",))
    nets.write_fan(path / "fan_98.onnx", count=98)
    nets.write_space(path / nets.SPACE)
    nets.write_space(path / nets.SPACE_RAW, raw=True)
    nets.write_numbers(path / "2d106det.onnx", 192, 212)
    nets.write_numbers(path / "pfld.onnx", 112, 136)
    nets.write_numbers(path / "wflw.onnx", 112, 196)
    nets.write_yunet(path / nets.YUNET)
    nets.write_old_yunet(path / "yunet_2022.onnx")
    return path


ROLES = {
    nets.FAN: "landmarker, 2dfan4 (its makers' licence: BSD-3-Clause (Bulat and Tzimiropoulos))",
    "fan_both.onnx": "landmarker, 2dfan4 (its makers' licence: BSD-3-Clause (Bulat and Tzimiropoulos))",
    "fan_scored.onnx": "landmarker, 2dfan4 (its makers' licence: BSD-3-Clause (Bulat and Tzimiropoulos))",
    nets.SPACE: "landmarker, 1k3d68 (its makers' licence: non-commercial (InsightFace))",
    nets.SPACE_RAW: "landmarker, 1k3d68 (its makers' licence: non-commercial (InsightFace))",
    nets.YUNET: "face detector, YuNet (its makers' licence: MIT (OpenCV Zoo))",
}
REFUSED = {
    "2d106det.onnx": "The landmarker 2d106det.onnx gives 106 points of another scheme",
    "wflw.onnx": "The landmarker wflw.onnx gives 98 points of another scheme",
    "fan_98.onnx": "The landmarker fan_98.onnx gives 98 heatmaps",
    "pfld.onnx": "The landmarker pfld.onnx gives 136 numbers",
    "yunet_2022.onnx": "The detector yunet_2022.onnx is a YuNet from before 2023",
}


@pytest.mark.parametrize("name", ROLES)
def test_landmarkers_and_detectors_are_recognised(name: str, folder: Path) -> None:
    assert role_of(read_signature(folder / name), name) == ROLES[name]


@pytest.mark.parametrize("name", REFUSED)
def test_other_networks_are_refused_in_words(name: str, folder: Path) -> None:
    signature = read_signature(folder / name)
    with pytest.raises(InputError, match=REFUSED[name]):
        role_of(signature, name)
    with pytest.raises(InputError, match=REFUSED[name] if "landmarker" in REFUSED[name] else "is no landmarker"):
        recognise_landmarker(signature, name)


def test_one_that_normalises_by_itself_gets_0_to_255(folder: Path) -> None:
    for name, kind in ((nets.SPACE, SPACE), (nets.SPACE_RAW, RAW)):
        operations = read_first_operations(folder / name, 8)
        assert len(operations) == 8 and ("Sub" in operations) == (kind is RAW)
        assert recognise_landmarker(read_signature(folder / name), name, operations) == kind


def test_a_swapper_is_neither(folder: Path, models: Path) -> None:
    signature = read_signature(models / "inswapper_128.onnx")
    with pytest.raises(InputError, match="inswapper_128.onnx is no landmarker that is known"):
        recognise_landmarker(signature, "inswapper_128.onnx")
    with pytest.raises(InputError, match="inswapper_128.onnx is no face detector that is known"):
        check_detector(signature, "inswapper_128.onnx")
    check_detector(read_signature(folder / nets.YUNET), nets.YUNET)
