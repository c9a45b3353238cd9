# SPDX-License-Identifier: Apache-2.0
"""The whole stage: capture and source in, swapped capture out, against the rendered truth."""

import json
import shutil
from datetime import date
from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.faceswap.registry import swapper_named, swappers
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from backend.faceswap.swap import SwapResult, swap
from backend.faceswap.uv import make_skin
from interchange.capture import Capture, ViewImages, write_view
from interchange.errors import Cancelled, InputError
from interchange.exr import Blocks, read_exr
from interchange.png import read_png, write_png

from . import synthetic
from .synthetic import Light, write_consent, write_landmarks, write_source


def face_psnr(first: Capture, second: Capture, view: str) -> float:
    a, b = (c.load_view(c.view(view)) for c in (first, second))
    mask = b.masks["face"]
    error = ((a.display() - b.display()) ** 2).mean(-1)
    return float(-10 * np.log10((error * mask).sum() / mask.sum()))


def made_skin(capture: Capture, source: Path, **settings: object) -> np.ndarray:
    """(256, 256, 3) the new texture alone."""
    head, item = capture.object_of_part("head")
    asked = SwapSettings(**settings)  # type: ignore[arg-type]
    return make_skin(capture.load_mesh(), head, capture.load_texture(item), load_source(source), asked).skin


def test_the_swap_is_close_to_the_true_swap_in_all_views(capture: Capture, truth: Capture, swapped: SwapResult) -> None:
    result = Capture.load(swapped.folder)
    for view in capture.views:
        assert face_psnr(result, truth, view.name) > 30
        assert face_psnr(capture, truth, view.name) < 15


def test_landmarks_that_err_cost_little(capture: Capture, truth: Capture, tmp_path: Path) -> None:
    folder = write_source(tmp_path / "source", light=Light(key=(-0.6, -1.0, 0.3)), noise_px=2.0)
    found = {}
    for name, settings in (("trusted", SwapSettings(smoothing=0.0)), ("weighed", SwapSettings())):
        swap(capture.folder, folder, tmp_path / name, settings)
        result = Capture.load(tmp_path / name)
        found[name] = np.mean([face_psnr(result, truth, view.name) for view in capture.views])
    assert found["weighed"] > 28 and found["weighed"] > found["trusted"]


def test_light_from_one_side_comes_off(capture: Capture, truth: Capture, tmp_path: Path) -> None:
    folder = write_source(tmp_path / "source", light=Light(key=(-1.0, -0.3, 0.1), ambient=0.15, fill=0.0))
    found = {}
    for delight in (True, False):
        swap(capture.folder, folder, tmp_path / str(delight), SwapSettings(delight=delight))
        result = Capture.load(tmp_path / str(delight))
        found[delight] = np.mean([face_psnr(result, truth, view.name) for view in capture.views])
    assert found[True] > found[False] + 6


def test_light_has_to_come_off_first(
    capture: Capture, truth: Capture, source: Path, swapped: SwapResult, tmp_path: Path
) -> None:
    swap(capture.folder, source, tmp_path, SwapSettings(delight=False))
    lit, evenly = Capture.load(tmp_path), Capture.load(swapped.folder)
    for shaded in ("view_001", "view_002"):
        assert face_psnr(evenly, truth, shaded) > face_psnr(lit, truth, shaded) + 2


def test_the_result_is_a_capture(capture: Capture, swapped: SwapResult) -> None:
    result = Capture.load(swapped.folder)
    assert [(v.name, v.split, v.pose) for v in result.views] == [(v.name, v.split, v.pose) for v in capture.views]
    for old, new in zip(capture.views, result.views, strict=True):
        assert_array_equal(old.camera.K, new.camera.K)
        channels = read_exr(result.folder / new.exr)
        assert set(channels) == {*"RGBA", "depth.Z", "mask.face", "mask.skin", "mask.eye", "mask.hair"}
        before = read_exr(capture.folder / old.exr)
        for name in channels.keys() - set("RGB"):
            assert_array_equal(channels[name], before[name])
        assert min(channels[c].min() for c in "RGB") >= 0
        assert read_png(result.folder / new.preview).shape == (112, 112, 4)
    assert_array_equal(result.load_mesh().vertices, capture.load_mesh().vertices)
    texture = read_png(result.folder / "textures/head.png")
    assert texture.shape == (256, 256, 3)
    assert_array_equal(texture, read_png(result.folder / "texture.png"))
    assert read_png(result.folder / "texture_mask.png").max() == 255
    assert (result.folder / "strip.png").is_file() and (result.folder / "transforms.json").is_file()


