# SPDX-License-Identifier: GPL-3.0-or-later
"""Size and orientation of a photo, from its first bytes. No bpy.

Blender shows a photo as its bytes lie and ignores the orientation tag; the backend turns it upright before it reads
landmarks. So the add-on has to know the tag. Formats: Exif 2.32 (the tag's numbers are TIFF 6.0's), JPEG (ITU T.81),
PNG (W3C, with eXIf), WebP (RFC 9649), TIFF 6.0; XMP's tiff:Orientation counts where Exif is silent.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import errors

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_ORIENTATION, _WIDTH, _HEIGHT = 274, 256, 257
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")
_XMP_OF_JPEG = b"http://ns.adobe.com/xap/1.0/\0"
_NUMBERS = {1: "B", 3: "H", 4: "I"}  # TIFF types that a size or an orientation can have
# What each orientation needs to stand upright: transpose first, then flip rows, flip columns.
_UPRIGHT = {
    2: (False, False, True), 3: (False, True, True), 4: (False, True, False), 5: (True, False, False),
    6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip


@attrs.frozen
class PhotoHeader:
    """kind: JPEG, PNG, WebP or TIFF. width, height: pixels of the upright photo. orientation: 1..8, 1 lies upright."""

    kind: str
    width: int
    height: int
    orientation: int


def read_header(path: Path) -> PhotoHeader:
    """What a photo's first bytes say. InputError if it is none that Blender and the backend both read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise errors.InputError(f"The photo {path.name} cannot be read ({error.strerror}).", "Check it.") from error
    try:
        kind, width, height, orientation = _parse(data)
    except (struct.error, IndexError, KeyError, ValueError):
        kind, width, height, orientation = "", 0, 0, 1
    if not kind:
        raise errors.InputError(
            f"{path.name} is {_what(data)}, which cannot be used as a photo.", "Save or export it as PNG or JPEG."
        )
    if not width or not height:
        raise errors.InputError(f"The photo {path.name} is damaged.", "Save it as PNG or JPEG again.")
    if orientation in _UPRIGHT and _UPRIGHT[orientation][0]:
        width, height = height, width
    return PhotoHeader(kind, width, height, orientation if orientation in _UPRIGHT else 1)


def upright(rows: npt.NDArray, orientation: int) -> npt.NDArray:
    """(h, w, c) pixels, first row on top, as the file stores them -> as they are meant to be seen."""
    transpose, flip_rows, flip_columns = _UPRIGHT.get(orientation, (False, False, False))
    if transpose:
        rows = rows.transpose(1, 0, 2)
    if flip_rows:
        rows = rows[::-1]
    return np.ascontiguousarray(rows[:, ::-1] if flip_columns else rows)


def _what(data: bytes) -> str:
    if data[4:8] == b"ftyp":
        return "a HEIC or AVIF picture" if data[8:12] in (b"heic", b"heix", b"mif1", b"avif") else "a film"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "a GIF"
    return "empty" if not data else "no PNG, JPEG, WebP or TIFF"


def _parse(data: bytes) -> tuple[str, int, int, int]:
    """(kind, stored width, stored height, orientation)."""
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:4] in (b"II*\0", b"MM\0*"):
        tags = _tiff_tags(data)
        return "TIFF", tags[_WIDTH], tags[_HEIGHT], tags.get(_ORIENTATION, 1)
    return "", 0, 0, 1


def _jpeg(data: bytes) -> tuple[str, int, int, int]:
    exif, xmp, at = b"", b"", 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # padding, and markers without a body
            at += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if marker == 0xE1 and body[:6] == b"Exif\0\0" and not exif:
            exif = body[6:]
        elif marker == 0xE1 and body.startswith(_XMP_OF_JPEG):
            xmp = body
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", body, 1)
            return "JPEG", width, height, _orientation(exif, xmp)
        at += 2 + length
    return "JPEG", 0, 0, 1


def _png(data: bytes) -> tuple[str, int, int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    exif, xmp, at = b"", b"", 8
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if name == b"eXIf":
            exif = body.removeprefix(b"Exif\0\0")
        elif name == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\0"):
            xmp = body
        at += 12 + length
    return "PNG", width, height, _orientation(exif, xmp)


def _webp(data: bytes) -> tuple[str, int, int, int]:
    chunks = dict(_riff_chunks(data))
    exif = chunks.get(b"EXIF", b"").removeprefix(b"Exif\0\0")
    if b"VP8X" in chunks:
        body = chunks[b"VP8X"]
        width, height = (1 + int.from_bytes(body[i : i + 3], "little") for i in (4, 7))
    elif b"VP8L" in chunks:
        (bits,) = struct.unpack_from("<I", chunks[b"VP8L"], 1)
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (v & 0x3FFF for v in struct.unpack_from("<HH", chunks[b"VP8 "], 6))
    return "WebP", width, height, _orientation(exif, chunks.get(b"XMP ", b""))


def _riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        yield name, data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _orientation(exif: bytes, xmp: bytes) -> int:
    try:
        found = _tiff_tags(exif).get(_ORIENTATION) if exif else None
    except (struct.error, ValueError):  # a broken tag turns nothing
        found = None
    if found is None and (match := _XMP_ORIENTATION.search(xmp)):
        found = int(match[1])
    return found or 1


def _tiff_tags(data: bytes) -> dict[int, int]:
    """The whole numbers in the first directory of a TIFF structure."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise ValueError("no TIFF structure")
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
        if kind in _NUMBERS and length == 1:
            (tags[tag],) = struct.unpack_from(f"{order}{_NUMBERS[kind]}", data, entry + 8)
    return tags
