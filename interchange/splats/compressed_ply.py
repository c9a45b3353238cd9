# SPDX-License-Identifier: Apache-2.0
"""PlayCanvas' compressed PLY: chunks of 256 splats, each with its own ranges; 16 bytes a splat, 1 a coefficient.

The layout was learnt from splat-transform (MIT), which is the oracle in the tests. Splats are put into Morton order, so
that the splats of a chunk are neighbours and its ranges short.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import quantisation as q
from .cloud import SH_C0, Array, SplatCloud
from .ply_table import Header, columns, read_tables, render_mode_comment

_CHUNK = 256
_POSITION = ["min_x", "min_y", "min_z", "max_x", "max_y", "max_z"]
_SCALE = ["min_scale_x", "min_scale_y", "min_scale_z", "max_scale_x", "max_scale_y", "max_scale_z"]
_COLOUR = ["min_r", "min_g", "min_b", "max_r", "max_g", "max_b"]
_PACKED = ["packed_position", "packed_rotation", "packed_scale", "packed_color"]
_LOG_SCALE_LIMIT = 20.0  # what other writers allow
_SH_LIMIT = 4.0
_OPACITY_LIMIT = 1e-6  # what a byte of 0 stands for (and 255 for 1 less this), so that logits stay finite
_EIGHT_BITS = np.array([255, 255, 255])
_POINT_BITS = np.array([2047, 1023, 2047])


def is_compressed(header: Header) -> bool:
    """Whether a PLY header is that of a compressed cloud."""
    vertex = header.element("vertex")
    names = {p.name for p in vertex.properties} if vertex else set()
    return header.element("chunk") is not None and "packed_position" in names


def encode(cloud: SplatCloud) -> Iterator[bytes | memoryview]:
    """The file in parts; splats in Morton order."""
    cloud = cloud.subset(morton_order(cloud.means))
    chunks = -(-len(cloud) // _CHUNK)
    rest = 3 * (cloud.sh.shape[1] - 1)
    header = ["ply", "format binary_little_endian 1.0", f"comment {render_mode_comment(cloud.antialiased)}"]
    header += [f"element chunk {chunks}"] + [f"property float {name}" for name in _POSITION + _SCALE + _COLOUR]
    header += [f"element vertex {len(cloud)}"] + [f"property uint {name}" for name in _PACKED]
    header += [f"element sh {len(cloud)}"] * bool(rest) + [f"property uchar f_rest_{i}" for i in range(rest)]
    yield ("\n".join([*header, "end_header"]) + "\n").encode("ascii")

    ranges, words = [], []
    log_scales = np.clip(cloud.log_scales, -_LOG_SCALE_LIMIT, _LOG_SCALE_LIMIT)
    colours = 0.5 + SH_C0 * cloud.sh[:, 0]
    opacities = q.quantised(q.opacity_from_logit(cloud.opacity_logits) * 255, 255)
    for values, steps in ((cloud.means, _POINT_BITS), (log_scales, _POINT_BITS), (colours, _EIGHT_BITS)):
        span, packed = _in_chunks(values, steps)
        ranges.append(span)
        words.append(packed)
    position, scale = ((w[:, 0] << 21) | (w[:, 1] << 11) | w[:, 2] for w in words[:2])
    colour = (words[2][:, 0] << 24) | (words[2][:, 1] << 16) | (words[2][:, 2] << 8) | opacities
    yield np.concatenate(ranges, axis=1).astype("<f4").data
    yield np.stack([position, _packed_rotation(cloud.quats_wxyz), scale, colour], axis=1).astype("<u4").data
    if rest:
        by_channel = cloud.sh[:, 1:].transpose(0, 2, 1).reshape(len(cloud), rest)
        steps = np.clip(np.floor((by_channel / (2 * _SH_LIMIT) + 0.5) * 256), 0, 255)
        yield steps.astype(np.uint8).data


def losses(cloud: SplatCloud) -> list[str]:
    """What does not fit into the ranges of the format, in words."""
    beyond = (np.abs(cloud.sh[:, 1:]) > _SH_LIMIT).any(axis=(1, 2))
    beyond |= (np.abs(cloud.log_scales) > _LOG_SCALE_LIMIT).any(axis=1)
    if not beyond.any():
        return []
    return [f"Sizes or SH coefficients of {beyond.sum()} splats are beyond what the format holds; they were clipped."]


def decode(header: Header, data: bytes, path: Path, antialiased: bool) -> SplatCloud:
    """The cloud in the file, in the file's order. Files without the colours' ranges, an older kind, are read too."""
    sh_element = header.element("sh")
    names = ["chunk", "vertex"] + ["sh"] * bool(sh_element and sh_element.properties)  # gsplat writes an empty one
    tables = read_tables(header, data, names)
    for name in names:
        claimed = header.element(name)
        if name not in tables or claimed is None or len(tables[name]) != claimed.count:
            raise InputError(f"The splat file {path} ends inside its {name} table.", "Copy it again.")
    chunk, vertex = tables["chunk"], tables["vertex"]
    if len(chunk) != -(-len(vertex) // _CHUNK) or len(tables.get("sh", vertex)) != len(vertex):
        raise ValueError(f"{len(chunk)} chunks for {len(vertex)} splats")
    of_splat = np.arange(len(vertex)) // _CHUNK
    position, rotation, scale, colour = (vertex[name].astype(np.uint32) for name in _PACKED)
    base = _unpacked(colour, (24, 16, 8), _EIGHT_BITS)
    if "min_r" in (chunk.dtype.names or ()):
        base = _from_chunks(base, columns(chunk, _COLOUR), of_splat)
    sh = ((base - 0.5) / SH_C0)[:, None]
    if "sh" in tables:
        sh = np.concatenate([sh, _higher_bands(tables["sh"])], axis=1)
    return SplatCloud(
        _from_chunks(_unpacked(position, (21, 11, 0), _POINT_BITS), columns(chunk, _POSITION), of_splat),
        _from_chunks(_unpacked(scale, (21, 11, 0), _POINT_BITS), columns(chunk, _SCALE), of_splat),
        _unpacked_rotation(rotation), q.logit_from_opacity((colour & 255) / 255, _OPACITY_LIMIT, 1 - _OPACITY_LIMIT),
        sh, antialiased,
    )  # fmt: skip


def morton_order(means: Array) -> npt.NDArray[np.int64]:  # (N, 3) finite
    """(N,) indices along a z-order curve through the cloud's box, 21 bits an axis; equal keys keep their order."""
    means = means.astype(np.float64)
    low = means.min(axis=0)
    steps = (means - low) * ((2**21 - 1) / np.maximum(means.max(axis=0) - low, 1e-300))
    key = np.zeros(len(means), np.uint64)
    for axis in range(3):
        key |= _spread_bits(steps[:, axis].astype(np.uint64)) << np.uint64(axis)
    return np.argsort(key, kind="stable")