def test_eyes_hair_and_background_keep_their_bits(capture: Capture, swapped: SwapResult) -> None:
    result = Capture.load(swapped.folder)
    for view in capture.views:
        before, after = (c.load_view(c.view(view.name)) for c in (capture, result))
        bare = before.masks["skin"] == 0
        inner = bare.copy()  # the pixel filter reaches into neighbours
        for axis in (0, 1):
            inner &= np.roll(bare, 1, axis) & np.roll(bare, -1, axis)
        assert inner.sum() > 1500 and (before.masks["eye"][inner] > 0).any()
        assert_array_equal(after.rgb[inner], before.rgb[inner])


def test_with_the_avatars_own_tone_only_the_face_changes(capture: Capture, source: Path, tmp_path: Path) -> None:
    swap(capture.folder, source, tmp_path, SwapSettings(tone=0.0))
    result = Capture.load(tmp_path)
    mask = read_png(tmp_path / "texture_mask.png")[..., 0]
    old, new = (read_png(c.folder / "textures/head.png") for c in (capture, result))
    assert_array_equal(new[mask == 0], old[mask == 0])
    plain = old[mask == 255].mean(0) - new[mask == 255].mean(0)
    assert np.abs(plain).max() < 15  # the performer's face in the avatar's tone
    for view in capture.views:
        before, after = (c.load_view(c.view(view.name)) for c in (capture, result))
        outside = before.masks["face"] == 0
        away = outside & np.roll(outside, 1, 0) & np.roll(outside, -1, 0) & np.roll(outside, 1, 1)
        away &= np.roll(outside, -1, 1)
        assert_array_equal(after.rgb[away], before.rgb[away])


def test_the_tone_leads_from_one_skin_to_the_other(capture: Capture, source: Path, swapped: SwapResult) -> None:
    head, item = capture.object_of_part("head")
    mesh, texture = capture.load_mesh(), capture.load_texture(item)
    read = load_source(source)
    neck = np.s_[220:240, 100:150]
    values = []
    for tone in (0.0, 0.5, 1.0):
        made = make_skin(mesh, head, texture, read, SwapSettings(tone=tone))
        values.append(made.skin[neck].mean((0, 1)))
        edge = made.skin[195:220, 115:140].astype(float)
        assert np.abs(np.diff(edge.mean((1, 2)))).max() < 8  # no jump where chin meets neck
    assert (values[0] > values[1] + 15).all() and (values[1] > values[2] + 15).all()
    performer = 255 * np.array(synthetic.SKINS["B"].tone)
    assert np.abs(values[2] - performer).max() < 12


def test_a_second_run_keeps_finished_views(capture: Capture, source: Path, swapped: SwapResult, tmp_path: Path) -> None:
    out = Path(shutil.copytree(swapped.folder, tmp_path / "out"))
    names = tuple(v.name for v in capture.views)
    again = swap(capture.folder, source, out)
    assert again.kept == names and again.rendered == ()
    (out / capture.views[1].exr).unlink()
    again = swap(capture.folder, source, out)
    assert again.rendered == (names[1],)
    assert (out / capture.views[1].exr).read_bytes() == (swapped.folder / capture.views[1].exr).read_bytes()
    assert swap(capture.folder, source, out, SwapSettings(strength=0.5)).kept == ()


def test_a_changed_view_is_made_again(capture: Capture, source: Path, swapped: SwapResult, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(capture.folder, tmp_path / "capture"))
    out = Path(shutil.copytree(swapped.folder, tmp_path / "out"))
    view = capture.views[2]
    images = capture.load_view(view)
    write_view(folder / view.exr, attrs.evolve(images, rgb=images.rgb * 0.5))
    assert swap(folder, source, out).rendered == (view.name,)


def test_a_cancelled_run_goes_on_where_it_was(capture: Capture, source: Path, tmp_path: Path) -> None:
    def finished() -> bool:
        return len(list((tmp_path / "views").glob("*.exr"))) >= 1 if (tmp_path / "views").is_dir() else False

    with pytest.raises(Cancelled):
        swap(capture.folder, source, tmp_path, SwapSettings(threads=1), cancelled=finished)
    assert not (tmp_path / "swap.json").exists()
    result = swap(capture.folder, source, tmp_path)
    assert result.kept == ("view_000",) and len(result.rendered) == 2
    with pytest.raises(Cancelled):
        swap(capture.folder, source, tmp_path, cancelled=lambda: True)


