# SPDX-License-Identifier: Apache-2.0
"""`digidouble landmarks`, and `digidouble source` with several photos, their points found or given."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import cli
from backend.faceswap.source import load_source
from interchange.errors import InputError
from interchange.landmarks import read_landmark_file
from interchange.png import read_png

networks = pytest.importorskip("tests.faceswap.onnx.networks")  # skips where onnx or onnxruntime is missing
from tests.faceswap.onnx import landmark_networks as nets  # noqa: E402

FACES = {"front": (200, 240, 230, 0), "left": (180, 260, 220, 12), "right": (220, 230, 240, -9)}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    nets.write_fan(folder / nets.FAN)
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("photos")
    for name, face in FACES.items():
        image = nets.paint(400, 500, nets.face_points(*face))
        Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(folder / f"{name}.png")
    Image.fromarray(np.full((200, 200, 3), 128, np.uint8)).save(folder / "wall.png")
    return {path.stem: path for path in folder.iterdir()}


def check(path: Path, name: str) -> None:
    """That a landmark file has the points of a photo."""
    file = read_landmark_file(path)
    points = nets.face_points(*FACES[name])
    assert len(file.points) == 68
    assert max(np.hypot(*(np.array(p) - points[i])) for i, p in file.points.items()) < 1
    assert file.found_by[0]["file"] == nets.FAN and len(file.found_by[0]["sha256"]) == 64


def landmarks(*words: object) -> int:
    return cli.main(["landmarks", *map(str, words)])


def source(*words: object) -> int:
    terms = ["--subject", "S", "--granted-by", "S", "--use", "tests"]
    return cli.main(["source", *terms, *map(str, words)])


def test_points_of_several_photos(
    photos: dict[str, Path], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found"
    assert landmarks("--photo", photos["front"], photos["left"], "--models", models, "--out", out) == 0
    said = capsys.readouterr().out
    assert "BSD-3-Clause" in said and "front.png: 68 of 68 points" in said and "no detector" in said
    check(out / "landmarks.json", "front")
    check(out / "landmarks_left.json", "left")
    assert read_landmark_file(out / "landmarks_left.json").image == "left.png"
    for name in ("landmarks", "landmarks_left"):
        assert max(read_png(out / "drawn" / f"{name}.png").shape[:2]) == 1000
    assert landmarks("--photo", photos["front"], "--models", models, "--out", out) == 0  # again
    (out / "landmarks.json").write_text(json.dumps(
        {"format": "digidouble-landmarks", "version": 1, "image": "front.png", "points": {"30": [1, 2]}}
    ))  # fmt: skip
    before = (out / "landmarks.json").read_bytes()
    assert landmarks("--photo", photos["front"], "--models", models, "--out", out) == 2
    assert "placed by hand" in capsys.readouterr().err and (out / "landmarks.json").read_bytes() == before


def test_what_goes_wrong_is_one_sentence(
    photos: dict[str, Path], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.delenv("DIGIDOUBLE_MODELS", raising=False)
    empty, other = tmp_path / "empty", tmp_path / "other"
    empty.mkdir()
    other.mkdir()
    nets.write_numbers(other / "2d106det.onnx", 192, 212)
    out = ["--out", tmp_path / "out"]
    for words, sentence in (
        (["--photo", photos["front"], *out], "No models folder is known, and a landmarker needs one."),
        (["--photo", photos["front"], "--models", tmp_path / "x", *out], "does not exist"),
        (["--photo", photos["front"], "--models", empty, *out], "There is no landmarker in"),
        (["--photo", photos["front"], "--models", other, *out], "gives 106 points of another scheme"),
        (["--photo", photos["front"], "--models", other, "--landmarker", "2d106det.onnx", *out], "gives 106 points"),
        (["--photo", tmp_path / "x.png", "--models", models, *out], "is missing"),
        (["--photo", photos["wall"], "--models", models, *out], "No face was found in"),
        (["--photo", photos["front"], "--models", models, "--providers", "NoProvider", *out], "cannot run as asked"),
    ):
        assert landmarks(*words) == 2
        error = capsys.readouterr().err
        assert sentence in error and "Traceback" not in error and len(error.strip().splitlines()) == 1
    assert not list((tmp_path / "out").glob("*.json"))


def test_without_onnxruntime_it_says_what_to_do(
    photos: dict[str, Path], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def missing() -> None:
        raise InputError("A network of your own needs the package onnxruntime.", "Run python3 install.py onnx.")

    monkeypatch.setattr("backend.commands._landmark_arguments.find_runtime", missing)
    assert landmarks("--photo", photos["front"], "--models", models, "--out", tmp_path) == 2
    assert "Run python3 install.py onnx." in capsys.readouterr().err


def test_a_source_of_several_photos_with_their_points_found(
    photos: dict[str, Path], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "source"
    three = [photos[name] for name in ("front", "left", "right")]
    assert source("--photo", *three, "--landmarker", "auto", "--models", models, "--out", out) == 0
    names = {"portrait.png", "left.png", "right.png", "landmarks.json", "landmarks_left.json", "landmarks_right.json"}
    assert {path.name for path in out.iterdir()} == names | {"consent.json"}
    read = load_source(out)
    assert [photo.path.name for photo in read.photos] == ["portrait.png", "left.png", "right.png"]
    assert all(photo.origin["found_by"][0]["file"] == nets.FAN for photo in read.photos)
    assert set(read.consent.source_sha256) == {"portrait.png", "left.png", "right.png"}
    for name, file in (("front", "landmarks"), ("left", "landmarks_left"), ("right", "landmarks_right")):
        check(out / f"{file}.json", name)
    capsys.readouterr()
    assert source("--photo", three[0], "--landmarker", "auto", "--models", models, "--out", out) == 2
    assert "landmarks_left.json belongs to another photo" in capsys.readouterr().err


def test_a_source_of_several_photos_with_their_points_given(
    photos: dict[str, Path], models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = tmp_path / "found"
    assert landmarks("--photo", photos["front"], photos["left"], "--models", models, "--out", found) == 0
    marks = [found / "landmarks.json", found / "landmarks_left.json"]
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    mask = shutil.copy(photos["left"], pictures / "mask.png")  # the name of the painted mask
    out = tmp_path / "source"
    words = ["--photo", photos["front"], "--photo", mask, "--landmarks", marks[0], "--landmarks", marks[1]]
    assert source(*words, "--out", out) == 0
    read = load_source(out)
    assert [photo.path.name for photo in read.photos] == ["portrait.png", "mask_2.png"] and read.mask is None
    check(out / "landmarks.json", "front")
    check(out / "landmarks_mask_2.json", "left")
    capsys.readouterr()
    for words, sentence in (
        (["--photo", photos["front"], mask, "--landmarks", marks[0]], "There are 2 photos and 1 landmark files"),
        (["--photo", photos["front"]], "are to be given once"),
        (["--photo", photos["front"], "--landmarks", marks[0], "--landmarker", "auto"], "are to be given once"),
        (["--photo", photos["wall"], "--landmarks", marks[0]], str(photos["wall"])),
    ):
        assert source(*words, "--out", tmp_path / "other") == 2
        error = capsys.readouterr().err
        assert sentence in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "other").exists()
