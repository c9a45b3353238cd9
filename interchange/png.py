# SPDX-License-Identifier: Apache-2.0
"""8-bit PNG files without a library: previews and textures are written inside Blender, which carries none.

Reading here covers what `write_png` writes and other plain 8-bit non-interlaced files; photos of users are decoded by
OpenCV in the backend. Format: W3C PNG specification, third edition.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .whole_files import whole_file

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}  # channels -> colour type
_CHANNELS = {kind: channels for channels, kind in _COLOUR_TYPE.items()}
_LIMIT = 32768
Deflate = Callable[[npt.NDArray[np.uint8]], bytes]


def write_png(path: Path | str, image: npt.NDArray[np.uint8], deflate: Deflate | None = None) -> None:
    """Write (H, W) grey or (H, W, 1..4) grey, grey+alpha, RGB or RGBA uint8, sRGB; written beside, then renamed.

    deflate: makes a zlib stream of (N,) bytes; None: zlib does.
    """
    data = encode_png(image, deflate)
    with whole_file(path) as file:
        file.write(data)


def encode_png(image: npt.NDArray[np.uint8], deflate: Deflate | None = None) -> bytes:
    """The file that `write_png` writes."""
    if image.ndim == 2:
        image = image[..., None]
    height, width, channels = image.shape
    if image.dtype != np.uint8 or channels not in _COLOUR_TYPE:
        raise InputError(f"A PNG needs 8-bit values in 1 to 4 channels, not {image.dtype} {image.shape}.")
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # filter byte 2 ("up") before each row
    flat = np.ascontiguousarray(image).reshape(height, -1)
    rows[:, 0] = 2
    rows[0, 1:] = flat[0]
    rows[1:, 1:] = flat[1:] - flat[:-1]
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    # level 4, as nobody keeps these files for long: against 6 a quarter of the time, files a twentieth larger
    body = _chunk(b"IDAT", deflate(rows.ravel()) if deflate else zlib.compress(rows.data, 4))
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"sRGB", b"\0") + body + _chunk(b"IEND", b"")


def read_png(path: Path | str) -> npt.NDArray[np.uint8]:
    """Read an 8-bit, non-interlaced, non-palette PNG as (H, W, C) uint8.

    Raises InputError when the file is missing, damaged or of another kind.
    """
    path = Path(path)
    try:
        return _parse(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"The picture {path} is missing.", "Capture again.") from None
    except OSError as error:
        raise InputError(f"The picture {path} cannot be read ({error.strerror}).", "Capture again.") from error
    except (struct.error, zlib.error, ValueError, KeyError) as error:
        reason = "it ends too early" if isinstance(error, struct.error) else error
        raise InputError(
            f"The picture {path} is damaged or not a plain 8-bit PNG ({reason}).", "Make or capture it again."
        ) from error


def decode_png(data: bytes) -> npt.NDArray[np.uint8]:
    """As `read_png`, out of memory. Raises InputError."""
    try:
        return _parse(data)
    except (struct.error, zlib.error, ValueError, KeyError) as error:
        reason = "it ends too early" if isinstance(error, struct.error) else error
        raise InputError(f"The picture is damaged or not a plain 8-bit PNG ({reason}).") from error


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the header of a PNG file, without decoding it; None if it is no PNG."""
    if len(data) < 24 or data[:8] != _SIGNATURE or data[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", data[16:24])
    return int(width), int(height)


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _parse(data: bytes) -> npt.NDArray[np.uint8]:
    if data[:8] != _SIGNATURE:
        raise ValueError("not a PNG")
    position, packed, header = 8, b"", b""
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        body = data[position + 8 : position + 8 + size]
        if struct.unpack_from(">I", data, position + 8 + size)[0] != zlib.crc32(kind + body):
            raise ValueError("checksum")
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            packed += body
        position += 12 + size
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", header)
    if depth != 8 or interlace or not (0 < width <= _LIMIT and 0 < height <= _LIMIT):
        raise ValueError("not 8-bit, interlaced, or too large")
    channels = _CHANNELS[colour]
    stride = width * channels
    raw = zlib.decompressobj().decompress(packed, height * (stride + 1) + 1)
    rows = np.frombuffer(raw, np.uint8).reshape(height, stride + 1)
    return _unfilter(rows, channels).reshape(height, width, channels)


def _unfilter(rows: npt.NDArray[np.uint8], channels: int) -> npt.NDArray[np.uint8]:
    result = np.zeros((len(rows), rows.shape[1] - 1), np.uint8)
    above = np.zeros(rows.shape[1] - 1, np.uint8)
    for y, row in enumerate(rows):
        kind, line = int(row[0]), row[1:]
        if kind == 0:
            above = line
        elif kind == 1:
            above = np.add.accumulate(line.reshape(-1, channels), axis=0, dtype=np.uint8).ravel()
        elif kind == 2:
            above = line + above
        elif kind in (3, 4):
            above = _unfilter_slow(kind, line, above, channels)
        else:
            raise ValueError("unknown filter")
        result[y] = above
    return result


def _unfilter_slow(kind: int, line: npt.NDArray, above: npt.NDArray, channels: int) -> npt.NDArray[np.uint8]:
    """Average (3) and Paeth (4) filters depend on the pixel before, so they go byte by byte."""
    values, up = line.tolist(), above.tolist()
    for i in range(len(values)):
        left = values[i - channels] if i >= channels else 0
        corner = up[i - channels] if i >= channels else 0
        if kind == 3:
            guess = (left + up[i]) // 2
        else:
            estimate = left + up[i] - corner
            guess = min((abs(estimate - v), k, v) for k, v in enumerate((left, up[i], corner)))[2]
        values[i] = (values[i] + guess) & 255
    return np.array(values, np.uint8)
