# SPDX-License-Identifier: Apache-2.0
"""FLIP and LPIPS: computed where they can be, named as not available where they cannot, never guessed."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from backend import cli
from backend.evaluation import results
from backend.evaluation.evaluate import evaluate
from backend.evaluation.perceptual import NO_FLIP, NO_LPIPS, PIXELS_PER_DEGREE, find_flip, find_judges, load_lpips
from interchange.errors import InputError
from tests.evaluation import scene


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene.write_job(tmp_path_factory.mktemp("job"))


def field(number: int, value: bytes | int) -> bytes:
    """One field of a protobuf message."""
    if isinstance(value, int):
        return bytes([number << 3, value])
    assert len(value) < 16384
    length = bytes([len(value)]) if len(value) < 128 else bytes([len(value) & 127 | 128, len(value) >> 7])
    return bytes([number << 3 | 2]) + length + value


def picture_input(name: str) -> bytes:
    dimensions = field(1, field(1, 1)) + field(1, field(1, 3)) + field(1, field(2, b"h")) + field(1, field(2, b"w"))
    return field(1, name.encode()) + field(2, field(1, field(1, 1) + field(2, dimensions)))


def write_network(path: Path, inputs: int = 2) -> Path:
    """An ONNX network of the mean squared difference of two pictures, or the mean square of one."""
    first, second = ("a", "b") if inputs == 2 else ("a", "a")
    nodes = [
        field(1, b"a") + field(1, second.encode()) + field(2, b"d") + field(4, b"Sub" if inputs == 2 else b"Mul"),
        field(1, b"d") + field(1, b"d") + field(2, b"s") + field(4, b"Mul"),
        field(1, b"s") + field(2, b"out") + field(4, b"ReduceMean"),
    ]
    graph = b"".join(field(1, node) for node in nodes) + field(2, b"g")
    graph += b"".join(field(11, picture_input(name)) for name in dict.fromkeys((first, second)))
    graph += field(12, field(1, b"out") + field(2, field(1, field(1, 1))))
    path.write_bytes(field(1, 8) + field(7, graph) + field(8, field(2, 13)))
    return path


def test_flip_of_known_pictures() -> None:
    """Values of NVIDIA's program: 0 for equal pictures, nearly 1 for black against white, more with more noise."""
    flip = find_flip()
    assert flip is not None
    rng = np.random.default_rng(0)
    picture = rng.random((32, 32, 3))
    assert flip(picture, picture) == 0
    assert flip(np.zeros((32, 32, 3)), np.ones((32, 32, 3))) == pytest.approx(1, abs=0.08)
    errors = [flip(np.clip(picture + noise * rng.normal(size=picture.shape), 0, 1), picture) for noise in (0.02, 0.2)]
    assert 0 < errors[0] < errors[1] < 1


def test_flip_counts_black_surroundings_without_looking_at_them() -> None:
    package = pytest.importorskip("flip_evaluator")
    flip, rng = find_flip(), np.random.default_rng(1)
    assert flip is not None
    a = np.zeros((150, 170, 3), np.float32)
    a[50:80, 60:110] = rng.random((30, 50, 3))
    b = a.copy()
    b[60:90, 100:115] = 0.4
    whole = package.evaluate(a, b, "LDR", inputsRGB=True, applyMagma=False, parameters={"ppd": PIXELS_PER_DEGREE})[1]
    assert flip(b, a) == pytest.approx(whole, rel=1e-6) and whole > 0.01
    assert flip(np.zeros_like(a), np.zeros_like(a)) == 0


def test_lpips_runs_the_users_network(tmp_path: Path) -> None:
    lpips = load_lpips(write_network(tmp_path / "net.onnx"))
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 20, 30, 3))
    assert lpips(a, a) == 0
    assert lpips(a, b) == pytest.approx(4 * np.mean((a - b) ** 2), rel=1e-5)  # the network sees -1..1


def test_lpips_weights_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="weights .*none.onnx are missing"):
        load_lpips(tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(InputError, match="is no ONNX network"):
        load_lpips(tmp_path / "text.onnx")
    with pytest.raises(InputError, match="has 1 inputs, not two pictures"):
        load_lpips(write_network(tmp_path / "one.onnx", inputs=1))
    strange = load_lpips(write_network(tmp_path / "net.onnx"))
    with pytest.raises(InputError, match="does not take pictures of this size"):
        strange(np.zeros((4, 4, 3)), np.zeros((4, 5, 3)))
    with pytest.raises(InputError, match="gives nan"):
        strange(np.full((4, 4, 3), np.nan), np.zeros((4, 4, 3)))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match="needs the package onnxruntime"):
        load_lpips(tmp_path / "net.onnx")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    judges = find_judges()
    assert judges.not_available == {"flip": NO_FLIP, "lpips": NO_LPIPS}
    assert judges.scores(np.zeros((8, 8, 3)), np.zeros((8, 8, 3))) == {"flip": None, "lpips": None}


def test_figures_in_the_files(job: Path, tmp_path: Path) -> None:
    network = write_network(tmp_path / "net.onnx")
    found = evaluate(job / "capture", job / "swapped", job / "double", job / "truth", lpips=network)
    kept = json.loads((job / "double/metrics.json").read_text())["perceptual"]
    assert kept["not_available"] == {} and 0 < kept["flip"] < 0.1 and 0 < kept["lpips"] < 1e-2
    assert kept["ms_ssim"] == pytest.approx(found.ms_ssim)
    assert kept["lpips_sha256"] == hashlib.sha256(network.read_bytes()).hexdigest()
    means = {name: np.mean([getattr(view, name) for view in found.views]) for name in ("flip", "lpips")}
    assert all(kept[name] == pytest.approx(value, abs=1e-4) for name, value in means.items())
    assert results.Evaluation.load(job / "double") == found


def test_not_available_is_said(job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "flip_evaluator", None)
    words = ["evaluate", job / "double"]  # the captures lie beside it
    assert cli.main(list(map(str, words))) == 0
    shown = capsys.readouterr().out
    assert f"FLIP is not available: {NO_FLIP}" in shown and f"LPIPS is not available: {NO_LPIPS}" in shown
    kept = json.loads((job / "double/metrics.json").read_text())["perceptual"]
    assert kept["flip"] is None and kept["lpips"] is None and 0 < kept["ms_ssim"] <= 1
    assert kept["not_available"] == {"flip": NO_FLIP, "lpips": NO_LPIPS}
    assert cli.main([*map(str, words), "--lpips", "nowhere.onnx"]) == 2


def test_files_without_these_figures_are_read(job: Path) -> None:
    evaluate(job / "capture", job / "swapped", job / "double")
    path = job / "double/metrics.json"
    value = json.loads(path.read_text())
    del value["perceptual"]
    path.write_text(json.dumps(value))
    assert results.Evaluation.load(job / "double").metrics.perceptual == results.Perceptual()
