# SPDX-License-Identifier: GPL-3.0-or-later
"""The source folder: photos by their first bytes, landmark files of three kinds, what is lacking, what is written."""

from __future__ import annotations

import json
import struct
from datetime import date
from pathlib import Path

import attrs
import bpy
import numpy as np
import pytest

from blender_addon.performer import landmark_files, store
from blender_addon.performer.folder import FolderState, look
from blender_addon.performer.photo_header import read_header
from blender_addon.performer.photo_image import PhotoImage, pixels_of
from interchange.consent import load_consent, sha256_of_file
from interchange.errors import InputError
from tests.blender_addon.performers import exif_segment, face, photo, picture, tagged_jpeg

TODAY = date(2026, 1, 1)
TERMS = store.Terms("employment", "J. Doe", "J. Doe", "self", "a short film", date(2027, 12, 31))


def state(folder: Path) -> FolderState:
    return look(folder, TODAY)


def clean(name: str) -> str:
    return bpy.path.clean_name(name)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A complete folder of one photo."""
    folder = tmp_path / "source"
    store.add_photo(state(folder), photo(tmp_path / "portrait.png"), clean)
    store.save_points(state(folder), state(folder).photo("portrait.png"), face())
    store.write_consent(state(folder), TERMS)
    assert state(folder).problem is None
    return folder


# --- photos


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_jpeg_is_shown_upright(empty: object, tmp_path: Path, orientation: int) -> None:
    upright = picture()
    path = tagged_jpeg(tmp_path / "a.jpg", bpy, upright, orientation)
    header = read_header(path)
    assert (header.kind, header.width, header.height, header.orientation) == ("JPEG", 200, 160, orientation)
    before = set(bpy.data.images.keys())
    shown = PhotoImage(path)
    middles = (slice(20, None, 40), slice(20, None, 40))  # of the blocks, away from JPEG's seams
    np.testing.assert_allclose(pixels_of(shown.image)[middles][..., :3], upright[middles] / 255, atol=0.06)
    assert (shown.width, shown.height) == (200, 160)
    shown.close()
    shown.close()
    assert set(bpy.data.images.keys()) == before


def test_a_huge_turned_photo_is_shown_smaller_but_keeps_its_pixels(
    empty: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("blender_addon.performer.photo_image._LONGEST_TURNED", 100)
    shown = PhotoImage(tagged_jpeg(tmp_path / "a.jpg", bpy, picture(), 6))
    assert (shown.width, shown.height) == (200, 160) and tuple(shown.image.size) == (100, 80)
    shown.close()


def test_orientation_in_xmp_counts_where_exif_is_silent(tmp_path: Path) -> None:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 8 + 9, 8, 160, 200, 3) + bytes(9) + b"\xff\xd9"
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation="8"/>'
    segment = b"\xff\xe1" + struct.pack(">H", len(xmp) + 2) + xmp
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + segment + frame)
    assert read_header(tmp_path / "a.jpg").orientation == 8
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + exif_segment(3) + segment + frame)
    assert read_header(tmp_path / "a.jpg").orientation == 3
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8" + exif_segment(99) + frame)
    assert read_header(tmp_path / "a.jpg").orientation == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello", "no PNG, JPEG, WebP or TIFF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"GIF89a\x01", "a GIF"),
        (b"\xff\xd8\xff", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "cannot be used|damaged"),
        (b"II*\0\xff\xff\xff\xff", "cannot be used|damaged"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "cannot be used|damaged"),
    ],
)
def test_what_is_no_photo_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        store.add_photo(state(tmp_path / "source"), tmp_path / "a.jpg", clean)
    assert "PNG or JPEG" in str(caught.value)
    assert not (tmp_path / "source").exists()


def test_photos_are_copied_as_they_are_under_names_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "Müller & Söhne"
    first = photo(tmp_path / "Mein Foto.PNG")
    assert store.add_photo(state(folder), first, clean) == "Mein_Foto.png"
    assert (folder / "Mein_Foto.png").read_bytes() == first.read_bytes()
    assert store.add_photo(state(folder), first, clean) is None  # it is there already
    (tmp_path / "other").mkdir()
    other = photo(tmp_path / "other" / "Mein_Foto.png", seed=1)
    assert store.add_photo(state(folder), other, clean) == "Mein_Foto_2.png"
    assert store.add_photo(state(folder), folder / "Mein_Foto_2.png", clean) is None


def test_a_small_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a.png is 200 x 100 pixels"):
        store.add_photo(state(tmp_path / "source"), photo(tmp_path / "a.png", 200, 100), clean)


# --- landmarks


def test_points_from_three_kinds_of_file_mean_the_same_pixel(tmp_path: Path) -> None:
    points = face()
    store.landmarks.write_landmarks(tmp_path / "landmarks_x.json", "x.png", points)
    lines = "\n".join(f"{x + 0.5:.5f} {y + 0.5:.5f}" for x, y in points.values())
    (tmp_path / "a.pts").write_text(f"version: 1\nn_points:  68\n{{\n{lines}\n}}\n")
    (tmp_path / "list.json").write_text(json.dumps([[x - 0.5, y - 0.5] for x, y in points.values()]))
    for name in ("landmarks_x.json", "a.pts", "list.json"):
        read = landmark_files.read_points(tmp_path / name)
        np.testing.assert_allclose([read[i] for i in range(68)], [points[i] for i in range(68)], atol=1e-4)
    (tmp_path / "list.json").write_text(json.dumps([None] * 30 + [[1, 2]] + [None] * 37))
    assert landmark_files.read_points(tmp_path / "list.json") == {30: (1.5, 2.5)}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pts", "version: 1\n{\n1 2\n}\n", "has 1 points"),
        ("a.pts", "hello", "not a .pts file"),
        ("a.pts", "{\n" + "1 x\n" * 68 + "}", "not a .pts file"),
        ("a.pts", "{\n" + "1 nan\n" * 68 + "}", "Point 0"),
        ("a.json", "[", "cannot be read"),
        ("a.json", "[[1, 2]]", "has 1 points"),
        ("a.json", json.dumps([[1, True]] * 68), "Point 0"),
        ("a.json", '{"points": {}}', "digidouble-landmarks"),
    ],
)
def test_other_files_are_refused_in_words(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        landmark_files.read_points(tmp_path / name)


def test_the_photo_marked_first_settles_the_tone_and_others_get_their_own_file(source: Path, tmp_path: Path) -> None:
    store.add_photo(state(source), photo(tmp_path / "a_left.png", seed=2), clean)
    assert [p.name for p in state(source).photos] == ["portrait.png", "a_left.png"]
    path = store.save_points(state(source), state(source).photo("a_left.png"), face())
    assert path.name == "landmarks_a_left.json" and (source / "landmarks.json").exists()
    assert [p.name for p in state(source).photos] == ["portrait.png", "a_left.png"]
    store.save_points(state(source), state(source).photo("a_left.png"), {})
    assert not path.exists()


def test_another_photo_can_be_made_the_first(source: Path, tmp_path: Path) -> None:
    store.add_photo(state(source), photo(tmp_path / "left.png", seed=2), clean)
    with pytest.raises(InputError, match="no landmarks yet"):
        store.make_first(state(source), state(source).photo("left.png"))
    points = {i: face()[i] for i in range(40)}
    store.save_points(state(source), state(source).photo("left.png"), points)
    store.make_first(state(source), state(source).photo("left.png"))
    for _ in range(2):  # the second time there is nothing to do
        assert [(p.name, len(p.points)) for p in state(source).photos] == [("left.png", 40), ("portrait.png", 68)]
        assert sorted(p.name for p in source.glob("*.json")) == [
            "consent.json", "landmarks.json", "landmarks_portrait.json"
        ]  # fmt: skip
        store.make_first(state(source), state(source).photo("left.png"))


FOUND_BY = ({"role": "landmarker", "file": "2dfan4.onnx", "sha256": "ab" * 32},)


def test_the_networks_that_found_points_stay_with_them(source: Path, tmp_path: Path) -> None:
    store.add_photo(state(source), photo(tmp_path / "left.png", seed=1), clean)
    store.save_points(state(source), state(source).photo("left.png"), face(), FOUND_BY)
    left = state(source).photo("left.png")
    assert left.found_by == FOUND_BY and state(source).photo("portrait.png").found_by == ()
    store.save_points(state(source), left, {**face(), 30: (100.0, 90.0)})  # corrected by hand
    assert state(source).photo("left.png").found_by == FOUND_BY
    store.make_first(state(source), state(source).photo("left.png"))
    assert state(source).photos[0].name == "left.png" and state(source).photos[0].found_by == FOUND_BY
    copied = landmark_files.read_any(source / "landmarks.json")
    assert copied.found_by == FOUND_BY and copied.points[30] == (100.0, 90.0)
    store.save_points(state(source), state(source).photo("left.png"), {})
    store.save_points(state(source), state(source).photo("left.png"), face())  # placed by hand from the start
    assert state(source).photo("left.png").found_by == ()


def test_landmark_files_of_no_use_are_named(source: Path) -> None:
    (source / "landmarks_b.json").write_text("{")
    assert "landmarks_b.json" in state(source).problem
    store.landmarks.write_landmarks(source / "landmarks_b.json", "gone.png", face())
    assert state(source).problem.startswith("landmarks_b.json is about gone.png, which is not there")
    store.landmarks.write_landmarks(source / "landmarks_b.json", "portrait.png", face())
    assert state(source).problem.startswith("landmarks.json and landmarks_b.json are both about portrait.png")


# --- the folder and the record


def test_a_folder_says_what_it_lacks_step_by_step(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    assert state(folder).problem == "No photo yet."
    store.add_photo(state(folder), photo(tmp_path / "p.png"), clean)
    assert state(folder).problem == "p.png has no landmarks yet."
    store.save_points(state(folder), state(folder).photo("p.png"), face())
    assert state(folder).problem == "There is no consent record yet."
    store.write_consent(state(folder), TERMS)
    assert state(folder).problem is None
    record = load_consent(folder)
    assert record.source_sha256 == {"p.png": sha256_of_file(folder / "p.png")}
    assert store.terms_of(record) == TERMS
    with pytest.raises(InputError, match="no photo called 'q.png'.*p.png"):
        state(folder).photo("q.png")


def test_any_change_of_the_photos_asks_for_consent_again(source: Path, tmp_path: Path) -> None:
    store.add_photo(state(source), photo(tmp_path / "left.png", seed=3), clean)
    store.save_points(state(source), state(source).photo("left.png"), face())
    assert state(source).problem == "The consent record does not cover left.png: confirm again."
    store.write_consent(state(source), TERMS)
    assert state(source).problem is None
    photo(source / "portrait.png", seed=4)
    assert state(source).problem == "The consent record does not cover portrait.png: confirm again."
    store.remove_photo(state(source).photo("portrait.png"))
    assert state(source).problem is None and sorted(p.name for p in source.iterdir()) == [
        "consent.json", "landmarks_left.json", "left.png"
    ]  # fmt: skip


def test_an_expired_or_unfitting_record_is_told(source: Path) -> None:
    assert look(source, date(2027, 12, 31)).problem is None
    assert look(source, date(2028, 1, 1)).problem == "The consent of J. Doe expired on 2027-12-31. Ask for a new one."
    (source / "consent.json").write_text("{}")
    assert "not a consent record" in state(source).problem


def test_unknown_fields_stay_but_not_a_signature_under_other_words(source: Path) -> None:
    record = json.loads((source / "consent.json").read_text())
    (source / "consent.json").write_text(json.dumps(record | {"project": "Riverbed", "signature": "x"}))
    store.write_consent(state(source), TERMS)
    assert json.loads((source / "consent.json").read_text()) == record | {"project": "Riverbed"}


@pytest.mark.parametrize(
    ("field", "words"), [("subject", "who is depicted"), ("granted_by", "who gave it"), ("use", "the use")]
)
def test_an_empty_line_is_refused(source: Path, field: str, words: str) -> None:
    before = (source / "consent.json").read_bytes()
    with pytest.raises(InputError, match=words):
        store.write_consent(state(source), attrs.evolve(TERMS, **{field: "  "}))
    assert (source / "consent.json").read_bytes() == before


def test_consent_covers_photos_not_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no photo"):
        store.write_consent(state(tmp_path), TERMS)