def _spread_bits(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Bit i of a 21-bit number to bit 3 i."""
    for shift, mask in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):  # fmt: skip
        value = (value | (value << np.uint64(shift))) & np.uint64(mask)
    return value


def _in_chunks(values: Array, steps: Array) -> tuple[Array, Array]:  # (N, 3), (3,)
    """Each chunk's least and most (chunks, 6) float32, and the values in that range as (N, 3) uint32 steps."""
    values = values.astype(np.float64)
    starts = np.arange(0, len(values), _CHUNK)
    low = np.minimum.reduceat(values, starts, axis=0)
    high = np.maximum.reduceat(values, starts, axis=0)
    of_value = np.arange(len(values)) // _CHUNK
    width = np.where(high > low, high - low, 1)
    packed = q.quantised((values - low[of_value]) / width[of_value] * steps, 2047)
    return np.concatenate([low, high], axis=1).astype(np.float32), packed


def _from_chunks(fractions: Array, ranges: Array, of_splat: Array) -> Array:  # (N, 3) 0..1, (chunks, 6), (N,)
    ranges = ranges.astype(np.float64)
    low, high = ranges[of_splat, :3], ranges[of_splat, 3:]
    return low * (1 - fractions) + high * fractions


def _unpacked(words: Array, shifts: tuple[int, int, int], steps: Array) -> Array:
    """(N, 3) fractions 0..1 out of (N,) uint32."""
    return ((words[:, None] >> np.array(shifts, np.uint32)) & steps.astype(np.uint32)) / steps


def _packed_rotation(quats: Array) -> Array:  # (N, 4) wxyz
    largest, others = q.split_smallest_three(q.unit_quaternions(quats))
    steps = q.quantised((others * np.sqrt(0.5) + 0.5) * 1023, 1023)
    return (largest.astype(np.uint32) << 30) | (steps[:, 0] << 20) | (steps[:, 1] << 10) | steps[:, 2]


def _unpacked_rotation(words: Array) -> Array:
    fractions = _unpacked(words, (20, 10, 0), np.array([1023, 1023, 1023]))
    return q.join_smallest_three(words >> 30, (fractions - 0.5) * np.sqrt(2))


def _higher_bands(table: npt.NDArray) -> Array:
    """(N, K - 1, 3); 0 and 255 stand for the ends of the range, other bytes for the middle of their step."""
    names = [name for name in table.dtype.names or () if name.startswith("f_rest_")]
    if len(names) not in (9, 24, 45):
        raise ValueError(f"{len(names)} f_rest properties")
    steps = columns(table, [f"f_rest_{i}" for i in range(len(names))]).astype(np.uint8)
    fractions = (np.arange(256, dtype=np.float32) + 0.5) / 256
    fractions[[0, 255]] = 0, 1
    values = (fractions - 0.5) * (2 * _SH_LIMIT)
    return values[steps].reshape(len(table), 3, -1).transpose(0, 2, 1)
