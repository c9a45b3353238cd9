# SPDX-License-Identifier: Apache-2.0
"""The models folder, and that nothing outside of it is ever opened; needs no onnxruntime."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import attrs
import pytest

from backend import pipeline
from backend.faceswap.onnx.descriptors import DESCRIPTORS
from backend.faceswap.onnx.models import MODELS_VARIABLE, ModelFolder, models_folder
from backend.faceswap.onnx.settings import OnnxSettings
from backend.faceswap.settings import SwapSettings
from interchange.errors import InputError

DIGEST = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path) -> ModelFolder:
    (tmp_path / "one.onnx").write_bytes(b"one")
    (tmp_path / "two.dfm").write_bytes(b"two")
    (tmp_path / "notes.txt").write_text("no network")
    (tmp_path / "folder.onnx").mkdir()
    return ModelFolder(tmp_path)


def test_networks_are_listed_and_digested(folder: ModelFolder) -> None:
    assert folder.names() == ["one.onnx", "two.dfm"]
    file = folder.file("one.onnx")
    assert file.sha256 == hashlib.sha256(b"one").hexdigest() and file.path.read_bytes() == b"one"
    assert folder.file("one.onnx", {"one.onnx": file.sha256.upper(), "two.dfm": DIGEST}) == file


def test_another_digest_is_refused(folder: ModelFolder) -> None:
    with pytest.raises(InputError, match=f"one.onnx has the SHA-256 [0-9a-f]{{64}}, not the expected {DIGEST}"):
        folder.file("one.onnx", {"one.onnx": DIGEST})


def test_what_is_not_there_is_said(folder: ModelFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model three.onnx") as caught:
        folder.file("three.onnx")
    assert caught.value.hint == "There: one.onnx, two.dfm."
    with pytest.raises(InputError, match="folder.onnx is a folder"):
        folder.file("folder.onnx")
    with pytest.raises(InputError, match="nowhere does not exist"):
        ModelFolder(tmp_path / "nowhere").names()
    with pytest.raises(InputError, match="nowhere does not exist"):
        ModelFolder(tmp_path / "nowhere").file("one.onnx")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(folder: ModelFolder) -> None:
    (folder.path / "one.onnx").chmod(0)
    with pytest.raises(InputError, match="one.onnx cannot be read"):
        folder.file("one.onnx")


@pytest.mark.parametrize(
    "name",
    ["../one.onnx", "/etc/passwd", "a/b.onnx", "..", ".", ".hidden", "a\\b.onnx", "C:one.onnx", " one.onnx", "a\nb",
     "a\0b", "x" * 300],
)  # fmt: skip
def test_paths_are_no_names(name: str, folder: ModelFolder) -> None:
    with pytest.raises(InputError, match="is not the name of a model"):
        folder.file(name)
    for field in ("model", "recogniser", "converter"):
        with pytest.raises(InputError, match="is not the name of a model"):
            pipeline.settings_from({"swapper": "onnx", "onnx": {field: name}}, SwapSettings)


def test_the_folder_is_the_chosen_one_or_the_environments(tmp_path: Path) -> None:
    assert models_folder({MODELS_VARIABLE: "elsewhere"}, tmp_path).path == tmp_path
    assert models_folder({MODELS_VARIABLE: str(tmp_path)}).path == tmp_path
    for environment in ({}, {MODELS_VARIABLE: " "}):
        with pytest.raises(InputError, match="No models folder is known") as caught:
            models_folder(environment)
        assert MODELS_VARIABLE in caught.value.hint


def test_settings_survive_the_wire() -> None:
    settings = SwapSettings(
        swapper="onnx",
        onnx=OnnxSettings(model="a.onnx", providers=["CUDAExecutionProvider", "CPUExecutionProvider"], pixel_boost=2,
                          sha256={"a.onnx": DIGEST}, licence="mine"),
    )  # fmt: skip
    sent = json.loads(json.dumps(attrs.asdict(settings)))
    assert sent == attrs.asdict(settings)  # a job is compared with what an earlier run has kept as JSON
    assert pipeline.settings_from(sent, SwapSettings) == settings
    assert pipeline.settings_from({}, SwapSettings).onnx == OnnxSettings()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pixel_boost": 0}, "pixel_boost is 0"),
        ({"pixel_boost": 9}, "pixel_boost is 9"),
        ({"kind": "magic"}, 'kind is "magic"; choose one of auto, inswapper_128'),
        ({"providers": []}, "providers is"),
        ({"providers": ["CUDA Execution"]}, "List execution providers"),
        ({"sha256": {"a.onnx": "12"}}, "is not 64 hexadecimal digits"),
        ({"sha256": {"../a.onnx": DIGEST}}, "is not the name of a model"),
        ({"crop_scale": 0.0}, "crop_scale is 0"),
        ({"path": "/etc/passwd"}, "path"),
    ],
)
def test_settings_that_cannot_be(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        pipeline.settings_from({"onnx": wrong}, SwapSettings)


def test_the_page_lists_every_kind_and_setting() -> None:
    page = (Path(__file__).parents[3] / "docs/formats/models.md").read_text()
    for known in DESCRIPTORS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{known.id}` |"))
        assert f"| {known.template} |" in row
        assert known.size is None or str(known.size) in row
    for field in attrs.fields(OnnxSettings):
        assert f"`{field.name}`" in page


def test_a_boost_is_a_whole_number() -> None:
    with pytest.raises(InputError, match="whole number"):
        OnnxSettings(pixel_boost=1.5)  # type: ignore[arg-type]
