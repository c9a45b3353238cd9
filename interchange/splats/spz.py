# SPDX-License-Identifier: Apache-2.0
"""Niantic's SPZ: about 16 bytes a splat before gzip, and 1 for each SH coefficient. Version 3 is written, 2 and 3 read.

Layout: github.com/nianticlabs/spz (MIT), src/cc/load-spz.cc; checked against its WebAssembly build in the tests.
Axes in the file are RUB. Version 4 (zstd, 2026) is not read: numpy and zlib are all that exists inside Blender.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import quantisation as q
from .axes import flipped_yz
from .cloud import Array, SplatCloud

MAGIC = b"NGSP"
MAX_SPLATS = 10_000_000
"""What the reference reader allows; a header that claims more is not believed."""

_HEADER = struct.Struct("<4sIIBBBB")  # magic, version, splats, SH degree, fractional bits, flags, reserved
_ANTIALIASED, _EXTENDED = 1, 2
_LEAST_BITS, _MOST_BITS = 0, 14  # of a position's fraction; 14: steps of 61 micrometres within +-512 m
_SH_STEP = np.float32(4)  # of SH bytes; the reference's 8 in the first band and 16 above cost a face 0.8 dB, this 0.1
_COLOUR_SCALE = 0.15
_OPACITY_LIMIT = 1e-6  # what a byte of 0 stands for (and 255 for 1 less this), so that logits stay finite
_BOMB_SIZE, _BOMB_RATIO = 1 << 26, 100  # real splats are packed less than tenfold
_EFFORT = 5  # zlib's usual 6 takes twice as long for 1 % less
_ROOT_HALF = np.sqrt(0.5)


@attrs.frozen
class _Head:
    version: int
    count: int
    degree: int
    bits: int
    flags: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Bytes a splat of positions, opacities, colours, scales, rotations, SH, in the order of the file."""
        return 9, 1, 3, 3, 4 if self.version == 3 else 3, 3 * ((self.degree + 1) ** 2 - 1)


def encode(cloud: SplatCloud) -> Iterator[bytes]:
    """The file, version 3, in parts. The same cloud gives the same bytes."""
    stored = flipped_yz(cloud)
    bits = _fractional_bits(stored.means)
    flags = _ANTIALIASED * cloud.antialiased
    packer = zlib.compressobj(_EFFORT, zlib.DEFLATED, 31)
    yield packer.compress(_HEADER.pack(MAGIC, 3, len(cloud), cloud.degree, bits, flags, 0))
    for block in (
        _packed_positions(stored.means, bits),
        q.quantised(q.opacity_from_logit(stored.opacity_logits) * 255, 255),
        q.quantised((stored.sh[:, 0] * _COLOUR_SCALE + 0.5) * 255, 255),
        q.quantised((stored.log_scales + 10) * 16, 255),
        _packed_rotations(stored.quats_wxyz),
        _packed_sh(stored.sh[:, 1:]),
    ):
        yield packer.compress(np.ascontiguousarray(block, np.uint8).data)
    yield packer.flush()


def losses(cloud: SplatCloud) -> list[str]:
    """What does not fit into the ranges of the format, in words."""
    beyond = {
        "positions": np.abs(cloud.means) > 2**23 - 1,
        "sizes": (cloud.log_scales < -10.03) | (cloud.log_scales > 5.97),
        "colours": np.abs(cloud.sh[:, 0]) > 0.5 / _COLOUR_SCALE,
        "SH coefficients": np.abs(cloud.sh[:, 1:]) > 1,
    }
    counts = {what: int(mask.reshape(len(cloud), -1).any(axis=1).sum()) for what, mask in beyond.items()}
    return [f"The {what} of {n} splats are beyond SPZ's range; they were clipped." for what, n in counts.items() if n]


def decode(data: bytes, path: Path) -> SplatCloud:
    """The cloud in an SPZ file of version 2 or 3."""
    if data[:4] == MAGIC:
        raise InputError(
            f"{path} is an SPZ file of version {int.from_bytes(data[4:8], 'little')}; 2 and 3 are read.",
            "Export it as SPZ version 3 or as .ply.",
        )
    if data[:2] != b"\x1f\x8b":
        raise InputError(f"{path} is not an SPZ file.", "Give the .spz of a splat cloud.")
    inflater = zlib.decompressobj(31)
    head = _read_head(inflater.decompress(data, _HEADER.size), path)
    size = head.count * sum(head.widths)
    if size > _BOMB_SIZE and size > _BOMB_RATIO * len(data):
        raise InputError(
            f"{path} would unpack to {size >> 20} MiB from {len(data)} bytes, as no splats do.", "Export it again."
        )
    body = inflater.decompress(inflater.unconsumed_tail, size) if size else b""
    _check_end(inflater, head, len(body), size)
    positions, opacities, colours, log_scales, rotations, sh = _split(body, head)
    higher = (sh.reshape(head.count, -1, 3).astype(np.float32) - 128) / 128
    base = (colours[:, None] / np.float32(255) - np.float32(0.5)) / np.float32(_COLOUR_SCALE)
    unpack = _unpacked_rotations if head.version == 3 else _unpacked_first_three
    return flipped_yz(
        SplatCloud(
            _unpacked_positions(positions, head.bits), log_scales / np.float32(16) - 10, unpack(rotations),
            q.logit_from_opacity(opacities[:, 0] / 255, _OPACITY_LIMIT, 1 - _OPACITY_LIMIT),
            np.concatenate([base, higher], axis=1), bool(head.flags & _ANTIALIASED),
        )
    )  # fmt: skip