def test_views_that_are_made_anew_are_noted_as_unfinished_first(
    capture: Capture, source: Path, swapped: SwapResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(swapped.folder, tmp_path / "out"))
    noted: list[list[str]] = []

    def write_and_look(path: Path, images: ViewImages, coder: Blocks) -> None:
        noted.append(sorted(json.loads((out / "swap_state.json").read_text())["views"]))
        write_view(path, images, coder)

    monkeypatch.setattr("backend.faceswap.swap.write_view", write_and_look)
    (out / capture.views[1].exr).unlink()
    swap(capture.folder, source, out, SwapSettings(threads=1))
    assert noted == [["view_000", "view_002"]]
    noted.clear()
    swap(capture.folder, source, out, SwapSettings(threads=1, strength=0.5))
    assert noted[0] == []


def test_progress_goes_forward_and_says_what_is_done(capture: Capture, source: Path, tmp_path: Path) -> None:
    told: list[tuple[str, float, str]] = []
    swap(capture.folder, source, tmp_path, progress=lambda *event: told.append(event))
    for stage in ("skin", "views"):
        fractions = [f for s, f, _ in told if s == stage]
        assert fractions == sorted(fractions) and fractions[0] >= 0 and fractions[-1] <= 1
    assert told[-1][:2] == ("swap", 1.0)


def test_the_report_says_what_went_in(capture: Capture, source: Path, swapped: SwapResult) -> None:
    report = json.loads((swapped.folder / "swap.json").read_text())
    assert report["format"] == "digidouble-swap" and report["swapper"] == "uv"
    assert set(report["digests"]["source"]) == {"portrait.png", "landmarks.json", "consent.json"}
    photo = report["photos"][0]
    assert photo["landmarks"] == 68 and photo["landmark_rms_px"]["warped"] < 0.1 and photo["smoothing"] <= 0.03
    assert np.array(photo["light"]["coefficients"]).shape == (9, 3)
    assert report["settings"]["tone"] == 1.0
    assert report["warnings"] == ["The eyes keep the avatar's colour: the avatar's eyes have no texture."]


def test_threads_do_not_change_the_result(capture: Capture, source: Path, swapped: SwapResult, tmp_path: Path) -> None:
    swap(capture.folder, source, tmp_path, SwapSettings(threads=1))
    for view in capture.views:
        assert (tmp_path / view.exr).read_bytes() == (swapped.folder / view.exr).read_bytes()


def test_two_photos_show_more_than_one(capture: Capture, truth: Capture, source: Path, tmp_path: Path) -> None:
    side = write_source(tmp_path / "side", azimuth=-45, light=Light(key=(-0.6, -1.0, 0.3)))
    both = Path(shutil.copytree(source, tmp_path / "both"))
    shutil.copy(side / "portrait.png", both / "side.png")
    listed = json.loads((side / "landmarks.json").read_text()) | {"image": "side.png", "found_by": synthetic.FOUND_BY}
    (both / "landmarks_side.json").write_text(json.dumps(listed))
    digests = [synthetic.sha256_of_file(both / name) for name in ("portrait.png", "side.png")]
    write_consent(both, source_sha256=dict(zip(("portrait.png", "side.png"), digests, strict=True)))
    one = swap(capture.folder, source, tmp_path / "one", SwapSettings(symmetry=False))
    two = swap(capture.folder, both, tmp_path / "two", SwapSettings(symmetry=False))
    assert [photo.get("found_by") for photo in two.report["photos"]] == [None, synthetic.FOUND_BY]
    assert two.report["face_seen"] > one.report["face_seen"] + 0.05
    assert face_psnr(Capture.load(tmp_path / "two"), truth, "view_000") > 29


def test_parts_keep_the_avatars_own_as_far_as_asked(capture: Capture, source: Path) -> None:
    plain: dict = {"harmonize": "none", "tone": 0.0}
    old = read_png(capture.folder / "textures/head.png").astype(int)
    full = made_skin(capture, source, **plain).astype(int)
    none, half = (made_skin(capture, source, **plain, lips=s, eyes=s).astype(int) for s in (0.0, 0.5))
    mouth, eye, cheek = np.s_[166:172, 124:132], np.s_[112:116, 143:147], np.s_[140:150, 155:165]
    assert np.abs(none[cheek] - full[cheek]).max() <= 2  # the pyramid reaches far, but faintly
    for part in (mouth, eye):
        assert np.abs(full[part] - old[part]).mean() > 25
        assert_array_equal(none[part], old[part])
        assert np.abs(half[part] - (old[part] + full[part]) / 2).mean() < 8


