# SPDX-License-Identifier: Apache-2.0
"""Many photos in a folder: which are decoded when, which are refused or left out, what the swap writes of it."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from pathlib import Path

import numpy as np
import pytest

from backend.faceswap.photos import report_of, sentences, used_photos
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import (
    DecodedPhoto,
    PhotoFile,
    SourceList,
    check_source,
    decode_photo,
    list_source,
    load_source,
)
from backend.faceswap.swap import swap
from interchange.capture import Capture
from interchange.consent import sha256_of_file
from interchange.errors import Cancelled, InputError
from interchange.mesh import Mesh

from . import synthetic

YAWS = {"a_front": 0, "b": -35, "c": -34, "d": -8, "e": 8, "f": 36}
QUICK = {"samples": 1, "texture_size": 256, "eye_colour": 0.0, "threads": 1}


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six photos of B: from the front, three of them near another one."""
    root = tmp_path_factory.mktemp("turned")
    out = root / "source"
    out.mkdir()
    for name, azimuth in YAWS.items():
        single = synthetic.write_source(root / name, size=220, azimuth=azimuth, samples=1)
        add(out, name, single / "portrait.png", json.loads((single / "landmarks.json").read_text())["points"])
    shutil.copy(root / "b" / "consent.json", out)
    agree(out)
    return out


@pytest.fixture
def folder(turned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(turned, tmp_path / "source"))


def add(folder: Path, name: str, picture: Path, points: dict) -> None:
    shutil.copy(picture, folder / f"{name}.png")
    value = {"format": "digidouble-landmarks", "version": 1, "image": f"{name}.png", "points": points}
    (folder / f"landmarks_{name}.json").write_text(json.dumps(value))


def agree(folder: Path) -> None:
    record = json.loads((folder / "consent.json").read_text())
    record["source_sha256"] = {p.name: sha256_of_file(p) for p in folder.glob("*.png")}
    (folder / "consent.json").write_text(json.dumps(record))


def head_mesh() -> tuple[Mesh, int]:
    return synthetic.head("A"), 0


def points_of(folder: Path, name: str) -> dict:
    return dict(json.loads((folder / f"landmarks_{name}.json").read_text())["points"])


def test_a_small_folder_is_used_whole_and_not_measured(folder: Path) -> None:
    def not_asked() -> tuple[Mesh, int]:
        raise AssertionError

    source, choice = used_photos(list_source(folder), not_asked, 6)
    whole = load_source(folder)
    assert choice is None and report_of(choice, 6) is None and sentences(choice) == []
    assert [p.path for p in source.photos] == [p.path for p in whole.photos] and source.digests == whole.digests
    assert all(np.array_equal(a.image, b.image) for a, b in zip(source.photos, whole.photos, strict=True))


def test_of_more_the_sides_and_the_front_are_used(folder: Path) -> None:
    told: list[float] = []
    listed = list_source(folder)
    source, choice = used_photos(listed, head_mesh, 3, lambda _, fraction, __: told.append(fraction))
    assert [p.path.stem for p in source.photos] in (["a_front", "b", "f"], ["a_front", "c", "f"])
    assert source.digests == listed.digests  # consent and digests cover all
    report = report_of(choice, 3)
    assert report is not None and choice is not None and len(told) == 6
    assert [p["photo"] for p in report["kept"]] == [p.path.name for p in source.photos]
    assert {p["photo"] for p in report["kept"] + report["left_out"]} == {f"{name}.png" for name in YAWS}
    assert all(p["reason"].endswith(".") and 0 < p["quality"] <= 1 for p in report["left_out"])
    assert "3 of 6 photos" in sentences(choice)[0]
    assert json.loads(json.dumps(report)) == report


def test_one_photo_is_in_memory_at_a_time(folder: Path) -> None:
    stray(folder, "c")  # what is said of it must not keep it
    alive: list[weakref.ref] = []
    counts: list[int] = []

    def decode(file: PhotoFile) -> DecodedPhoto:
        gc.collect()
        photo = decode_photo(file)
        alive.append(weakref.ref(photo.colour))
        counts.append(sum(image() is not None for image in alive))
        return photo

    source, choice = used_photos(list_source(folder), head_mesh, 2, decode=decode)
    assert choice is not None and len(source.photos) == 2
    assert counts == [1] * 8  # those that are used are kept in linear light


