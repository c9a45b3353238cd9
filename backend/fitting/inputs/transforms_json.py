# SPDX-License-Identifier: Apache-2.0
"""`transforms.json` folders of nerfstudio, instant-ngp and the synthetic NeRF scenes.

Their cameras are OpenGL's (y up, looking along -z), given as camera to world in a world whose z points up; the splat
frame is that world turned by the one constant rotation, never centred or scaled. Lengths and angles, by key, may stand
at the top or with each frame, which wins: `w`, `h`, `fl_x`, `fl_y`, `cx`, `cy`, `camera_angle_x`, `camera_angle_y`,
`k1`, `k2`, `k3`, `p1`, `p2`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from interchange.cameras import OPENGL_FROM_OPENCV, SPLAT_FROM_BLENDER
from interchange.errors import InputError

from .lenses import FARTHEST, Lens
from .photos import Photo, PhotoSet, picture_size, split_by_rule, thinned, view_names
from .point_ply import read_point_ply

NAME, TRAIN = "transforms.json", "transforms_train.json"
TEST, VALIDATION = "transforms_test.json", "transforms_val.json"
MODELS = ("PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "PERSPECTIVE")
"""Camera models that the distortion keys describe in full."""
_SUFFIXES = ("", ".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG")
_RIGID = 1e-3
Content = Mapping[str, Any]


def is_transforms(path: Path) -> bool:
    """True for a folder with such a file, or the file itself."""
    return (path.is_file() and path.suffix == ".json") or any((path / name).is_file() for name in (NAME, TRAIN))


def read_transforms(path: Path) -> PhotoSet:
    """The views of a folder or a file. Raises InputError, naming file and view, for what cannot be used."""
    if path.is_file():
        return _one_file(path)
    return _one_file(path / NAME) if (path / NAME).is_file() else _split_files(path)


def _one_file(path: Path) -> PhotoSet:
    content = _load(path)
    photos = _photos([(path, content)])[0]
    notes = _notes(content)
    train, held_out = _listed_split(path, content, photos)
    return PhotoSet(path.parent, train, thinned(held_out, notes), notes, *_points(path.parent, content))


def _split_files(folder: Path) -> PhotoSet:
    """transforms_train.json with transforms_test.json, or transforms_val.json in its absence."""
    judges = next((name for name in (TEST, VALIDATION) if (folder / name).is_file()), None)
    files = [(folder / name, _load(folder / name)) for name in (TRAIN, judges) if name]
    photos = _photos(files)
    notes = _notes(files[0][1])
    held_out = thinned(photos[1], notes) if judges else []
    return PhotoSet(folder, photos[0], held_out, notes, *_points(folder, files[0][1]))


def _load(path: Path) -> Content:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON ({error}).", "Write it again.") from error
    if not isinstance(content, dict) or not isinstance(content.get("frames"), list):
        raise InputError(f"{path} has no list of frames.", "Give a transforms.json of nerfstudio or instant-ngp.")
    if not content["frames"]:
        raise InputError(f"{path} has no views.", "Add frames to it.")
    return content


def _photos(files: list[tuple[Path, Content]]) -> list[list[Photo]]:
    """The frames of each file; names are made over all of them, so that none occurs twice."""
    frames = [(path, content, frame) for path, content in files for frame in content["frames"]]
    for path, _, frame in frames:
        name = frame.get("file_path") if isinstance(frame, dict) else None
        if not isinstance(name, str) or not name.isprintable():
            raise InputError(f"A frame of {path} has no file_path.", "Write that file again.")
    names = view_names([frame["file_path"] for _, _, frame in frames])
    named = zip(frames, names, strict=True)
    found = [_photo(path, {**content, **frame}, name) for (path, content, frame), name in named]
    result, first = [], 0
    for _, content in files:
        result.append(found[first : first + len(content["frames"])])
        first += len(content["frames"])
    return result


def _photo(path: Path, frame: Content, name: str) -> Photo:
    place = f"{frame['file_path']} in {path}"
    picture = _picture_path(path.parent, frame["file_path"])
    mask = frame.get("mask_path")
    lens = _lens(frame, picture, place)
    lens.check(place)
    return Photo(
        name, lens, _world_to_camera(frame.get("transform_matrix"), place), picture,
        path.parent / mask if isinstance(mask, str) else None,
    )  # fmt: skip


def _picture_path(folder: Path, name: str) -> Path:
    """The synthetic scenes leave the suffix out."""
    candidates = [folder / (name + suffix) for suffix in _SUFFIXES]
    return next((path for path in candidates if path.is_file()), candidates[0])


def _lens(frame: Content, picture: Path, place: str) -> Lens:
    model = frame.get("camera_model", "OPENCV")
    if model not in MODELS or frame.get("is_fisheye"):
        shown = "a fisheye" if frame.get("is_fisheye") else model
        raise InputError(
            f"The camera model of {place} is {shown}, which is not known here.", "Undistort the pictures before."
        )
    values = {key: _number(frame, key, place) for key in _KEYS}
    width, height = values["w"], values["h"]
    if width is None or height is None:
        width, height = picture_size(picture)
    fx, fy = values["fl_x"], values["fl_y"]
    if fx is None and values["camera_angle_x"] is not None:
        fx = _focal(width, values["camera_angle_x"])
    if fy is None and values["camera_angle_y"] is not None and values["fl_x"] is None:
        fy = _focal(height, values["camera_angle_y"])
    fx, fy = (fy if fx is None else fx), (fx if fy is None else fy)
    if fx is None or fy is None:
        raise InputError(f"{place} has no focal length (fl_x or camera_angle_x).", "Add one to the file.")
    if values["k4"]:
        raise InputError(f"The distortion k4 of {place} is not known here.", "Undistort the pictures before.")
    k1, k2, p1, p2, k3 = (values[key] or 0.0 for key in ("k1", "k2", "p1", "p2", "k3"))
    cx, cy = (half / 2 if value is None else value for half, value in ((width, values["cx"]), (height, values["cy"])))
    distortion = (k1, k2, p1, p2, k3) if any((k1, k2, p1, p2, k3)) else ()
    if not (math.isfinite(width) and math.isfinite(height)):
        raise InputError(f"The camera of {place} holds NaN or infinite numbers.", "Calibrate it again.")
    return Lens(int(width), int(height), fx, fy, cx, cy, distortion)


_KEYS = ("w", "h", "fl_x", "fl_y", "cx", "cy", "camera_angle_x", "camera_angle_y", "k1", "k2", "k3", "k4", "p1", "p2")


def _number(frame: Content, key: str, place: str) -> float | None:
    value = frame.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{key} of {place} is {value!r}, not a number.", "Write that file again.")
    return float(value)


def _focal(side: float, angle: float) -> float:
    """Pixels; 0, which `Lens.check` refuses, for an angle that no pinhole has."""
    return side / (2 * math.tan(angle / 2)) if 0 < angle < math.pi else 0.0


def _world_to_camera(value: Any, place: str) -> npt.NDArray[np.float64]:
    """(4, 4) from the splat frame to OpenCV's camera axes, of a 3x4 or 4x4 OpenGL camera to world, scaled or not."""
    try:
        given = np.array(value, np.float64)
    except (TypeError, ValueError):
        given = np.zeros(0)
    if given.shape not in ((3, 4), (4, 4)):
        raise InputError(f"The transform_matrix of {place} is no 4 x 4 matrix.", "Write that file again.")
    if not np.isfinite(given).all() or np.abs(given).max() > FARTHEST:
        raise InputError(f"The transform_matrix of {place} holds NaN or infinite numbers.", "Remove that frame.")
    axes = given[:3, :3]
    scale = np.linalg.norm(axes, axis=0)
    rotation = axes / np.where(scale > 1e-12, scale, 1)
    if np.abs(rotation.T @ rotation - np.eye(3)).max() > _RIGID or np.linalg.det(rotation) < 0:
        raise InputError(f"The transform_matrix of {place} is no rotation and translation.", "Remove that frame.")
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3], camera_to_world[:3, 3] = rotation, given[:3, 3]
    camera_to_world[:3] = SPLAT_FROM_BLENDER @ camera_to_world[:3]
    return np.asarray(np.linalg.inv(camera_to_world @ OPENGL_FROM_OPENCV))


