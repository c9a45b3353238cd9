# SPDX-License-Identifier: Apache-2.0
"""The performer's eye colour on the avatar's eyes, against irises whose colours are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from avatars.skin import IRIS_RADIUS, Look, paint_iris
from backend.faceswap.delighting import Shading
from backend.faceswap.eyes.avatar import Eye, face_scale, find_irises
from backend.faceswap.eyes.avatar import brightness as iris_brightness
from backend.faceswap.eyes.colours import joined_colour, lab_of, recoloured, usual_colour
from backend.faceswap.eyes.photo import MeasuredIris, measure
from backend.faceswap.eyes.window import RADIUS, Window
from backend.faceswap.registry import PreparedSwap, UvSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from backend.faceswap.swap import SwapResult, swap
from interchange.capture import Capture
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.mesh import Mesh
from interchange.png import read_png, write_png

from . import synthetic
from .colour_difference import ciede2000
from .synthetic import Light, looking, write_capture, write_consent, write_landmarks, write_source

BROWN, GREEN, BLUE = (0.28, 0.17, 0.09), (0.24, 0.42, 0.36), (0.33, 0.45, 0.58)
SIZE = 256
QUICK = {"texture_size": 128}  # the skin does not matter here
SIDE = 480  # pixels of a photo


def eyes_of(colour: tuple[float, float, float], seed: int = 3) -> np.ndarray:
    return paint_iris(Look(iris=colour, seed=seed), SIZE)


def photo(folder: Path, colour: tuple[float, float, float], **options: Any) -> Path:
    """Somebody whose eyes have that colour and other fibres than the avatar's."""
    return write_source(folder / "source", size=SIDE, eyes=eyes_of(colour, 8), samples=2, **options)


def usual(texture: np.ndarray) -> np.ndarray:  # (SIZE, SIZE, 3) uint8 or sRGB 0..1
    """(3,) Lab of a painted iris, median of its band."""
    share = _shares()
    encoded = texture / np.float32(255) if texture.dtype == np.uint8 else texture
    return np.median(lab_of(encoded[(share > 0.5) & (share < 0.8)]), axis=0)


def _shares() -> np.ndarray:
    """(SIZE, SIZE) distance from the pupil's middle in iris radii."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) / SIZE - 0.5
    return np.hypot(x, y) / IRIS_RADIUS


@pytest.fixture(scope="module")
def avatar(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """The capture of an avatar with brown eyes."""
    return write_capture(tmp_path_factory.mktemp("avatar") / "capture", eyes=eyes_of(BROWN), size=256)


@pytest.fixture(scope="module")
def performer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photo of somebody with green eyes and other fibres."""
    return photo(tmp_path_factory.mktemp("performer"), GREEN)


@pytest.fixture(scope="module")
def green(avatar: Capture, performer: Path, tmp_path_factory: pytest.TempPathFactory) -> SwapResult:
    return swap(avatar.folder, performer, tmp_path_factory.mktemp("green"), SwapSettings(**QUICK))


@pytest.fixture(scope="module")
def kept(avatar: Capture, performer: Path, tmp_path_factory: pytest.TempPathFactory) -> SwapResult:
    """The same swap with the avatar's eyes."""
    return swap(avatar.folder, performer, tmp_path_factory.mktemp("kept"), SwapSettings(eye_colour=0, **QUICK))


def texture_of(folder: Path) -> np.ndarray:
    return read_png(folder / "textures" / "eyes.png")[..., :3]


def error(result: SwapResult, colour: tuple[float, float, float]) -> float:
    """CIEDE2000 between the double's irises and the performer's true ones."""
    return ciede2000(usual(texture_of(result.folder)), usual(eyes_of(colour, 8)))


def test_the_double_has_the_performers_iris_colour(avatar: Capture, green: SwapResult, kept: SwapResult) -> None:
    assert green.warnings == ()
    assert error(green, GREEN) < 3 and error(kept, GREEN) > 25
    assert_array_equal(texture_of(kept.folder), texture_of(avatar.folder))
    assert_array_equal(read_png(green.folder / "texture.png"), read_png(kept.folder / "texture.png"))
    told = green.report["eyes"]
    assert told["reason"] is None and told["textures"] == {"eyes": "textures/eyes.png"}
    assert {note["eye"] for note in told["measured"]} == {"left", "right"} and kept.report["eyes"] is None
    written = json.loads((green.folder / "swap.json").read_text())
    assert written["eyes"] == told and written["settings"]["eye_colour"] == 1