def test_a_photo_of_a_turn_that_cannot_be_read_is_refused_by_name(folder: Path) -> None:
    (folder / "d.png").write_bytes(b"not a picture")
    agree(folder)
    with pytest.raises(InputError, match="d.png cannot be read"):
        used_photos(list_source(folder), head_mesh, 3)
    with pytest.raises(InputError, match="d.png cannot be read"):
        check_source(folder)


def test_all_that_cannot_be_used_are_named_at_once(folder: Path) -> None:
    (folder / "d.png").write_bytes(b"not a picture")
    mirrored = {k: [220 - x, y] for k, (x, y) in points_of(folder, "f").items()}
    add(folder, "f", folder / "e.png", mirrored)
    agree(folder)
    with pytest.raises(InputError, match=r"2 of 6 photos cannot be used: d.png, f.png. .*d.png cannot be read"):
        used_photos(list_source(folder), head_mesh, 3)


def stray(folder: Path, name: str) -> None:
    points = points_of(folder, name)
    points["8"] = [5.0, 5.0]  # the chin in a corner
    shutil.copy(folder / f"{name}.png", folder / "x.png")
    add(folder, name, folder / "x.png", points)
    (folder / "x.png").unlink()


def test_stray_landmarks_are_left_out_where_a_good_photo_shows_the_same(folder: Path) -> None:
    stray(folder, "c")
    source, choice = used_photos(list_source(folder), head_mesh, 3)
    assert [p.path.stem for p in source.photos] == ["a_front", "b", "f"] and choice is not None
    left = {p.name: p for p in choice.left_out}
    assert left["c.png"].quality is None
    assert left["c.png"].reason.startswith("In c.png landmark 8 does not lie where a face has it. b.png shows")
    assert sentences(choice)[1] == f"c.png was left out. {left['c.png'].reason}"


@pytest.mark.parametrize("name", ["f", "a_front"])
def test_stray_landmarks_are_refused_where_they_are_missed(folder: Path, name: str) -> None:
    """f alone shows its side; the first photo is the artist's, whatever else shows the front."""
    stray(folder, name)
    with pytest.raises(InputError, match=f"{name}.png landmark 8"):
        used_photos(list_source(folder), head_mesh, 3)


def test_it_stops_when_told(folder: Path) -> None:
    with pytest.raises(Cancelled):
        used_photos(list_source(folder), head_mesh, 3, cancelled=lambda: True)
    told: list[str] = []
    with pytest.raises(Cancelled):
        check_source(folder, lambda _, __, message: told.append(message), lambda: len(told) == 2)
    assert told == ["Reading a_front.png", "Reading b.png"]


@pytest.mark.slow
def test_the_swap_tells_of_the_choice_and_makes_what_the_chosen_alone_make(
    capture: Capture, folder: Path, tmp_path: Path
) -> None:
    many = swap(capture.folder, folder, tmp_path / "many", SwapSettings(photos=2, **QUICK))
    written = json.loads((tmp_path / "many" / "swap.json").read_text())
    kept = [p["photo"] for p in written["choice"]["kept"]]
    assert len(kept) == 2 and kept == [p["photo"] for p in written["photos"]]
    assert len(written["choice"]["left_out"]) == 4
    assert set(written["digests"]["source"]) == {p.name for p in folder.iterdir()}
    assert many.warnings[0].startswith("2 of 6 photos are used")
    for name in YAWS:
        if f"{name}.png" not in kept:
            (folder / f"landmarks_{name}.json").unlink()
    few = swap(capture.folder, folder, tmp_path / "few", SwapSettings(photos=2, **QUICK))
    assert few.report["choice"] is None
    one, other = ((tmp_path / name / "texture.png").read_bytes() for name in ("many", "few"))
    assert one == other


@pytest.mark.parametrize("value", [0, 2.5, True, "3"])
def test_a_number_of_photos_that_is_none_is_named(value: object) -> None:
    with pytest.raises(InputError, match="photos is .*whole number from 1 to 1000"):
        SwapSettings(photos=value)  # type: ignore[arg-type]


def test_a_list_becomes_a_source_of_the_same_folder(folder: Path) -> None:
    listed = list_source(folder)
    assert isinstance(listed, SourceList) and len(listed.files) == 6
    source = listed.with_photos([])
    assert source.folder == folder and source.consent == listed.consent and source.photos == ()