def _read_head(packed: bytes, path: Path) -> _Head:
    magic, *numbers, _ = _HEADER.unpack(packed)
    head = _Head(*numbers)
    if magic != MAGIC:
        raise InputError(f"{path} is packed, but holds no SPZ file.", "Give the .spz of a splat cloud.")
    if head.version not in (2, 3):
        raise InputError(f"{path} is an SPZ file of version {head.version}; 2 and 3 are read.", "Export it as .ply.")
    if head.degree > 3:
        raise InputError(f"{path} has SH degree {head.degree}; 0 to 3 are read.", "Export it with degree 3.")
    if head.count > MAX_SPLATS:
        raise InputError(f"{path} claims {head.count} splats; {MAX_SPLATS} are read.", "Thin it out first.")
    if head.bits > 24:
        raise ValueError(f"{head.bits} fractional bits")
    return head


def _check_end(inflater: Any, head: _Head, got: int, size: int) -> None:
    """Read on to the checksum, which zlib compares. Extensions may follow, up to the size of what was read."""
    if got < size:
        raise ValueError(f"it ends after {got} of {size} bytes")
    more = inflater.decompress(inflater.unconsumed_tail, size + 4096)
    if not inflater.eof or (more and not head.flags & _EXTENDED):
        raise ValueError("its length is not what its header says")


def _split(body: bytes, head: _Head) -> Iterator[npt.NDArray[np.uint8]]:
    position = 0
    for width in head.widths:
        yield np.frombuffer(body, np.uint8, head.count * width, position).reshape(head.count, width)
        position += head.count * width


def _fractional_bits(means: Array) -> int:
    """As many as the farthest splat leaves room for in 24 bits. The usual 12 would be steps of a quarter millimetre."""
    farthest = float(np.abs(means).max(initial=1e-6))
    return int(np.clip(np.floor(np.log2((2**23 - 1) / farthest)), _LEAST_BITS, _MOST_BITS))


def _packed_positions(means: Array, bits: int) -> npt.NDArray[np.uint8]:
    limit = 2**23 - 1
    steps = np.clip(np.rint(means.astype(np.float64) * 2.0**bits), -limit, limit).astype("<i4")
    return np.ascontiguousarray(steps).view(np.uint8).reshape(len(means), 3, 4)[..., :3]


def _unpacked_positions(packed: npt.NDArray[np.uint8], bits: int) -> Array:
    words = np.zeros((len(packed), 3, 4), np.uint8)
    words[..., 1:] = packed.reshape(len(packed), 3, 3)  # the sign is in place, the number 256 times too large
    return words.view("<i4")[..., 0] / (256 * 2.0**bits)


def _packed_rotations(quats_wxyz: Array) -> npt.NDArray[np.uint8]:
    """Index of the largest of x y z w, then of each other a sign and nine bits of |component| / sqrt(1/2)."""
    largest, others = q.split_smallest_three(np.roll(q.unit_quaternions(quats_wxyz), -1, axis=1))
    steps = q.quantised(np.abs(others) / _ROOT_HALF * 511, 511) | ((others < 0).astype(np.uint32) << 9)
    words = (largest.astype(np.uint32) << 30) | (steps[:, 0] << 20) | (steps[:, 1] << 10) | steps[:, 2]
    return words.astype("<u4").view(np.uint8).reshape(-1, 4)


def _unpacked_rotations(packed: npt.NDArray[np.uint8]) -> Array:
    words = np.ascontiguousarray(packed).view("<u4")[:, 0]
    steps = words[:, None] >> np.array([20, 10, 0], np.uint32)
    others = (steps & 511) * (_ROOT_HALF / 511) * np.where(steps & 512, -1, 1)
    return np.roll(q.join_smallest_three(words >> 30, others), 1, axis=1)


def _unpacked_first_three(packed: npt.NDArray[np.uint8]) -> Array:
    """Version 2: x y z as bytes, w >= 0 follows."""
    xyz = packed / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - (xyz * xyz).sum(axis=1)))
    return np.concatenate([w[:, None], xyz], axis=1)


def _packed_sh(higher: Array) -> npt.NDArray[np.uint8]:  # (N, K - 1, 3)
    """A byte a coefficient, rounded to fewer values, which gzip then packs."""
    values = higher.reshape(len(higher), 3 * higher.shape[1]) * (128 / _SH_STEP) + 128 / _SH_STEP
    np.rint(values, out=values)
    values *= _SH_STEP
    return np.clip(values, 0, 255, out=values).astype(np.uint8)