def test_pupil_and_white_keep_their_bits_and_fibres_stay(avatar: Capture, green: SwapResult) -> None:
    old, new, share = texture_of(avatar.folder), texture_of(green.folder), _shares()
    assert_array_equal(new[share > 1.1], old[share > 1.1])
    assert_array_equal(new[share < 0.28], old[share < 0.28])
    ring = (share > 0.5) & (share < 0.9)
    assert (new[ring] != old[ring]).any(-1).all()
    before, after = (lab_of(t[ring] / np.float32(255))[:, 0] for t in (old, new))
    assert np.corrcoef(before, after)[0, 1] > 0.97
    # No halo: nothing at the rim is more colourful than the iris itself.
    rim = (share > 0.95) & (share < 1.1)
    chroma = [np.hypot(*lab_of(new[where] / np.float32(255)).T[1:]) for where in (rim, ring)]
    assert np.percentile(chroma[0], 99) < np.percentile(chroma[1], 90)


def test_views_show_the_new_irises_as_a_render_would(avatar: Capture, green: SwapResult, kept: SwapResult) -> None:
    mesh, result, without = looking(synthetic.head("A")), Capture.load(green.folder), Capture.load(kept.folder)
    textures = [linear_from_srgb(texture_of(folder) / np.float32(255)) for folder in (avatar.folder, green.folder)]
    skin = linear_from_srgb(synthetic.paint("A", 256))
    changed_pixels = 0
    for view in avatar.views:
        old, new = (synthetic.render(mesh, skin, view.camera, Light(), eyes=eyes) for eyes in textures)
        swapped, plain = (c.load_view(c.view(view.name)) for c in (result, without))
        assert_array_equal(swapped.alpha, plain.alpha)
        iris = np.abs(new.rgb - old.rgb).max(-1) > 0
        away = cv2.dilate(iris.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
        assert_array_equal(swapped.rgb[away], plain.rgb[away])
        within = iris & (old.masks["eye"] > 0.99)
        changed_pixels += int(within.sum())
        if within.any():
            before, after = (np.abs(v.rgb - new.rgb)[within].mean() for v in (plain, swapped))
            assert after < 0.35 * before
    assert changed_pixels > 20


def prepared(avatar: Capture, source: Path, **settings: float) -> PreparedSwap:
    """The swap without its views."""
    asked = SwapSettings(engine="cpu", **QUICK, **settings)
    return UvSwapper().prepare(avatar, load_source(source), asked, None, lambda: False)


def measured_error(avatar: Capture, source: Path, colour: tuple[float, float, float]) -> float:
    """CIEDE2000 of the irises that a source of that true colour gives."""
    made = prepared(avatar, source)
    assert made.report["eyes"]["reason"] is None and made.warnings == []
    return ciede2000(usual(made.textures[1]), usual(eyes_of(colour, 8)))


@pytest.mark.parametrize("pixels", [1.0, 2.0])
def test_landmarks_that_err_do_not_matter(avatar: Capture, tmp_path: Path, pixels: float) -> None:
    source = photo(tmp_path, GREEN, noise_px=pixels, seed=int(pixels))
    assert measured_error(avatar, source, GREEN) < 3


@pytest.mark.parametrize("gaze", [(15.0, 0.0), (-15.0, 0.0)])
def test_the_gaze_does_not_matter(avatar: Capture, tmp_path: Path, gaze: tuple[float, float]) -> None:
    assert measured_error(avatar, photo(tmp_path, GREEN, gaze=gaze), GREEN) < 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"gaze": (0.0, 10.0)}, {"azimuth": 25.0}, {"light": Light(key=(-1.0, -0.6, 0.1), ambient=0.2, fill=0.0)}],
)
def test_nor_do_height_of_gaze_turn_of_head_and_light(avatar: Capture, tmp_path: Path, options: dict) -> None:
    assert measured_error(avatar, photo(tmp_path, GREEN, **options), GREEN) < 5


