# SPDX-License-Identifier: Apache-2.0
"""COLMAP models: cameras, images and points3D, as .bin or .txt, with the pictures in images/ and masks in masks/.

Layout after COLMAP's own page on its output format. Poses are world to camera with OpenCV axes (quaternion w x y z);
principal points count from the corner of the first pixel, as ours do. The world is taken as it is: COLMAP's is near
to y-down where the pictures were upright, which is what splat files want.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.splats.axes import matrix_from_quaternion

from .lenses import FARTHEST, Lens
from .photos import Photo, PhotoSet, split_by_rule, thinned, view_names
from .point_ply import finite_points

Array = npt.NDArray[np.floating]

PLACES = ("sparse/0", "sparse", "colmap/sparse/0", ".", "0")
"""Where below the folder a model may lie."""
MODELS = {
    "SIMPLE_PINHOLE": "f cx cy", "PINHOLE": "fx fy cx cy", "SIMPLE_RADIAL": "f cx cy k1", "RADIAL": "f cx cy k1 k2",
    "OPENCV": "fx fy cx cy k1 k2 p1 p2", "FULL_OPENCV": "fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6",
}  # fmt: skip
"""Parameters of the models that `Lens` covers."""
_NUMBERS = {0: "SIMPLE_PINHOLE", 1: "PINHOLE", 2: "SIMPLE_RADIAL", 3: "RADIAL", 4: "OPENCV", 6: "FULL_OPENCV"}
_UNKNOWN = {
    5: "OPENCV_FISHEYE", 7: "FOV", 8: "SIMPLE_RADIAL_FISHEYE", 9: "RADIAL_FISHEYE", 10: "THIN_PRISM_FISHEYE",
    11: "RAD_TAN_THIN_PRISM_FISHEYE",
}  # fmt: skip
_DISTORTION = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


@attrs.frozen
class _Pose:
    """One line of images.txt."""

    name: str
    quat_wxyz: tuple[float, ...]
    translation: tuple[float, ...]
    camera: int


def model_folder(folder: Path) -> Path | None:
    """Where the model of a folder lies; None if it has none."""
    for place in PLACES:
        if any((folder / place / f"cameras{suffix}").is_file() for suffix in (".bin", ".txt")):
            return folder / place
    return None


def read_colmap(folder: Path) -> PhotoSet:
    """The views of a folder with a COLMAP model, every eighth held out, and its points.

    Raises InputError, naming the file, for a model that is damaged or of an unknown kind of camera.
    """
    model = model_folder(folder)
    if model is None:
        raise InputError(f"{folder} holds no COLMAP model.", "Give the folder that has sparse/0 in it.")
    lenses = _cameras(model)
    poses = _images(model)
    if not poses:
        raise InputError(f"The model {model} has no views.", "Run COLMAP's mapper again.")
    root = _root(folder, model)
    photos = []
    for pose, name in zip(poses, view_names([p.name for p in poses]), strict=True):
        if pose.camera not in lenses:
            raise InputError(f"The camera {pose.camera} of {pose.name} is missing in {model}.", "Export it again.")
        mask = _mask(root / "masks", pose.name)
        photos.append(Photo(name, lenses[pose.camera], _matrix(pose, model), root / "images" / pose.name, mask))
    train, held_out = split_by_rule(photos)
    notes: list[str] = []
    points = _points(model)
    return PhotoSet(folder, train, thinned(held_out, notes), notes, *(points or (None, None)))


def _root(folder: Path, model: Path) -> Path:
    """The folder that images/ lies in: the one given, or one above the model when sparse/0 itself was given."""
    for candidate in (folder, *model.resolve().parents[:2]):
        if (candidate / "images").is_dir():
            return candidate
    return folder


def _mask(folder: Path, name: str) -> Path | None:
    """COLMAP's own name for it is picture.jpg.png; others replace the suffix."""
    for candidate in (folder / f"{name}.png", (folder / name).with_suffix(".png"), folder / name):
        if candidate.is_file():
            return candidate
    return None


def _matrix(pose: _Pose, model: Path) -> npt.NDArray[np.float64]:
    quat, translation = np.array(pose.quat_wxyz), np.array(pose.translation)
    finite = np.isfinite(quat).all() and np.isfinite(translation).all()
    if not (finite and 1e-6 < np.abs(quat).max() < 1e6 and np.abs(translation).max() < FARTHEST):
        raise InputError(f"The pose of {pose.name} in {model} is NaN, infinite or zero.", "Remove that view.")
    matrix = np.eye(4)
    matrix[:3, :3] = matrix_from_quaternion(quat)
    matrix[:3, 3] = translation
    return matrix


def _lens(model: str, width: int, height: int, numbers: tuple[float, ...], place: str) -> Lens:
    names = MODELS[model].split()
    if len(numbers) != len(names):
        raise ValueError(f"{model} has {len(numbers)} parameters")
    values = dict(zip(names, numbers, strict=True))
    distortion = tuple(values.get(name, 0.0) for name in _DISTORTION)
    fx, fy = values.get("fx", values.get("f", 0.0)), values.get("fy", values.get("f", 0.0))
    lens = Lens(width, height, fx, fy, values["cx"], values["cy"], distortion if any(distortion) else ())
    lens.check(place)
    return lens


