# SPDX-License-Identifier: Apache-2.0
"""Rendering splat files: where the turntable stands, what the pictures hold, whole files whatever happens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend import cli, rendering
from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.rendering import bounds_of, composed, load_visible, render_views, turntable, write_animation
from interchange.errors import Cancelled, InputError
from interchange.png import read_png
from interchange.splats import SH_C0, SplatCloud, write_splats
from tests.fitting.foreign import around, write_colmap_model
from tests.fitting.scene import make_capture

CENTRE = np.array([0.3, -1.2, 0.5])


def cloud_of(means: np.ndarray, opacity: float = 0.99, scale: float = 0.03) -> SplatCloud:
    count = len(means)
    colours = np.tile([0.8, 0.4, 0.1], (count, 1))
    return SplatCloud(
        means, np.full((count, 3), np.log(scale)), np.tile([1.0, 0, 0, 0], (count, 1)),
        np.full(count, np.log(opacity / (1 - opacity))), ((colours - 0.5) / SH_C0)[:, None],
    )  # fmt: skip


@pytest.fixture
def ball() -> SplatCloud:
    directions = np.random.default_rng(0).normal(size=(500, 3))
    return cloud_of(CENTRE + 0.2 * directions / np.linalg.norm(directions, axis=1, keepdims=True))


@pytest.fixture
def ply(ball: SplatCloud, tmp_path: Path) -> Path:
    write_splats(tmp_path / "ball.ply", ball)
    return tmp_path / "ball.ply"


def test_bounds_pass_over_a_few_far_away(ball: SplatCloud) -> None:
    far = cloud_of(np.concatenate([ball.means, [[50.0, 0, 0], [0, -80, 3]]]))
    for cloud in (ball, far):
        bounds = bounds_of(cloud)
        assert np.abs(bounds.centre - CENTRE).max() < 0.02 and 0.2 < bounds.radius < 0.26
    assert bounds_of(cloud_of(np.zeros((1, 3)))).radius == pytest.approx(0.03, rel=1e-5)


def test_the_turntable_goes_once_around_and_sees_all_of_it(ball: SplatCloud) -> None:
    bounds = bounds_of(ball)
    views = turntable(bounds, 8, 100, elevation=20)
    assert [name for name, _ in views] == [f"turntable_{i:03d}" for i in range(8)]
    for i, (_, camera) in enumerate(views):
        uv, depth = camera.project(ball.means)
        assert (uv > 0).all() and (uv < 100).all() and (depth > 0).all()
        assert np.allclose(camera.project(bounds.centre[None])[0], 50)
        x, y, z = camera.position - bounds.centre
        assert np.degrees(np.arctan2(x, -z)) % 360 == pytest.approx(45 * i)
        assert np.degrees(np.arctan2(-y, np.hypot(x, z))) == pytest.approx(20)  # up is -y
        above = camera.project((bounds.centre + [0, -0.1, 0])[None])[0][0]
        assert above[1] < 50 and above[0] == pytest.approx(50)


def test_straight_alpha_and_backgrounds() -> None:
    image = np.array([[[0.4, 0.2, 0.0], [0, 0, 0], [2, 0.5, 0]]], np.float32)
    alpha = np.array([[0.5, 0, 1]], np.float32)
    assert composed(image, alpha, None).tolist() == [[[204, 102, 0, 128], [0, 0, 0, 0], [255, 128, 0, 255]]]
    assert composed(image, alpha, (0, 204, 0)).tolist() == [[[102, 153, 0], [0, 204, 0], [255, 128, 0]]]


def test_a_picture_shows_the_splats_and_nothing_else(ball: SplatCloud) -> None:
    [(_, picture)] = render_views(ball, turntable(bounds_of(ball), 1, 64))
    assert picture.shape == (64, 64, 4)
    assert np.abs(picture[32, 32].astype(int) - [204, 102, 26, 255]).max() <= 3
    assert picture[0, 0].tolist() == [0, 0, 0, 0]
    [(_, white)] = render_views(ball, turntable(bounds_of(ball), 1, 64), (255, 255, 255))
    assert white.shape == (64, 64, 3) and white[0, 0].tolist() == [255] * 3


def test_cancelled_and_unusable_cameras(ball: SplatCloud) -> None:
    views = turntable(bounds_of(ball), 2, 32)
    with pytest.raises(Cancelled):
        list(render_views(ball, views, cancelled=lambda: True))
    with pytest.raises(InputError, match="no camera"):
        list(render_views(ball, []))
    views[1][1].world_to_camera.setflags(write=True)
    views[1][1].world_to_camera[0, 3] = np.nan
    with pytest.raises(InputError, match="camera of turntable_001 is not usable"):
        list(render_views(ball, views))


def test_what_cannot_be_seen_is_left_out(ball: SplatCloud, tmp_path: Path) -> None:
    faint = cloud_of(ball.means, opacity=0.001)
    write_splats(tmp_path / "faint.ply", faint)
    with pytest.raises(InputError, match="No splat of .*faint.ply can be seen"):
        load_visible(tmp_path / "faint.ply")


@pytest.mark.parametrize("suffix", ["ply", "splat", "spz", "glb"])
def test_stills_of_any_splat_file(ball: SplatCloud, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"ball.{suffix}"
    write_splats(path, ball)
    out = tmp_path / "out"
    assert cli.main(["render", str(path), "--turntable", "3", "--size", "40", "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == [f"turntable_{i:03d}.png" for i in range(3)]
    picture = read_png(out / "turntable_000.png")
    assert picture.shape == (40, 40, 4) and np.abs(picture[20, 20].astype(int) - [204, 102, 26, 255]).max() <= 4


def test_out_may_name_the_animation_itself(ply: Path, tmp_path: Path) -> None:
    words = ["render", str(ply), "--turntable", "2", "--size", "32", "--out"]
    assert cli.main([*words, str(tmp_path / "once.gif")]) == 0
    with Image.open(tmp_path / "once.gif") as animation:
        assert animation.n_frames == 2
    assert cli.main([*words, str(tmp_path / "stills.gif"), "--format", "png"]) == 0
    assert len(list((tmp_path / "stills.gif").iterdir())) == 2


@pytest.mark.parametrize("kind, colour", [("webp", "transparent"), ("webp", "#204060"), ("gif", "transparent")])
def test_animations_loop_and_keep_their_background(ply: Path, tmp_path: Path, kind: str, colour: str) -> None:
    out = tmp_path / "out"
    words = ["render", ply, "--turntable", 5, "--size", 48, "--format", kind, "--background", colour, "--fps", 10]
    assert cli.main([*map(str, words), "--out", str(out)]) == 0
    assert [p.name for p in out.iterdir()] == [f"turntable.{kind}"]
    with Image.open(out / f"turntable.{kind}") as animation:
        assert animation.n_frames == 5 and animation.info["loop"] == 0
        for i in range(5):
            animation.seek(i)
            frame = np.asarray(animation.convert("RGBA")).astype(int)
            assert np.abs(frame[24, 24] - [204, 102, 26, 255]).max() < 16
            corner = [0x20, 0x40, 0x60, 255] if colour != "transparent" else [*frame[0, 0][:3], 0]
            assert np.abs(frame[0, 0] - corner).max() < 12  # WebP loses a little


def test_cameras_of_captures_and_models(tmp_path: Path) -> None:
    """A capture's fit rendered at its own cameras gives the held-out pictures that the fit left."""
    capture = make_capture(tmp_path / "capture", train=4, held_out=2, size=32)
    fit(capture.folder, tmp_path / "double", FitSettings(iterations=20, splats=300, threads=1))
    out = tmp_path / "out"
    words = ["render", tmp_path / "double", "--cameras", capture.folder, "--background", "black", "--out", out]
    assert cli.main(list(map(str, words))) == 0
    assert {p.stem for p in out.iterdir()} == {v.name for v in capture.views}
    for view in capture.held_out_views:
        expected = read_png(tmp_path / f"double/renders/{view.name}.png").astype(int)
        assert np.abs(read_png(out / f"{view.name}.png") - expected).max() <= 1
    model = write_colmap_model(tmp_path / "model", around(2, 32), binary=False)
    words = ["render", tmp_path / "double", "--cameras", model, "--size", 64, "--out", tmp_path / "other"]
    assert cli.main(list(map(str, words))) == 0
    assert read_png(tmp_path / "other/view_001.png").shape == (64, 64, 4)