@pytest.mark.slow
@pytest.mark.parametrize("colour", [BLUE, (0.14, 0.08, 0.05), (0.45, 0.33, 0.18)])
def test_other_colours(avatar: Capture, tmp_path: Path, colour: tuple[float, float, float]) -> None:
    assert measured_error(avatar, photo(tmp_path, colour), colour) < 5


def test_strength_leads_from_one_colour_to_the_other(avatar: Capture, performer: Path, green: SwapResult) -> None:
    half = prepared(avatar, performer, eye_colour=0.5)
    ends = [usual(texture_of(folder)) for folder in (avatar.folder, green.folder)]
    assert_allclose(usual(half.textures[1]), np.mean(ends, axis=0), atol=2)


def test_closed_eyes_are_left_bit_by_bit(avatar: Capture, tmp_path: Path) -> None:
    source = photo(tmp_path, GREEN)
    points = {int(k): np.array(v) for k, v in json.loads((source / "landmarks.json").read_text())["points"].items()}
    for upper, lower in ((37, 41), (38, 40), (43, 47), (44, 46)):
        points[upper] = points[upper] + 0.9 * (points[lower] - points[upper])
    write_landmarks(source, np.array([points[i] for i in range(68)]))
    asked, plain = (swap(avatar.folder, source, tmp_path / str(c), SwapSettings(eye_colour=c, **QUICK)) for c in (1, 0))
    assert asked.warnings == ("The eyes keep the avatar's colour: the eyes in portrait.png are closed.",)
    assert asked.report["eyes"]["colour"] is None and asked.report["eyes"]["textures"] == {}
    assert_array_equal(texture_of(asked.folder), texture_of(avatar.folder))
    for view in avatar.views:
        assert (asked.folder / view.exr).read_bytes() == (plain.folder / view.exr).read_bytes()


def test_what_shows_no_colour_is_said(avatar: Capture, tmp_path: Path) -> None:
    def reason(source: Path) -> str:
        made = prepared(avatar, source)
        assert made.textures == {} and made.digest == ""
        (sentence,) = [w for w in made.warnings if "eyes" in w]
        assert sentence == f"The eyes keep the avatar's colour: {made.report['eyes']['reason']}."
        return sentence

    # Grey balls, with landmarks as if the eyes were open.
    assert "do not show the iris clearly" in reason(write_source(tmp_path / "plain", size=SIDE, samples=2))
    assert "too small" in reason(write_source(tmp_path / "small", size=200, eyes=eyes_of(GREEN), samples=2))
    source = photo(tmp_path, GREEN)
    grey = read_png(source / "portrait.png")[..., :3].mean(-1, keepdims=True)
    write_png(source / "portrait.png", np.repeat(np.rint(grey).astype(np.uint8), 3, axis=-1))
    write_consent(source)
    assert "without colour" in reason(source)


def test_avatars_whose_eyes_cannot_change(performer: Path, tmp_path: Path) -> None:
    plain = write_capture(tmp_path / "plain", views=(0,), size=64)
    kept = "The eyes keep the avatar's colour: "
    assert prepared(plain, performer).warnings == [f"{kept}the avatar's eyes have no texture."]
    white = write_capture(tmp_path / "white", views=(0,), size=64, eyes=np.full((SIZE, SIZE, 3), 0.8))
    assert prepared(white, performer).warnings == [f"{kept}no iris is found on the avatar's eyes."]
    white.objects[1] = attrs.evolve(white.objects[1], part="other")
    assert prepared(white, performer).warnings == [f"{kept}the avatar has no eyes that are a part of their own."]


def test_the_avatars_irises_are_found() -> None:
    mesh = looking(synthetic.head("A"), 4.0, -3.0)
    scale = face_scale(mesh)
    assert scale is not None
    found = find_irises(mesh, 1, np.rint(eyes_of(BROWN) * 255).astype(np.uint8), scale)
    assert found is not None and [eye.left for eye in found.eyes] == [False, True]
    for eye in found.eyes:
        assert_allclose(eye.radius, 0.0125, rtol=0.03)
        looks = np.array([np.sin(np.radians(4)), -1, -np.sin(np.radians(3))])
        assert np.degrees(np.arccos(eye.axis @ looks / np.linalg.norm(looks))) < 1.5
        assert_allclose(eye.radius * np.sin(eye.iris), 0.00585, rtol=0.06)
        assert_allclose(eye.pupil / eye.iris, 0.35, atol=0.06)
    share = _shares()
    assert (found.ring[(share > 0.45) & (share < 0.95)] > 0.99).all() and found.ring[share > 1.15].max() == 0
    assert not (found.white & (share < 1)).any() and found.band.sum() > 500
    assert find_irises(mesh, 0, np.full((64, 64, 3), 128, np.uint8), scale) is None  # the head is no ball of that size


