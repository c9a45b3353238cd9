# SPDX-License-Identifier: GPL-3.0-or-later
"""What the add-on says of photos and landmarks before a job is what the backend says of them in it. The parts of the
add-on that are tested here need no Blender.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.faceswap.registration import register
from backend.faceswap.source import load_source
from blender_addon.performer.checks import problem_of, remark_of
from blender_addon.performer.folder import look
from blender_addon.performer.photo_header import read_header, upright
from interchange.capture import Capture
from interchange.errors import InputError

from .synthetic import TODAY, write_consent, write_landmarks

FIVE = [30, 36, 45, 48, 54]
SIDE = 360


@pytest.fixture
def folder(source: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(source, tmp_path / "source"))


def swapped(points: np.ndarray, *pairs: tuple[int, int]) -> np.ndarray:
    changed = points.copy()
    for a, b in pairs:
        changed[[a, b]] = points[[b, a]]
    return changed


def shifted(points: np.ndarray, index: int, by: float) -> np.ndarray:
    changed = points.copy()
    changed[index, 1] += by
    return changed


CASES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], list[int] | None, bool]] = {
    "as they are": (lambda p: p, None, True),
    "the best five": (lambda p: p, FIVE, True),
    "four": (lambda p: p, FIVE[:4], False),
    "none": (lambda p: p, [], False),
    "mirrored": (lambda p: p * [-1, 1] + [SIDE, 0], None, False),
    "five mirrored": (lambda p: p * [-1, 1] + [SIDE, 0], FIVE, False),
    "upside down": (lambda p: p * [1, -1] + [0, SIDE], None, False),
    "turned by 20 degrees": (lambda p: (p - 180) @ np.array([[0.94, 0.34], [-0.34, 0.94]]) + 180, None, True),
    "eyes and mouth exchanged": (lambda p: swapped(p, (36, 45), (48, 54)), FIVE, False),
    "one outside": (lambda p: shifted(p, 8, 400), None, False),
    "on a stamp": (lambda p: p / 15 + 100, None, False),
}


@pytest.mark.parametrize("case", CASES)
def test_both_sides_take_or_refuse_the_same_points(folder: Path, capture: Capture, case: str) -> None:
    change, ids, good = CASES[case]
    points = np.array(list(load_source(folder, today=TODAY).photos[0].landmarks.values()))
    write_landmarks(folder, change(points), ids)
    assert (look(folder, TODAY).problem is None) == good
    try:
        register(capture.load_mesh(), load_source(folder, today=TODAY).photos[0])
        taken = True
    except InputError:
        taken = False
    assert taken == good


def test_a_stray_that_the_backend_refuses_is_remarked(folder: Path, capture: Capture) -> None:
    points = np.array(list(load_source(folder, today=TODAY).photos[0].landmarks.values()))
    write_landmarks(folder, shifted(points, 54, -110))
    photo = load_source(folder, today=TODAY).photos[0]
    with pytest.raises(InputError, match="landmark 54"):
        register(capture.load_mesh(), photo)
    assert problem_of("portrait.png", photo.landmarks, SIDE, SIDE) is None
    assert "point 54" in remark_of("portrait.png", photo.landmarks)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_both_sides_turn_a_photo_the_same_way(folder: Path, suffix: str, orientation: int) -> None:
    stored = np.asarray(Image.open(folder / "portrait.png").convert("RGB"))[:, 40:]
    options: dict = {".jpg": {"quality": 100, "subsampling": 0}, ".webp": {"lossless": True}}.get(suffix, {})
    exif = Image.Exif()
    exif[274] = orientation
    path = folder / f"photo{suffix}"
    Image.fromarray(stored).save(path, exif=exif, **options)
    path.replace(folder / "portrait.png")
    write_consent(folder)
    write_landmarks(folder, np.full((68, 2), 100.0))
    theirs = load_source(folder, today=TODAY).photos[0].image
    header = read_header(folder / "portrait.png")
    assert (header.height, header.width, header.orientation) == (*theirs.shape[:2], orientation)
    ours = upright(stored, header.orientation).astype(np.float32) / 255
    theirs_encoded = np.where(theirs > 0.0031308, 1.055 * theirs ** (1 / 2.4) - 0.055, theirs * 12.92)
    np.testing.assert_allclose(ours, theirs_encoded, atol=0.02 if suffix == ".jpg" else 1e-5)


def test_both_sides_judge_a_record_by_the_same_rules(folder: Path) -> None:
    for changes in ({}, {"expires": "2020-01-01"}, {"source_sha256": {}}, {"operations": ["voice"]}, {"use": ""}):
        write_consent(folder, **changes)
        ours = look(folder, TODAY).problem
        try:
            load_source(folder, today=TODAY)
            theirs = None
        except InputError as error:
            theirs = error.code
        assert (ours is None) == (theirs is None), changes
        assert theirs in (None, "CONSENT")
