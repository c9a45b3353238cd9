# SPDX-License-Identifier: Apache-2.0
"""Every value that crosses the border of every known network, and the pasted view, against a slow reference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.faceswap.onnx.models import ModelFolder
from backend.faceswap.onnx.session import Network
from backend.faceswap.onnx.settings import OnnxSettings
from backend.faceswap.registry import OnnxSwapper, PreparedSwap
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from interchange.capture import Capture, ViewImages

from .. import synthetic
from . import networks, reference

WITHIN = 1e-5


def options(kind: str, **more: Any) -> OnnxSettings:
    return OnnxSettings(
        model=networks.file_name(kind), recogniser=networks.RECOGNISER, converter=networks.CONVERTER, **more
    )


def prepared(capture: Capture, source: Path, models: Path, settings: SwapSettings) -> PreparedSwap:
    swapper = OnnxSwapper(lambda: ModelFolder(models))
    return swapper.prepare(capture, load_source(source), settings, None, lambda: False)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, np.ndarray]]]:
    """(file, inputs) of every run of a network."""
    told: list[tuple[str, dict[str, np.ndarray]]] = []
    original = Network.run

    def run(self: Network, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        told.append((self.file.name, {k: np.array(v) for k, v in inputs.items()}))
        return original(self, inputs)

    monkeypatch.setattr(Network, "run", run)
    return told


def compare(
    kind: str, capture: Capture, source: Path, models: Path, view_name: str, runs: list, boost: int = 1,
    settings: SwapSettings | None = None,
) -> None:  # fmt: skip
    settings = settings or SwapSettings(swapper="onnx", onnx=options(kind, pixel_boost=boost))
    swap = prepared(capture, source, models, settings)
    view = capture.view(view_name)
    images, mesh = capture.load_view(view), capture.load_mesh(capture.pose_of(view))
    runs.clear()
    result = swap.change(images, mesh, view.camera)
    chosen = settings.onnx
    tensor = reference.source_tensor(kind, source, chosen.renormalize)
    expected = reference.swap_view(
        kind, images, mesh, view.camera, tensor, boost, chosen.feather, chosen.morph, settings.strength,
        chosen.model_mask,
    )  # fmt: skip
    assert len(runs) == len(expected.inputs) == boost**2
    for (file, given), wanted in zip(runs, expected.inputs, strict=True):
        assert file == networks.file_name(kind) and given.keys() == wanted.keys()
        for name, value in wanted.items():
            assert given[name].dtype == np.float32 and given[name].shape == value.shape
            assert np.abs(given[name] - value).max() <= WITHIN, name
    assert np.abs(result - expected.rgb).max() <= WITHIN
    outside = expected.mask <= 0
    assert_array_equal(result[outside], images.rgb[outside])
    full = expected.mask > 0.9 * settings.strength
    assert full.sum() > 150 and np.abs(result - images.rgb)[full].mean() > 0.01


@pytest.mark.parametrize("kind", sorted(networks.KINDS))
def test_every_known_network(kind: str, capture: Capture, source: Path, models: Path, runs: list) -> None:
    for view in ("view_000", "view_001"):
        compare(kind, capture, source, models, view, runs)


@pytest.mark.parametrize("kind", ["inswapper_128", "hyperswap_256"])
def test_pixel_boost(kind: str, capture: Capture, source: Path, models: Path, runs: list) -> None:
    compare(kind, capture, source, models, "view_002", runs, boost=2)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("inswapper_128", {"renormalize": False}),
        ("hyperswap_256", {"model_mask": False, "feather": 0.0}),
        ("dfm", {"morph": 0.25, "feather": 0.6}),
    ],
)
def test_switches(kind: str, changes: dict, capture: Capture, source: Path, models: Path, runs: list) -> None:
    settings = SwapSettings(swapper="onnx", strength=0.6, onnx=options(kind, **changes))
    compare(kind, capture, source, models, "view_001", runs, settings=settings)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """Views in which the face has more pixels than the crop of a 128 pixel network, one of them an exact profile."""
    return synthetic.write_capture(tmp_path_factory.mktemp("large"), views=(90, 20), size=300)


@pytest.mark.parametrize("kind", ["inswapper_128", "dfm"])
def test_crops_that_are_smaller_than_the_face(
    kind: str, large: Capture, source: Path, models: Path, runs: list
) -> None:
    for view in large.views:
        compare(kind, large, source, models, view.name, runs)


def test_the_image_source_is_the_photos_face(capture: Capture, source: Path, models: Path, runs: list) -> None:
    prepared(capture, source, models, SwapSettings(onnx=options("uniface_256")))
    wanted = reference.photo_crop(source, "ffhq_512", 256).transpose(2, 0, 1)[None]
    assert np.abs(runs[0][1]["source"] - wanted).max() <= WITHIN


def test_recogniser_and_converter_get_what_they_were_trained_on(
    capture: Capture, source: Path, models: Path, runs: list
) -> None:
    prepared(capture, source, models, SwapSettings(onnx=options("simswap_256")))
    (first, given), (second, vector) = runs[:2]
    crop = reference.photo_crop(source, "arcface_112_v2", 112)
    assert first == networks.RECOGNISER and second == networks.CONVERTER
    assert np.abs(given["input.1"] - (crop * 2 - 1).transpose(2, 0, 1)[None]).max() <= WITHIN
    raw = networks.recognise((crop * 2 - 1).transpose(2, 0, 1)[None])
    assert np.abs(vector["input"][0] - raw / np.linalg.norm(raw)).max() <= WITHIN


def test_half_floats_at_the_border(capture: Capture, source: Path, models: Path, tmp_path: Path, runs: list) -> None:
    for name in (networks.RECOGNISER, networks.CONVERTER):
        (tmp_path / name).write_bytes((models / name).read_bytes())
    networks.write_swapper(tmp_path / "inswapper_128.onnx", "inswapper_128", free_batch=True, half=True)
    swap = prepared(capture, source, tmp_path, SwapSettings(onnx=options("inswapper_128")))
    view = capture.views[1]
    images, mesh = capture.load_view(view), capture.load_mesh()
    result = swap.change(images, mesh, view.camera)
    tensor = reference.source_tensor("inswapper_128", source)
    expected = reference.swap_view("inswapper_128", images, mesh, view.camera, tensor)
    assert np.abs(result - expected.rgb).max() < 5e-3


def test_bright_highlights_stay_where_the_mask_is_thin(
    capture: Capture, source: Path, models: Path, runs: list
) -> None:
    view = capture.views[1]
    images, mesh = capture.load_view(view), capture.load_mesh()
    bright: ViewImages = attrs.evolve(images, rgb=images.rgb * 4)
    swap = prepared(capture, source, models, SwapSettings(onnx=options("inswapper_128")))
    result = swap.change(bright, mesh, view.camera)
    tensor = reference.source_tensor("inswapper_128", source)
    expected = reference.swap_view("inswapper_128", bright, mesh, view.camera, tensor)
    assert np.abs(result - expected.rgb).max() <= WITHIN
    assert_array_equal(result[expected.mask <= 0], bright.rgb[expected.mask <= 0])