def test_an_avatar_without_landmarks_at_the_eyes_has_no_scale() -> None:
    mesh = synthetic.head("A")
    ids = mesh.landmarks.copy()
    ids[40] = -1
    assert face_scale(attrs.evolve(mesh, landmarks=ids)) is None and face_scale(mesh) is not None


def test_one_eye_that_errs_does_not_pull_the_others() -> None:
    def iris(colour: tuple[float, float, float], weight: float) -> MeasuredIris:
        noise = np.random.default_rng(0).normal(0, 0.002, (200, 3))
        albedo = np.clip(linear_from_srgb(np.array(colour)) + noise, 0, 1).astype(np.float32)
        return MeasuredIris(True, albedo, weight, 12.0, np.zeros(2), "white")

    joined = joined_colour([iris(GREEN, 1.0), iris(GREEN, 0.8), iris((0.8, 0.8, 0.8), 0.9)])
    goal = lab_of(np.array([GREEN], np.float32))[0]
    assert ciede2000(joined, goal) < 3


@pytest.mark.parametrize("colours", [(BROWN, BLUE), (BLUE, BROWN), (GREEN, (0.05, 0.03, 0.02))])
def test_recolouring_meets_its_goal(mesh: Mesh, colours: tuple) -> None:
    old, goal = (np.rint(eyes_of(c) * 255).astype(np.uint8) for c in colours)
    scale = face_scale(mesh)
    assert scale is not None
    texture = find_irises(mesh, 1, old, scale)
    assert texture is not None
    wanted = usual(goal)
    changed = recoloured(texture, wanted, 1.0)
    assert ciede2000(usual(changed), wanted) < 2
    assert_array_equal(recoloured(texture, wanted, 0.0), old)
    assert ciede2000(usual_colour(texture), usual(old)) < 2


@pytest.fixture
def mesh() -> Mesh:
    return looking(synthetic.head("A"))


def test_lids_shade_the_white_more_than_the_iris() -> None:
    """Between lids the light falls off towards both corners: what tells of the light on the iris is the brightest of
    the white."""
    albedo, white = np.array([0.12, 0.05, 0.02]), np.array([0.7, 0.66, 0.6])
    height, width = 96, 136
    y, x = np.mgrid[:height, :width] + 0.5
    across, share = np.abs(x - width / 2) / RADIUS, np.hypot(x - width / 2, y - height / 2) / RADIUS
    light = 0.8 * (1 - 0.35 * np.clip(across - 1.2, 0, 1))
    linear = np.where((share < 1)[..., None], albedo, white) * light[..., None]
    linear[share < 0.36] = 0.004
    linear = linear.astype(np.float32)
    encoded = srgb_from_linear(linear).astype(np.float32)
    is_open = np.abs(y - height / 2) < 19
    window = Window(
        linear=linear, encoded=encoded, bright=iris_brightness(encoded), open=is_open,
        depth=np.where(is_open, 19 - np.abs(y - height / 2), 0), under=(y - height / 2 + 19).astype(np.float32),
        expected=np.array([width / 2, height / 2]), squeeze=1.0, left=True, photo_radius=12.0,
    )  # fmt: skip
    ahead = np.array([0.0, -1.0, 0.0])
    eye = Eye(True, np.arange(3), np.zeros(3), 0.012, ahead, 0.5, ahead, 0.2)
    evenly = Shading(np.concatenate([np.ones((1, 3)), np.zeros((8, 3))]), np.ones(3), 0.0)
    measured = measure(window, eye, evenly, white, 0.0)
    assert isinstance(measured, MeasuredIris) and measured.light == "white"
    assert_allclose(np.median(measured.albedo, axis=0), albedo, rtol=0.03)
