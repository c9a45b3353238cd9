# SPDX-License-Identifier: Apache-2.0
"""What is wrong with folders that other programs made: each fault in one sentence that names the file and the view."""

import cv2
import numpy as np
import pytest

from backend.fitting.fit import fit
from backend.fitting.inputs import load_input
from backend.fitting.settings import FitSettings
from interchange.errors import InputError

from .foreign import around, change_json, write_colmap_model, write_transforms


@pytest.fixture
def nerfstudio(tmp_path):
    return write_transforms(tmp_path / "scene", around(9))


@pytest.fixture
def colmap(tmp_path):
    return write_colmap_model(tmp_path / "scene", around(9), binary=True)


def frame(index, **changes):
    return lambda content: content["frames"][index].update(changes)


NAN = [[float("nan")] * 4] * 4
TURNED = [[1, 0.5, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
MIRRORED = [[-1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: c.update(frames=[]), "has no views"),
        (lambda c: c.pop("frames"), "no list of frames"),
        (frame(2, file_path="images/gone.png"), "gone.png is missing"),
        (frame(2, file_path=3), "no file_path"),
        (frame(2, transform_matrix=NAN), "frame_002.png in .* holds NaN"),
        (frame(2, transform_matrix=TURNED), "frame_002.png in .* is no rotation"),
        (frame(2, transform_matrix=MIRRORED), "frame_002.png in .* is no rotation"),
        (frame(2, transform_matrix=np.zeros((4, 4)).tolist()), "is no rotation"),
        (frame(2, transform_matrix="x"), "no 4 x 4 matrix"),
        (frame(2, transform_matrix=[[1, 2], [3]]), "no 4 x 4 matrix"),
        (frame(2, fl_x=float("nan")), "frame_002.png in .* NaN or infinite"),
        (frame(2, fl_x=-3), "no positive focal length"),
        (frame(2, fl_x="wide"), "fl_x of images/frame_002.png in .* not a number"),
        (frame(2, w=0), "has 0 x 48 pixels"),
        (frame(2, w=float("inf")), "NaN or infinite"),
        (frame(2, k4=0.1), "distortion k4"),
        (frame(2, k1=1e6, k2=-1e9), "cannot be undone|no positive"),
        (frame(2, mask_path="nomask.png"), "nomask.png is missing"),
        (lambda c: c.update(camera_model="EQUIRECTANGULAR"), "is EQUIRECTANGULAR, which is not known"),
        (lambda c: c.update(is_fisheye=True), "is a fisheye, which is not known"),
        (lambda c: [f.pop("fl_x") and f.pop("fl_y") for f in c["frames"]], "has no focal length"),
        (lambda c: c.update(train_filenames=[]), "no training views"),
    ],
)
def test_bad_transforms_are_one_sentence(nerfstudio, change, words):
    change_json(nerfstudio / "transforms.json", change)
    with pytest.raises(InputError, match=words) as caught:
        load_input(nerfstudio)
    assert len(str(caught.value).splitlines()) == 1


def test_broken_files_are_one_sentence(nerfstudio, tmp_path):
    with pytest.raises(InputError, match="nowhere is missing"):
        load_input(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="neither a capture .* nor a transforms.json, nor a COLMAP model"):
        load_input(tmp_path / "empty")
    path = nerfstudio / "images/frame_004.png"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match="frame_004.png is damaged"):
        load_input(nerfstudio)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="frame_004.png is damaged"):
        load_input(nerfstudio)
    (nerfstudio / "transforms.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        load_input(nerfstudio)


def test_transparent_and_single_views(nerfstudio, tmp_path):
    cv2.imwrite(str(nerfstudio / "images/frame_001.png"), np.zeros((48, 48, 4), np.uint8))
    assert "1 of 7 training views show nothing" in load_input(nerfstudio).notes[0]
    for i in range(9):
        cv2.imwrite(str(nerfstudio / f"images/frame_{i:03d}.png"), np.zeros((48, 48, 4), np.uint8))
    with pytest.raises(InputError, match="All 7 training pictures .* fully transparent"):
        load_input(nerfstudio)
    alone = load_input(write_transforms(tmp_path / "one", around(1)))
    assert len(alone.train) == 1 and alone.held_out == []


def damaged(name, change):
    def apply(folder):
        path = folder / "sparse/0" / name
        path.write_bytes(change(path.read_bytes()))

    return apply


@pytest.mark.parametrize(
    "binary, change, words",
    [
        (True, damaged("images.bin", lambda d: d[:-20]), "images.bin is damaged"),
        (True, damaged("images.bin", lambda d: bytes(8)), "has no views"),
        (True, damaged("cameras.bin", lambda d: d[:30]), "cameras.bin is damaged"),
        (True, damaged("cameras.bin", lambda d: d[:12] + b"\x05" + d[13:]), "model OPENCV_FISHEYE in .* is not known"),
        (True, damaged("cameras.bin", lambda d: d[:12] + b"\x63" + d[13:]), "model 99 in .* is not known"),
        (True, damaged("points3D.bin", lambda d: d[:-3]), "points3D.bin is damaged"),
        (True, lambda f: (f / "sparse/0/images.bin").unlink(), "images.bin .* is missing"),
        (True, lambda f: (f / "images/view_002.png").unlink(), "view_002.png is missing"),
        (False, damaged("cameras.txt", lambda d: d.replace(b"PINHOLE", b"FOV")), "model FOV in .* is not known"),
        (False, damaged("cameras.txt", lambda d: d.replace(b"2 PINHOLE 48", b"9 PINHOLE 48")), "camera 2 of view_001"),
        (False, damaged("cameras.txt", lambda d: d.replace(b" 24.0\n", b"\n")), "cameras.txt is damaged"),
        (False, damaged("cameras.txt", lambda d: d.replace(b"86.4", b"nan")), "NaN or infinite"),
        (False, damaged("images.txt", lambda d: b"1 nan 0 0 0 0 0 0 1 view_000.png\n\n"), "pose of view_000.png"),
        (False, damaged("images.txt", lambda d: b"1 1 0 0 0 0 0\n"), "images.txt is damaged"),
        (False, damaged("points3D.txt", lambda d: b"1 nan 0 0 1 1 1 0\n"), "no usable point"),
    ],
)  # fmt: skip
def test_bad_models_are_one_sentence(tmp_path, binary, change, words):
    folder = write_colmap_model(tmp_path, around(3), binary)
    change(folder)
    with pytest.raises(InputError, match=words) as caught:
        load_input(folder)
    assert len(str(caught.value).splitlines()) == 1


def mutated(data, rng):
    """The bytes with one to four of them changed, cut out or put in."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        place = int(rng.integers(len(data) + 1))
        kind = rng.integers(4)
        if kind == 0:
            data[place : place + 1] = bytes([rng.choice([0, 255, 45, 101, 48, 57])])
        elif kind == 1:
            del data[place : place + int(rng.integers(1, 30))]
        elif kind == 2:
            words = [b"nan", b"1e400", b"-1", b"null", b"[]", b"\n", b"99999999999999999999", b"true"]
            data[place:place] = words[rng.integers(len(words))]
        else:
            del data[place:]
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
def test_damage_is_refused_in_one_sentence_or_harmless(tmp_path, seed):
    rng = np.random.default_rng(seed)
    folders = [write_colmap_model(tmp_path / str(kind), around(2, 16), kind, points=5) for kind in (True, False)]
    files = [(folder, path) for folder in folders for path in (folder / "sparse/0").iterdir()]
    scene = write_transforms(tmp_path / "scene", around(2, 16), k1=0.01)
    files += [(scene, scene / "transforms.json"), (scene, scene / "images/frame_001.png")]
    refused = 0
    for folder, path in files * 8:
        whole = path.read_bytes()
        path.write_bytes(mutated(whole, rng))
        try:
            load_input(folder)
        except InputError as error:
            refused += 1
            assert len(str(error).splitlines()) == 1
        path.write_bytes(whole)
        load_input(folder)
    assert refused > 0


def test_points_that_no_camera_sees(colmap, tmp_path):
    (colmap / "sparse/0/points3D.bin").unlink()
    (colmap / "sparse/0/points3D.txt").write_text("1 0 500 0 9 9 9 0\n2 0 501 0 9 9 9 0\n")
    with pytest.raises(InputError, match="None of the 7 training cameras has any of the 2 points in its frame"):
        fit(colmap, tmp_path / "out", FitSettings())
