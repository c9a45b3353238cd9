# SPDX-License-Identifier: Apache-2.0
"""Plain point clouds as PLY files, text or binary: what nerfstudio and COLMAP export beside their cameras."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.splats.ply_table import NUMBER_TYPES

Array = npt.NDArray[np.floating]

_ORDERS = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


def read_point_ply(path: Path) -> tuple[Array, Array]:
    """Points (N, 3) and their colours (N, 3) sRGB 0..1, grey where the file has none. Infinite points and NaN drop out.

    Raises InputError when the file is missing, damaged, no point cloud or empty.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"The point file {path} is missing.", "Put it there, or remove its name.") from None
    try:
        table, whole = _table(data)
        points = np.stack([table[axis] for axis in "xyz"], axis=1).astype(np.float64)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        what = f"The point file {path} is damaged or no PLY of points ({error})."
        raise InputError(what, "Export it again.") from error
    colours = np.full(points.shape, 0.5)
    if table.dtype.names and {"red", "green", "blue"} <= set(table.dtype.names):
        colours = np.stack([table[name] for name in ("red", "green", "blue")], axis=1).astype(np.float64)
        colours /= 255 if "red" in whole else 1
    return finite_points(points, colours, path)


def finite_points(points: Array, colours: Array, path: Path) -> tuple[Array, Array]:
    """Those of the points (N, 3) and colours (N, 3) that are finite. InputError if none is left."""
    usable = np.isfinite(points).all(axis=1) & np.isfinite(colours).all(axis=1)
    if not usable.any():
        raise InputError(f"The point file {path} holds no usable point.", "Export it again, or leave it out.")
    return points[usable], np.clip(colours[usable], 0, 1)


def _table(data: bytes) -> tuple[npt.NDArray, set[str]]:
    """The vertices as a structured array, and which properties are whole numbers.

    ValueError and its like for everything that is no PLY of points.
    """
    end = data.find(b"end_header")
    if not data.startswith(b"ply") or end < 0:
        raise ValueError("no PLY header")
    body = data[data.index(b"\n", end) + 1 :]
    order, count, fields, element = "", 0, [], ""
    for line in data[:end].decode("ascii").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = _ORDERS[words[1]]
        elif words[:1] == ["element"]:
            if not element and words[1] != "vertex":
                raise ValueError(f"its first element is {words[1]}")
            element, count = words[1], int(words[2]) if words[1] == "vertex" else count
        elif words[:1] == ["property"] and element == "vertex":
            fields.append((words[2], order + NUMBER_TYPES[words[1]]))
    kind = np.dtype(fields)
    whole = {name for name, code in fields if code[1] in "ui"}
    if order == "=":
        rows = np.loadtxt(io.BytesIO(body), max_rows=count, ndmin=2) if count else np.zeros((0, len(fields)))
        if rows.shape != (count, len(fields)):
            raise ValueError(f"it ends after {len(rows)} of {count} points")
        return np.array([tuple(row) for row in rows], [(name, "f8") for name, _ in fields]), whole
    if not 0 <= count * kind.itemsize <= len(body):
        raise ValueError(f"it is too short for {count} points")
    return np.frombuffer(body, kind, count), whole