def _unknown(model: str, path: Path) -> InputError:
    return InputError(
        f"The camera model {model} in {path} is not known here.", "Undistort with COLMAP's image_undistorter before."
    )


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is damaged ({error}).", "Export the model again.")


def _file(model: Path, name: str) -> Path:
    """The .bin, or the .txt in its absence."""
    for suffix in (".bin", ".txt"):
        if (model / f"{name}{suffix}").is_file():
            return model / f"{name}{suffix}"
    raise InputError(f"{model / name}.bin (or .txt) is missing.", "Copy the whole model.")


_BROKEN = (ValueError, IndexError, struct.error, KeyError, OverflowError)


def _cameras(model: Path) -> dict[int, Lens]:
    path = _file(model, "cameras")
    try:
        found = _cameras_binary(path) if path.suffix == ".bin" else _cameras_text(path)
    except _BROKEN as error:
        raise _damaged(path, error) from error
    return found


def _images(model: Path) -> list[_Pose]:
    path = _file(model, "images")
    try:
        return list(_images_binary(path) if path.suffix == ".bin" else _images_text(path))
    except _BROKEN as error:
        raise _damaged(path, error) from error


def _points(model: Path) -> tuple[Array, Array] | None:
    """Points (N, 3) and colours (N, 3) 0..1; None where the model has no point."""
    try:
        path = _file(model, "points3D")
    except InputError:
        return None  # a model of known poses alone
    try:
        rows = list(_points_binary(path) if path.suffix == ".bin" else _points_text(path))
    except _BROKEN as error:
        raise _damaged(path, error) from error
    if not rows:
        return None
    table = np.array(rows, np.float64)
    return finite_points(table[:, :3], table[:, 3:6] / 255, path)


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield line.strip()


def _cameras_text(path: Path) -> dict[int, Lens]:
    found = {}
    for line in _lines(path):
        words = line.split()
        if not words:
            continue
        if words[1] not in MODELS:
            raise _unknown(words[1], path)
        numbers = tuple(float(word) for word in words[4:])
        found[int(words[0])] = _lens(words[1], int(words[2]), int(words[3]), numbers, f"{words[0]} in {path}")
    return found


def _images_text(path: Path) -> Iterator[_Pose]:
    lines = _lines(path)
    for line in lines:
        if not line:
            continue
        words = line.split(maxsplit=9)
        numbers = tuple(float(word) for word in words[1:8])
        yield _Pose(words[9], numbers[:4], numbers[4:], int(words[8]))
        next(lines, "")  # the view's points, which may be an empty line


def _points_text(path: Path) -> Iterator[list[float]]:
    for line in _lines(path):
        words = line.split()
        if 0 < len(words) < 7:
            raise ValueError(f"a point has {len(words)} entries")
        if words:
            yield [float(word) for word in words[1:7]]


class _Binary:
    """A little-endian file, read piece by piece. struct.error when it ends too early."""

    def __init__(self, path: Path) -> None:
        self.data, self.position = path.read_bytes(), 0

    def take(self, layout: str) -> tuple:
        values = struct.unpack_from("<" + layout, self.data, self.position)
        self.position += struct.calcsize("<" + layout)
        return values

    def text(self) -> str:
        """Up to a zero byte."""
        end = self.data.index(b"\0", self.position)
        result = self.data[self.position : end].decode("utf-8")
        if not result.isprintable():
            raise ValueError("a name holds what no name can hold")
        self.position = end + 1
        return result

    def skip(self, count: int) -> None:
        """Pass over bytes, which may not be there."""
        self.position += count

    def check_end(self) -> None:
        """ValueError if something was skipped that is not there."""
        if self.position > len(self.data):
            raise ValueError("it ends too early")


def _cameras_binary(path: Path) -> dict[int, Lens]:
    file = _Binary(path)
    found = {}
    for _ in range(file.take("Q")[0]):
        number, model, width, height = file.take("iiQQ")
        if model not in _NUMBERS:
            raise _unknown(_UNKNOWN.get(model, str(model)), path)
        numbers = file.take(f"{len(MODELS[_NUMBERS[model]].split())}d")
        found[number] = _lens(_NUMBERS[model], width, height, numbers, f"{number} in {path}")
    return found


def _images_binary(path: Path) -> Iterator[_Pose]:
    file = _Binary(path)
    for _ in range(file.take("Q")[0]):
        _, *numbers, camera = file.take("i7di")
        name = file.text()
        file.skip(file.take("Q")[0] * 24)  # x, y, id of the view's points
        yield _Pose(name, tuple(numbers[:4]), tuple(numbers[4:]), camera)
    file.check_end()


def _points_binary(path: Path) -> Iterator[list[float]]:
    file = _Binary(path)
    for _ in range(file.take("Q")[0]):
        _, x, y, z, red, green, blue, _, track = file.take("Q3d3BdQ")
        file.skip(track * 8)
        yield [x, y, z, red, green, blue]
    file.check_end()