def test_lips_take_the_tone_of_lips(capture: Capture, source: Path) -> None:
    """The performer's face in the avatar's tone: lips turn into the avatar's lips, not into a shade of its skin."""
    mouth = np.s_[166:172, 120:136]
    old = read_png(capture.folder / "textures/head.png")[mouth].mean((0, 1))
    assert np.abs(made_skin(capture, source, tone=0.0)[mouth].mean((0, 1)) - old).max() < 12


def test_a_gradient_blend_gives_up_the_faces_tone_and_keeps_its_detail(capture: Capture, source: Path) -> None:
    layered = made_skin(capture, source, harmonize="none").astype(float)
    gradient = made_skin(capture, source, harmonize="none", blend="gradient").astype(float)
    old = read_png(capture.folder / "textures/head.png").astype(float)
    cheek = np.s_[120:160, 150:170]
    there = old[cheek].mean((0, 1))
    assert np.abs(gradient[cheek].mean((0, 1)) - there).max() < 25 < np.abs(layered[cheek].mean((0, 1)) - there).max()
    assert_allclose(np.diff(gradient[cheek], axis=0).std(), np.diff(layered[cheek], axis=0).std(), rtol=0.25)


@pytest.mark.parametrize("method", ["reinhard", "histogram", "idt", "sot"])
def test_every_way_to_match_tones_brings_the_neck_to_the_performers(
    capture: Capture, source: Path, swapped: SwapResult, method: str
) -> None:
    neck = np.s_[220:240, 100:150]
    usual = read_png(swapped.folder / "texture.png")[neck].mean((0, 1))
    assert np.abs(made_skin(capture, source, harmonize=method)[neck].mean((0, 1)) - usual).max() < 8


def test_a_painted_mask_limits_the_swap(capture: Capture, source: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "masked"))
    painted = np.zeros((128, 128, 3), np.uint8)
    painted[:, 64:] = 255
    write_png(folder / "mask.png", painted)
    result = swap(capture.folder, folder, tmp_path / "out", SwapSettings(tone=0.0))
    old, new = (read_png(f / "textures/head.png") for f in (capture.folder, result.folder))
    assert_array_equal(new[:, :126], old[:, :126])
    assert np.abs(new[100:190, 130:170].astype(int) - old[100:190, 130:170]).mean() > 2
    assert "mask.png" in result.report["digests"]["source"]
    painted[:] = 0
    write_png(folder / "mask.png", painted)
    refused("mask.png is black", capture.folder, folder, tmp_path / "out")


def test_a_grey_photo_takes_the_avatars_tone_and_says_so(capture: Capture, source: Path, tmp_path: Path) -> None:
    import cv2

    folder = Path(shutil.copytree(source, tmp_path / "grey"))
    cv2.imwrite(str(folder / "portrait.png"), cv2.imread(str(folder / "portrait.png"), cv2.IMREAD_GRAYSCALE))
    write_consent(folder)
    result = swap(capture.folder, folder, tmp_path / "out")
    assert result.report["tone"] == 0 and "no colour" in result.warnings[0]


def test_a_profile_is_used_with_a_warning(capture: Capture, tmp_path: Path) -> None:
    folder = write_source(tmp_path / "profile", azimuth=75)
    result = swap(capture.folder, folder, tmp_path / "out")
    assert "from the side" in result.warnings[0]


def test_a_face_seen_from_behind_its_ear_is_refused(capture: Capture, tmp_path: Path) -> None:
    folder = write_source(tmp_path / "behind", azimuth=120)
    refused("mirrored: .* use one that shows the face", capture.folder, folder, tmp_path / "out")


def refused(words: str, *arguments: object, code: str = "INPUT", **more: object) -> None:
    with pytest.raises(InputError, match=words) as caught:
        swap(*arguments, **more)  # type: ignore[arg-type]
    assert caught.value.code == code