@pytest.mark.parametrize("kind, left", [("png", ["turntable_000.png", "turntable_001.png"]), ("webp", [])])
def test_ctrl_c_leaves_whole_files_only(
    ply: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, left: list[str]
) -> None:
    real, calls = rendering.composed, iter(range(10))

    def interrupted(*arguments: object) -> np.ndarray:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(rendering, "composed", interrupted)
    out = tmp_path / "out"
    words = ["render", ply, "--turntable", 5, "--size", 32, "--format", kind, "--out", out]
    assert cli.main(list(map(str, words))) == 130
    assert sorted(p.name for p in out.iterdir()) == left
    for name in left:
        assert read_png(out / name).shape == (32, 32, 4)


def test_views_of_different_sizes_are_no_animation(tmp_path: Path) -> None:
    pictures = iter([("a", np.zeros((8, 8, 3), np.uint8)), ("b", np.zeros((8, 9, 3), np.uint8))])
    with pytest.raises(InputError, match="view b has another size"):
        write_animation(tmp_path / "x.webp", pictures, 12)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words, said",
    [
        (["nowhere.ply"], "missing"),
        (["ball.ply", "--cameras", "nowhere"], "nowhere is missing"),
        (["ball.ply", "--cameras", "."], "neither a capture"),
    ],
)
def test_unusable_input_is_one_sentence(
    ply: Path, words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ply.parent)
    assert cli.main(["render", *words, "--out", "x"]) == 2
    assert said in capsys.readouterr().err and not (ply.parent / "x").exists()


@pytest.mark.parametrize(
    "words", [["--background", "mauvish"], ["--fps", "0"], ["--turntable", "0"], ["--cameras", "a", "--turntable", "3"]]
)
def test_wrong_options_are_one_line(ply: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["render", str(ply), "--out", "x", *words])
    assert caught.value.code == 2 and len(capsys.readouterr().err.splitlines()) == 1
