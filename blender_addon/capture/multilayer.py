# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's multilayer EXR, uncompressed: one part with all channels up to 4.5, one part a pass from 5.0 on. No bpy.

Layout: openexr.com, "OpenEXR File Layout". Only what Blender writes into a temporary file of ours is read: scanlines,
no compression, float or half.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import errors

Image = npt.NDArray[np.float32]

_MULTI_PART = 0x1000
_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
_ORDER = {letter: number for number, letter in enumerate("RXrUGYgVBZbWAa")}


@attrs.frozen
class _Part:
    """One part's header: its channels in the order of the file, and its size."""

    channels: list[tuple[str, np.dtype]]
    width: int
    height: int
    top: int
    prefix: str


def read_multilayer(path: Path) -> dict[str, Image]:
    """Passes (H, W, C) float32 by Blender's names ("Combined", "Depth", "CryptoObject00"), rows top-down.

    Raises InputError if the file is damaged or not of this kind.
    """
    try:
        return _passes(_read(path.read_bytes()))
    except (OSError, struct.error, ValueError, KeyError, IndexError, UnicodeDecodeError) as error:
        raise errors.InputError(
            f"The picture that Blender has written cannot be read ({error}).", "Is the disk of temporary files full?"
        ) from error


def _read(data: bytes) -> dict[str, Image]:
    """All channels by their full names."""
    magic, version = struct.unpack_from("<II", data)
    if magic != 20000630:
        raise ValueError("not an EXR")
    multi, position = bool(version & _MULTI_PART), 8
    parts: list[_Part] = []
    while multi and data[position] != 0 or not parts:
        part, position = _header(data, position)
        parts.append(part)
    position += multi  # an empty header ends the list
    position += 8 * sum(part.height for part in parts)  # the tables of offsets
    rows = [np.empty((p.height, sum(k.itemsize for _, k in p.channels) * p.width), np.uint8) for p in parts]
    for _ in range(sum(part.height for part in parts)):
        number = struct.unpack_from("<i", data, position)[0] if multi else 0
        position += 4 * multi
        y, size = struct.unpack_from("<ii", data, position)
        rows[number][y - parts[number].top] = np.frombuffer(data, np.uint8, size, position + 8)
        position += 8 + size
    found: dict[str, Image] = {}
    for part, lines in zip(parts, rows, strict=True):
        start = 0
        for name, kind in part.channels:
            stop = start + kind.itemsize * part.width
            full = name if "." in name or not part.prefix else f"{part.prefix}.{name}"
            found[full] = np.ascontiguousarray(lines[:, start:stop]).view(kind).astype(np.float32)
            start = stop
    return found


def _header(data: bytes, position: int) -> tuple[_Part, int]:
    found: dict[str, bytes] = {}
    while data[position] != 0:
        end = data.index(b"\0", position)
        kind_end = data.index(b"\0", end + 1)
        size = struct.unpack_from("<i", data, kind_end + 1)[0]
        start = kind_end + 5
        found[data[position:end].decode()] = data[start : start + size]
        position = start + size
    if found["compression"] != b"\0":
        raise ValueError("it is compressed")
    left, top, right, bottom = struct.unpack("<iiii", found["dataWindow"])
    part = _Part(
        _channels(found["channels"]), right - left + 1, bottom - top + 1, top, found.get("name", b"").decode()
    )
    return part, position + 1


def _channels(blob: bytes) -> list[tuple[str, np.dtype]]:
    listed: list[tuple[str, np.dtype]] = []
    position = 0
    while blob[position] != 0:
        end = blob.index(b"\0", position)
        listed.append((blob[position:end].decode(), _TYPES[struct.unpack_from("<i", blob, end + 1)[0]]))
        position = end + 17
    return listed


def _passes(channels: dict[str, Image]) -> dict[str, Image]:
    """Join ViewLayer.Pass.R, .G, .B ... to pictures by the name of the pass."""
    joined: dict[str, dict[str, Any]] = {}
    for name, picture in channels.items():
        _, _, rest = name.partition(".") if name.count(".") > 1 else ("", "", name)
        title, _, letter = rest.rpartition(".")
        joined.setdefault(title, {})[letter] = picture
    return {
        title: np.stack([found[letter] for letter in sorted(found, key=_ORDER.__getitem__)], axis=-1)
        for title, found in joined.items()
        if title
    }
