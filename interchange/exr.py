# SPDX-License-Identifier: Apache-2.0
"""OpenEXR scanline files with any number of half and float channels, ZIP compressed: a small own writer and reader.

Why own code: the add-on writes captures inside Blender, whose Python changes with every other release, so it can carry
no compiled wheel; zlib and numpy are always there. The subset is single-part, scanline, ZIP (16 lines a block), which
every EXR reader knows; the OpenEXR library is the oracle in the tests. Layout: openexr.com, "OpenEXR File Layout".
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from .errors import InputError
from .whole_files import whole_file

_MAGIC = b"\x76\x2f\x31\x01\x02\x00\x00\x00"
_LINES = 16  # scanlines in a ZIP block
_NO_COMPRESSION, _ZIPS, _ZIP = 0, 2, 3
_TYPES: dict[int, np.dtype] = {0: np.dtype("<u4"), 1: np.dtype("<f2"), 2: np.dtype("<f4")}
_CODES = {np.dtype(np.float16): 1, np.dtype(np.float32): 2}
_LIMIT = 32768  # pixels a side
_LOW_BYTES, _ONES = np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)  # of 16-bit lanes


class Blocks(Protocol):
    """How a block's bytes are laid out and packed.

    Whoever reads or writes many files can bring something faster than `NumpyBlocks`, which is zlib and numpy, each of
    whose operations takes Python's lock anew. All lay out the same bytes, and read what any of them has packed.
    """

    def deflate(self, data: npt.NDArray[np.uint8]) -> bytes:
        """As a zlib stream (RFC 1950)."""

    def inflate(self, packed: memoryview, most: int) -> bytes:
        """The first `most` bytes at most. Raises ValueError or zlib.error for a damaged stream."""

    def differences(self, raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:  # (N,) N even
        """(N,) what EXR's ZIP deflates: even bytes before odd bytes, each as its difference to the one before."""

    def place(self, packed: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None:
        """Undo `differences` of a block (N,) and put parts of its scanlines into `out` (rows, bytes).

        spans: (S, 3) start, stop and place in `out` of each part, in pairs of bytes of a scanline.
        """


def write_exr(path: Path | str, channels: Mapping[str, npt.NDArray], coder: Blocks | None = None) -> None:
    """Write named channels, each (H, W) float16 or float32, rows top-down. Written beside `path`, then renamed.

    `coder`: None for `NumpyBlocks`. Raises InputError for channels of different size or another type.
    """
    names = sorted(channels)  # the format wants them sorted
    height, width = channels[names[0]].shape
    rows: list[npt.NDArray] = []
    for name in names:
        channel = channels[name]
        if channel.shape != (height, width) or channel.dtype not in _CODES:
            raise InputError(f"EXR channel {name} is {channel.dtype} {channel.shape}, not a float {height} x {width}.")
        rows.append(np.ascontiguousarray(channel).view(np.uint8).reshape(height, -1))
    lines = np.concatenate(rows, axis=1)  # a scanline holds its channels one after the other
    header = _header(names, channels, width, height)
    starts = range(0, height, _LINES)
    blocks, coder = [], coder or NumpyBlocks()
    for y in starts:
        packed = _compress(lines[y : y + _LINES].reshape(-1), coder)
        blocks.append(struct.pack("<ii", y, len(packed)) + packed)
    offset = len(header) + 8 * len(blocks)
    table = []
    for block in blocks:
        table.append(offset)
        offset += len(block)
    with whole_file(path) as file:
        file.write(header + struct.pack(f"<{len(table)}Q", *table))
        file.writelines(blocks)


def read_exr(path: Path | str, channels: Iterable[str] | None = None) -> dict[str, npt.NDArray[np.float32]]:
    """Read channels (all of them by default) as float32 (H, W), rows top-down.

    channels: names, or layers ("albedo" for albedo.R and all its like); what is not in the file is left out. Raises
    InputError when the file is missing, damaged or uses a layout other than scanlines with ZIP or none.
    """
    return {name: plane.astype(np.float32) for name, plane in read_planes(path, channels).items()}


def read_planes(
    path: Path | str, channels: Iterable[str] | None = None, coder: Blocks | None = None
) -> dict[str, npt.NDArray]:
    """As `read_exr`, in the types that the file has: float16, float32 or uint32; parts of one array, not contiguous.

    `coder`: None for `NumpyBlocks`.
    """
    path = Path(path)
    try:
        return _parse(path.read_bytes(), None if channels is None else set(channels), coder or NumpyBlocks())
    except FileNotFoundError:
        raise InputError(f"The picture {path} is missing.", "Capture this view again.") from None
    except OSError as error:
        raise InputError(f"The picture {path} cannot be read ({error.strerror}).", "Capture it again.") from error
    except (struct.error, zlib.error, ValueError, KeyError, IndexError, UnicodeDecodeError, OverflowError) as error:
        reason = "it ends too early" if isinstance(error, struct.error) else error
        raise InputError(
            f"The picture {path} is damaged ({reason}).", "Delete it and capture again: only this view is rendered."
        ) from error


def _header(names: list[str], channels: Mapping[str, npt.NDArray], width: int, height: int) -> bytes:
    def attribute(name: str, kind: str, value: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<i", len(value)) + value

    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", _CODES[channels[name].dtype], 0, 1, 1) for name in names
    )
    window = struct.pack("<iiii", 0, 0, width - 1, height - 1)
    return (
        _MAGIC
        + attribute("channels", "chlist", listed + b"\0")
        + attribute("compression", "compression", bytes([_ZIP]))
        + attribute("dataWindow", "box2i", window)
        + attribute("displayWindow", "box2i", window)
        + attribute("lineOrder", "lineOrder", b"\0")
        + attribute("pixelAspectRatio", "float", struct.pack("<f", 1))
        + attribute("screenWindowCenter", "v2f", struct.pack("<ff", 0, 0))
        + attribute("screenWindowWidth", "float", struct.pack("<f", 1))
        + b"\0"
    )


def _compress(raw: npt.NDArray[np.uint8], coder: Blocks) -> bytes | memoryview:
    """EXR's ZIP: even bytes before odd bytes, differences, deflate; stored raw when that is no smaller."""
    packed = coder.deflate(coder.differences(raw))
    return packed if len(packed) < len(raw) else raw.data


class NumpyBlocks:
    """See `Blocks`; zlib and numpy alone, as Blender has them."""

    def deflate(self, data: npt.NDArray[np.uint8]) -> bytes:
        """See `Blocks.deflate`.

        It looks for runs alone: after the differences these are nearly all that it could find. Measured on captured
        views against its level 4: half the time, files a hundredth larger (a tenth where everything is smooth).
        """
        stream = zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, zlib.Z_RLE)
        return stream.compress(data.data) + stream.flush()

    def inflate(self, packed: memoryview, most: int) -> bytes:
        """See `Blocks.inflate`."""
        return zlib.decompressobj().decompress(packed, most)

    def differences(self, raw: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """See `Blocks.differences`."""
        shuffled = np.concatenate([raw[::2], raw[1::2]])
        result = np.empty_like(shuffled)
        result[0] = shuffled[0]
        np.subtract(shuffled[1:], shuffled[:-1], out=result[1:])
        result[1:] += np.uint8(128)
        return result

    def place(self, packed: npt.NDArray[np.uint8], spans: npt.NDArray[np.int64], out: npt.NDArray[np.uint8]) -> None:
        """See `Blocks.place`."""
        sums = _running_sums(packed)
        # A byte is the difference to the one before plus 128; in every second sum these 128 add up to nothing.
        pairs = sums.view("<u2")
        pairs ^= np.uint16(0x8000)
        even, odd = sums.reshape(2, len(out), -1)
        for start, stop, place in spans.tolist():
            part = out[:, 2 * place : 2 * (place + stop - start)]
            part[:, ::2] = even[:, start:stop]
            part[:, 1::2] = odd[:, start:stop]


def _inflate(packed: memoryview, size: int, coder: Blocks) -> npt.NDArray[np.uint8]:
    raw = coder.inflate(packed, size + 1)
    if len(raw) != size:
        raise ValueError("a block has the wrong length")
    return np.frombuffer(raw, np.uint8)


def _running_sums(data: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """`np.add.accumulate` modulo 256, two and a half times as fast: eight bytes at a time within 64-bit words, as four
    lanes of 16 bits, even and odd bytes apart."""
    whole = len(data) // 8 * 8
    words = data[:whole].view("<u8")
    odd = words >> np.uint64(8)
    odd &= _LOW_BYTES
    sums = words & _LOW_BYTES
    sums += odd
    sums *= _ONES  # lane k: the sum of lanes 0 to k, below 2^16
    ends = np.zeros(len(words), np.uint64)
    ends[1:] = np.add.accumulate(sums[:-1].view(np.uint8)[6::8], dtype=np.uint8)  # of all words before
    ends *= _ONES
    sums += ends
    odd = np.subtract(sums, odd, out=odd)  # now the even bytes' sums
    odd &= _LOW_BYTES
    sums &= _LOW_BYTES
    sums <<= np.uint64(8)
    sums |= odd
    result = sums.view(np.uint8)
    if whole == len(data):
        return result
    rest = np.add.accumulate(data[whole:], dtype=np.uint8)
    return np.concatenate([result, rest + (result[-1] if whole else np.uint8(0))])


def _attributes(data: bytes) -> tuple[dict[str, bytes], int]:
    if data[:4] != _MAGIC[:4]:
        raise ValueError("not an OpenEXR file")
    if struct.unpack_from("<I", data, 4)[0] & ~0x400 != 2:
        raise ValueError("tiled, deep or multi-part EXR")
    position, found = 8, {}
    while data[position] != 0:
        end = data.index(b"\0", position)
        kind_end = data.index(b"\0", end + 1)
        size = struct.unpack_from("<i", data, kind_end + 1)[0]
        start = kind_end + 5
        if size < 0 or start + size > len(data):
            raise ValueError("truncated header")
        found[data[position:end].decode()] = data[start : start + size]
        position = start + size
    return found, position + 1


def _channel_list(blob: bytes) -> list[tuple[str, np.dtype]]:
    listed: list[tuple[str, np.dtype]] = []
    position = 0
    while blob[position] != 0:
        end = blob.index(b"\0", position)
        kind = struct.unpack_from("<i", blob, end + 1)[0]
        listed.append((blob[position:end].decode(), _TYPES[kind]))
        position = end + 17
    return listed


def _parse(data: bytes, wanted: set[str] | None, coder: Blocks) -> dict[str, npt.NDArray]:
    attributes, position = _attributes(data)
    compression = attributes["compression"][0]
    if compression not in (_NO_COMPRESSION, _ZIPS, _ZIP):
        raise ValueError(f"compression {compression} is not supported")
    x0, y0, x1, y1 = struct.unpack("<iiii", attributes["dataWindow"])
    width, height = x1 - x0 + 1, y1 - y0 + 1
    if not (0 < width <= _LIMIT and 0 < height <= _LIMIT):
        raise ValueError(f"size {width} x {height}")
    listed = _channel_list(attributes["channels"])
    stride = sum(kind.itemsize for _, kind in listed) * width
    lines_per_block = _LINES if compression == _ZIP else 1
    count = -(-height // lines_per_block)
    offsets = struct.unpack_from(f"<{count}Q", data, position)
    if count * 8 + position > len(data) or stride * height > 16 * _LIMIT**2:
        raise ValueError("too large")
    out, planes, spans = _room_for(listed, wanted, width, height)
    everything = memoryview(data)
    for offset in offsets:
        y, size = struct.unpack_from("<ii", data, offset)
        packed = everything[offset + 8 : offset + 8 + max(size, 0)]
        row = y - y0
        rows = min(lines_per_block, height - row)
        if len(packed) != size or rows <= 0 or row < 0:
            raise ValueError("truncated block")
        part = out[row : row + rows]
        if size == rows * stride:  # stored as it is
            lines = np.frombuffer(packed, np.uint8).reshape(rows, stride)
            for start, stop, place in spans.tolist():
                part[:, 2 * place : 2 * (place + stop - start)] = lines[:, 2 * start : 2 * stop]
        else:
            coder.place(_inflate(packed, rows * stride, coder), spans, part)
    return planes


def _room_for(
    listed: list[tuple[str, np.dtype]], wanted: set[str] | None, width: int, height: int
) -> tuple[npt.NDArray[np.uint8], dict[str, npt.NDArray], npt.NDArray[np.int64]]:
    """Scanlines of the channels that are wanted, their planes in them, and the spans of `Blocks.place`."""
    found: list[tuple[str, np.dtype, int]] = []
    spans: list[tuple[int, int, int]] = []
    start = place = 0
    for name, kind in listed:
        pairs = kind.itemsize // 2 * width
        if wanted is None or name in wanted or name.rpartition(".")[0] in wanted:
            found.append((name, kind, place))
            spans.append((start, start + pairs, place))
            place += pairs
        start += pairs
    out = np.empty((height, 2 * place), np.uint8)
    planes = {
        name: out[:, 2 * place : 2 * place + kind.itemsize * width].view(kind) for name, kind, place in found
    }
    return out, planes, np.array(spans, np.int64).reshape(-1, 3)
