# SPDX-License-Identifier: Apache-2.0
"""What a running job shows: the right view, both halves, small enough, and at no cost to the result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from backend import pipeline, previews
from backend.faceswap.swap import swap
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from interchange.capture import Capture
from interchange.messages import MAX_PREVIEW
from interchange.png import decode_png

from .faceswap import synthetic
from .fitting.scene import make_capture

QUICK = {"iterations": 40, "splats": 300, "sh_degree": 0, "early_stop": False, "engine": "cpu", "threads": 1}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    synthetic.write_capture(folder / "capture", views=(-60, 5, 50, -15))
    synthetic.write_source(folder / "source")
    return folder


def halves(png: bytes) -> tuple[np.ndarray, np.ndarray]:
    image = decode_png(png).astype(int)
    width = (image.shape[1] - previews.GAP) // 2
    assert image.shape[1] == 2 * width + previews.GAP and (image[:, width : width + previews.GAP] == 40).all()
    return image[:, :width], image[:, width + previews.GAP :]


def test_a_whole_job_shows_itself(inputs: Path, tmp_path: Path) -> None:
    shown: list[tuple[str, bytes]] = []
    pipeline.run_job(
        "double", {"fit": QUICK}, inputs, tmp_path / "work", tmp_path / "out", lambda *_: None, lambda: False,
        lambda *picture: shown.append(picture),
    )  # fmt: skip
    assert [name for name, _ in shown][:2] == ["swap", "fit"]
    before, after = halves(shown[0][1])
    alike = (np.abs(before - after).max(axis=-1) < 4).mean()
    assert 0.2 < alike < 0.95  # the face differs, hair and background do not
    target, render = halves(shown[1][1])
    assert target.shape == render.shape and target.max() > 100 and np.abs(target - render).mean() < 40


def test_the_front_view_is_shown_once_it_is_done(inputs: Path, tmp_path: Path) -> None:
    capture = Capture.load(inputs / "capture")
    assert previews.frontal_names(capture) == ["view_001", "view_003", "view_002", "view_000"]
    shown: list[tuple[float, bytes]] = []
    fraction = [0.0]

    def follow(again: bool) -> None:
        """A swap of one view after another; what was shown, and how far it was by then."""
        shown.clear()
        watched = previews.SwapPreviews(lambda _, png: shown.append((fraction[0], png)), capture, tmp_path)
        report = watched.follow(lambda _, done, __: fraction.__setitem__(0, done))
        swap(capture.folder, inputs / "source", tmp_path, pipeline.SwapSettings(threads=1), report)
        assert len(shown) == (0 if again else 1)
        watched.look(at_end=True)
        watched.look(at_end=True)
        assert len(shown) == 1

    follow(again=False)
    assert shown[0][0] == 0.5  # the second of four
    first = shown[0][1]
    before, after = halves(first)
    display = capture.load_view(capture.view("view_001"))
    box = previews.box_of(display.alpha)
    assert np.abs(before - np.rint(display.display()[box] * 255)).max() <= 1
    swapped = Capture.load(tmp_path)
    goal = swapped.load_view(swapped.view("view_001")).display()[box]
    assert np.abs(after - np.rint(goal * 255)).max() <= 1
    follow(again=True)  # all is kept
    assert shown[0][1] == first


def test_a_capture_without_views_shows_nothing(tmp_path: Path) -> None:
    assert previews.frontal_names(Capture(tmp_path)) == []
    previews.SwapPreviews(lambda *_: pytest.fail("shown"), Capture(tmp_path), tmp_path).look(at_end=True)


def test_a_fit_that_is_watched_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here at each of its steps."""
    monkeypatch.setattr(previews, "EVERY_S", 0.0)
    monkeypatch.setattr(previews, "SHARE", 1e9)
    capture = make_capture(tmp_path / "capture", train=6, held_out=2, size=48)
    best = capture.held_out_views[1].name
    shown: list[bytes] = []
    watched = previews.FitPreviews(lambda name, png: shown.append(png), ["no", best])
    plain = fit(capture.folder, tmp_path / "plain", FitSettings(**QUICK))
    fit(capture.folder, tmp_path / "watched", FitSettings(**QUICK), observer=watched.observer())
    assert (tmp_path / "watched/splats.ply").read_bytes() == (tmp_path / "plain/splats.ply").read_bytes()
    assert plain.iterations == len(shown) == 40 and watched._view is not None and watched._view.name == best
    target, _ = halves(shown[0])
    view = capture.load_view(capture.view(best))
    assert np.abs(target - np.rint(view.display()[previews.box_of(view.alpha)] * 255)).max() <= 1


def test_pictures_cost_a_fit_two_percent_at_most() -> None:
    now = [0.0]
    spent = 0.0
    watched = previews.FitPreviews(lambda *_: None, clock=lambda: now[0])
    view = watched._choose(_views(), [])
    for _ in range(20_000):
        now[0] += 0.05  # a step
        if watched._wanted():
            cost = 0.4 if now[0] < 500 else 0.01  # a slow picture, then quick ones
            now[0] += cost
            spent += cost
            watched._take(np.zeros((*view.alpha.shape, 3), np.uint8), 0)
    assert spent < (previews.SHARE + 0.001) * now[0] and now[0] > 1000
    assert watched._due - now[0] <= previews.EVERY_S


def _views() -> list[previews.FitView]:
    rgb, alpha = np.zeros((8, 8, 3), np.float32), np.ones((8, 8), np.float32)
    return [previews.FitView("v", None, rgb, alpha, None, None)]  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(1000, 1000), (2000, 300), (300, 2000), (64, 64), (1, 1)])
def test_pictures_stay_within_the_limits(shape: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    png = previews.side_by_side(noise, noise[::-1])
    image = decode_png(png)
    assert len(png) <= MAX_PREVIEW and max(image.shape) <= 512
    if max(shape) <= 64:
        assert image.shape == (shape[0], 2 * shape[1] + previews.GAP, 3)  # small ones keep their pixels


def test_the_subject_fills_the_picture() -> None:
    alpha = np.zeros((100, 200))
    assert previews.box_of(alpha) == (slice(0, 100), slice(0, 200))
    alpha[20:70, 100:200] = 1
    assert previews.box_of(alpha) == (slice(17, 73), slice(94, 200))