def _listed_split(path: Path, content: Content, photos: list[Photo]) -> tuple[list[Photo], list[Photo]]:
    """nerfstudio's train_filenames and test_filenames (or val_filenames); every eighth view without them."""
    train = content.get("train_filenames")
    judges = content.get("test_filenames") or content.get("val_filenames") or []
    if not isinstance(train, list) or not isinstance(judges, list):
        return split_by_rule(photos)
    by_file = {frame["file_path"]: photo for frame, photo in zip(content["frames"], photos, strict=True)}
    for name in (*train, *judges):
        if not isinstance(name, str) or name not in by_file:
            raise InputError(f"{path} splits off {name!r}, which none of its frames is.", "Write that file again.")
    chosen = [by_file[name] for name in train]
    if not chosen:
        raise InputError(f"{path} has no training views.", "Put some into train_filenames.")
    return chosen, [by_file[name] for name in judges if name not in set(train)]


def _notes(content: Content) -> list[str]:
    if content.get("applied_transform") is None:
        return []
    return ["applied_transform is ignored: the splats are in the world of the transform matrices."]


def _points(folder: Path, content: Content) -> tuple[npt.NDArray | None, npt.NDArray | None, Path | None]:
    name = content.get("ply_file_path")
    if not isinstance(name, str):
        return None, None, None
    points, colours = read_point_ply(folder / name)
    return points @ SPLAT_FROM_BLENDER.T, colours, folder / name