def test_without_consent_nothing_is_written(capture: Capture, source: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    (folder / "consent.json").unlink()
    refused("no consent record", capture.folder, folder, tmp_path / "out", code="CONSENT")
    write_consent(folder, expires="2020-01-01")
    refused("expired", capture.folder, folder, tmp_path / "out", code="CONSENT", today=date(2026, 1, 1))
    write_consent(folder, operations=["train"])
    refused("allows train", capture.folder, folder, tmp_path / "out", code="CONSENT")
    assert not (tmp_path / "out").exists()


def test_bad_input_leaves_earlier_results(
    capture: Capture, source: Path, swapped: SwapResult, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(swapped.folder, tmp_path / "out"))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    folder = Path(shutil.copytree(source, tmp_path / "source"))
    points = np.array(list(json.loads((folder / "landmarks.json").read_text())["points"].values()))
    write_landmarks(folder, points * [-1, 1] + [360, 0])
    refused("mirrored", capture.folder, folder, out)
    (folder / "landmarks.json").unlink()
    refused("no face landmarks", capture.folder, folder, out)
    refused("cannot write into the capture", capture.folder, source, capture.folder)
    refused("was swapped in already", out, source, tmp_path / "twice")
    refused("no swapper", capture.folder, source, out, SwapSettings(swapper="magic"))
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before and not (tmp_path / "twice").exists()


def test_a_damaged_capture_is_named(capture: Capture, source: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(capture.folder, tmp_path / "capture"))
    exr = folder / capture.views[1].exr
    exr.write_bytes(exr.read_bytes()[:900])
    refused("view_001.exr is damaged", folder, source, tmp_path / "out")
    exr.unlink()
    refused("view_001.exr is missing", folder, source, tmp_path / "out")
    (folder / "meshes/rest.npz").write_bytes(b"nothing")
    refused("rest.npz is damaged", folder, source, tmp_path / "out")


@pytest.mark.parametrize("wrong", [{"tone": 2}, {"strength": -1}, {"harmonize": "magic"}, {"samples": 0}])
def test_settings_out_of_range_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        SwapSettings(**wrong)


def test_the_registry_describes_its_swappers() -> None:
    assert "uv" in [info.name for info in swappers()]
    info = swapper_named("uv").info
    assert info.licence == "Apache-2.0" and info.guarantees and info.title
    with pytest.raises(InputError, match="magic"):
        swapper_named("magic")


@pytest.mark.parametrize("name", ["rig:head", "../../head", "head?"])
def test_a_head_of_one_colour_may_have_any_name(capture: Capture, source: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "job" / "capture"
    shutil.copytree(capture.folder, folder)
    plain = Capture.load(folder)
    head, item = plain.object_of_part("head")
    plain.objects[head] = attrs.evolve(item, name=name, texture=None, base_color=[0.5, 0.35, 0.3])
    plain.save_manifest()
    result = swap(folder, source, tmp_path / "job" / "swapped", SwapSettings(texture_size=64))
    texture = Capture.load(result.folder).objects[head].texture
    assert texture is not None and (result.folder / texture).is_file()
    assert {p.name for p in tmp_path.iterdir()} == {"job"} and len(list((tmp_path / "job").iterdir())) == 2


@pytest.mark.parametrize("swapper", ["uv", "classical"])
def test_a_swapped_face_is_not_swapped_again(swapped: SwapResult, source: Path, tmp_path: Path, swapper: str) -> None:
    with pytest.raises(InputError, match="shows a face that was swapped in already"):
        swap(swapped.folder, source, tmp_path / "again", SwapSettings(swapper=swapper, consistency=False))
    assert not (tmp_path / "again").exists()


def test_a_half_changed_folder_is_no_finished_swap(
    capture: Capture, swapped: SwapResult, source: Path, tmp_path: Path
) -> None:
    """Views of two performers under the record of the first: that must not be fitted, or signed."""
    out, other = tmp_path / "swapped", tmp_path / "source"
    shutil.copytree(swapped.folder, out)
    shutil.copytree(source, other)
    write_consent(other, subject="somebody else")
    swap(capture.folder, source, out)  # the same again: nothing changes
    assert Capture.load(out).views and (out / "swap.json").exists()
    done: list[str] = []

    def stop() -> bool:
        return bool(done)

    with pytest.raises(Cancelled):
        swap(capture.folder, other, out, SwapSettings(threads=1),
             lambda stage, _, __: done.append(stage) if stage == "views" else None, stop)  # fmt: skip
    with pytest.raises(InputError, match="capture.json is missing"):
        Capture.load(out)
    assert not (out / "swap.json").exists()
    swap(capture.folder, other, out)
    assert Capture.load(out).views and json.loads((out / "swap.json").read_text())["digests"]["consent"]
