# SPDX-License-Identifier: Apache-2.0
"""Landmarks of a photo: their file, and what both sides ask of them. The page is docs/formats/source.md."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from .capture import read_json, write_json
from .consent import FILE_NAME as CONSENT
from .errors import InputError
from .mesh import LANDMARK_COUNT

FORMAT, VERSION = "digidouble-landmarks", 1
MASK = "mask.png"
"""In a source folder: where the swap shall be, painted in UV."""
SMALLEST_SIDE = 128
"""Pixels that the shorter side of a photo needs."""
FEWEST_LANDMARKS = 5

Points = dict[int, tuple[float, float]]
"""By id of the 68-point scheme: x, y in pixels of the upright photo, y down, pixel centres at +0.5."""

_IDS = frozenset(map(str, range(LANDMARK_COUNT)))
_FARTHEST = 1e6  # pixels
_MOST_NETWORKS = 8


@attrs.frozen
class LandmarkFile:
    """What a landmark file says. found_by: the networks that found its points, each with `role`, `file` (its name),
    `sha256` and `kind`; empty for points of another origin. A hand may have corrected them since."""

    image: str
    points: Points
    found_by: tuple[dict[str, str], ...] = ()


def read_landmarks(path: Path, fewest: int = FEWEST_LANDMARKS) -> tuple[str, Points]:
    """The photo that a landmark file names, and its points. InputError for anything that is not such a file, or has
    fewer points than `fewest`."""
    file = read_landmark_file(path, fewest)
    return file.image, file.points


def read_landmark_file(path: Path, fewest: int = FEWEST_LANDMARKS) -> LandmarkFile:
    """All that such a file says. Raises InputError as `read_landmarks` does; a `found_by` that is no list of networks
    says nothing."""
    content = read_json(path, FORMAT, VERSION)
    image, points = content.get("image"), content.get("points")
    if not isinstance(image, str) or Path(image).name != image or not isinstance(points, dict):
        raise InputError(f'The landmark file {path} needs "image" (a file beside it) and "points".')
    landmarks = {_landmark_id(key, path): _pixel(value, key, path) for key, value in points.items()}
    if len(landmarks) < fewest:
        raise InputError(
            f"The landmark file {path} has {len(landmarks)} points; at least {FEWEST_LANDMARKS} are needed.",
            "Place more: eye corners, nose tip and mouth corners are the best five.",
        )
    return LandmarkFile(image, landmarks, _networks(content.get("found_by")))


def write_landmarks(
    path: Path, image: str, points: Mapping[int, tuple[float, float]], found_by: Sequence[Mapping[str, str]] = ()
) -> None:
    """Write the file, whole or not at all; found_by: as of LandmarkFile. Raises OSError."""
    listed = {str(i): [round(x, 4), round(y, 4)] for i, (x, y) in sorted(points.items())}
    content = {"format": FORMAT, "version": VERSION, "image": image, "points": listed}
    write_json(path, content | ({"found_by": [dict(network) for network in found_by]} if found_by else {}))


def files_of_source(folder: Path) -> list[Path]:
    """What a swap reads of a source folder, sorted: landmark files, the photos that they name, the consent record, the
    painted mask. What else lies there (other photos, a contract) nobody has agreed to send. A landmark file that
    cannot be read is in the list: whoever reads it says what is wrong.
    """
    found = {folder / CONSENT, folder / MASK}
    for path in folder.glob("landmarks*.json"):
        found.add(path)
        with contextlib.suppress(InputError):
            found.add(folder / read_landmarks(path, fewest=0)[0])
    return sorted(path for path in found if path.is_file())


def check_size(photo: Path, width: int, height: int) -> None:
    """InputError if a photo is too small to take a face from."""
    if min(height, width) < SMALLEST_SIDE:
        raise InputError(
            f"The photo {photo} is {width} x {height} pixels; the shorter side needs {SMALLEST_SIDE}.",
            "Use a larger photo.",
        )


def outside(points: Mapping[int, tuple[float, float]], width: int, height: int) -> list[int]:
    """Ids of the points that are not on a photo of this size."""
    return [i for i, (x, y) in sorted(points.items()) if not (0 <= x <= width and 0 <= y <= height)]


def check_inside(photo: Path, points: Mapping[int, tuple[float, float]], width: int, height: int) -> None:
    """InputError that names the points which are not on the photo."""
    stray = outside(points, width, height)
    if stray:
        raise InputError(
            f"{listed(stray)} outside the photo {photo} ({width} x {height}).",
            "Coordinates are pixels of the upright photo, x to the right, y down.",
        )


def listed(ids: Iterable[int]) -> str:
    """The beginning of a sentence: Landmark 3 lies, or Landmarks 3, 9 lie."""
    ids = list(ids)
    text = ", ".join(map(str, ids[:6])) + (" and more" if len(ids) > 6 else "")
    return f"Landmarks {text} lie" if len(ids) > 1 else f"Landmark {text} lies"


def _networks(value: Any) -> tuple[dict[str, str], ...]:
    listed = value if isinstance(value, list) and len(value) <= _MOST_NETWORKS else []
    texts = [v for v in listed if isinstance(v, dict) and all(isinstance(text, str) for text in v.values())]
    return tuple(v for v in texts if {"role", "file", "sha256"} <= v.keys())


def _landmark_id(key: str, path: Path) -> int:
    if key not in _IDS:
        raise InputError(f'The landmark file {path} has a point "{key}"; ids go from 0 to {LANDMARK_COUNT - 1}.')
    return int(key)


def _pixel(value: Any, key: str, path: Path) -> tuple[float, float]:
    numbers = isinstance(value, list) and len(value) == 2 and all(type(v) in (int, float) for v in value)
    if not numbers or not all(abs(v) < _FARTHEST for v in value):  # also false for NaN
        raise InputError(
            f"Point {key} in {path} is not a pair of pixel coordinates.", "Write it as [x, y], or leave it out."
        )
    return float(value[0]), float(value[1])
