# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks that were placed elsewhere: ours, iBUG's .pts, a JSON list of 68. No bpy.

Each has its own idea of where a pixel lies; ours has the centre of the top left one at (0.5, 0.5).
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .._interchange import errors, landmarks, mesh

COUNT = mesh.LANDMARK_COUNT
_PTS_PIXEL = -0.5  # iBUG's files were made in MATLAB: the first pixel's centre is (1, 1)
_LIST_PIXEL = 0.5  # dlib and its heirs count array indices: the first pixel's centre is (0, 0)


def read_points(path: Path) -> landmarks.Points:
    """Points from a file of one of the three kinds, in our pixels. InputError says what is wrong with it."""
    return read_any(path).points


def read_any(path: Path) -> landmarks.LandmarkFile:
    """The same with what else our own files say: the networks that found the points."""
    if path.suffix.lower() == ".pts":
        return landmarks.LandmarkFile("", _read_pts(path))
    value = _read_json(path)
    if isinstance(value, list):
        return landmarks.LandmarkFile("", _from_list(value, path))
    return landmarks.read_landmark_file(path, fewest=0)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise errors.InputError(
            f"The landmark file {path.name} cannot be read ({reason}).", "Choose a .json or .pts file."
        ) from error


def _read_pts(path: Path) -> landmarks.Points:
    """`version: 1`, `n_points: 68`, then a pair of numbers a line between braces."""
    try:
        text = path.read_text(encoding="utf-8")
        body = text[text.index("{") + 1 : text.index("}")]
        pairs = [[float(word) for word in line.split()] for line in body.splitlines() if line.strip()]
    except OSError as error:
        raise errors.InputError(f"{path.name} cannot be read ({error.strerror}).", "Choose another file.") from error
    except ValueError as error:
        raise errors.InputError(f"{path.name} is not a .pts file.", "It needs 68 lines x y between braces.") from error
    return _points(pairs, path, _PTS_PIXEL)


def _from_list(value: list[Any], path: Path) -> landmarks.Points:
    """[[x, y], ...], with null for a point that is not known."""
    return _points(value, path, _LIST_PIXEL)


def _points(pairs: list[Any], path: Path, shift: float) -> landmarks.Points:
    if len(pairs) != COUNT:
        raise errors.InputError(f"{path.name} has {len(pairs)} points.", f"The scheme has {COUNT}, in iBUG's order.")
    points = {}
    for index, pair in enumerate(pairs):
        if pair is None:
            continue
        if not isinstance(pair, list) or len(pair) != 2 or not all(_is_number(v) for v in pair):
            raise errors.InputError(f"Point {index} in {path.name} is not a pair of numbers.", "Write it as [x, y].")
        points[index] = (float(pair[0]) + shift, float(pair[1]) + shift)
    return points


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
