# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos and landmarks for the tests of the performer: made here, of nobody."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from interchange.mean_face import MEAN_FACE
from interchange.png import write_png


def picture(width: int = 200, height: int = 160, seed: int = 0) -> np.ndarray:
    """(h, w, 3) uint8 blocks of colour: no two corners alike, not flat."""
    colours = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    rows = np.arange(height) * 4 // height
    columns = np.arange(width) * 5 // width
    return colours[rows[:, None], columns[None]]


def photo(path: Path, width: int = 200, height: int = 160, seed: int = 0) -> Path:
    """Write a PNG."""
    write_png(path, picture(width, height, seed))
    return path


def face(width: int = 200, height: int = 160, size: float = 60.0) -> dict[int, tuple[float, float]]:
    """All 68 points of a face in the middle of such a photo."""
    flat = (MEAN_FACE[:, :2] - MEAN_FACE[:, :2].mean(axis=0)) * size + [width / 2, height / 2]
    return {i: (float(x), float(y)) for i, (x, y) in enumerate(flat)}


def tagged_jpeg(path: Path, bpy: Any, upright: np.ndarray, orientation: int) -> Path:
    """A JPEG as a camera that was held another way stores it: turned pixels and the tag that says so."""
    stored = {
        1: lambda i: i, 2: np.fliplr, 3: lambda i: np.rot90(i, 2), 4: np.flipud, 5: lambda i: i.transpose(1, 0, 2),
        6: np.rot90, 7: lambda i: np.rot90(i, 2).transpose(1, 0, 2), 8: lambda i: np.rot90(i, -1),
    }[orientation](upright)  # fmt: skip
    height, width = stored.shape[:2]
    image = bpy.data.images.new("stored", width, height)
    rgba = np.concatenate([stored / np.float32(255), np.ones((height, width, 1), np.float32)], axis=-1)
    image.pixels.foreach_set(np.ascontiguousarray(rgba[::-1], np.float32).ravel())
    image.file_format = "JPEG"
    image.save(filepath=str(path), quality=95)
    bpy.data.images.remove(image)
    data = path.read_bytes()
    path.write_bytes(data[:2] + exif_segment(orientation) + data[2:])
    return path


def exif_segment(orientation: int) -> bytes:
    """An APP1 segment of JPEG with one tag."""
    body = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)
    return b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
