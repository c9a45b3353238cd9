# SPDX-License-Identifier: Apache-2.0
"""The PLY file of 3D Gaussian Splatting, which every viewer reads: all numbers as trained, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..whole_files import whole_file
from . import compressed_ply
from .cloud import Array, SplatCloud
from .files import read_whole
from .ply_table import columns, is_antialiased, read_header, read_tables, render_mode_comment

_ROWS = 1 << 16  # written at a time


def ply_properties(degree: int) -> list[str]:
    """Property names in the order of the original files; f_rest is channel-major: all red, then green, then blue."""
    rest = 3 * ((degree + 1) ** 2 - 1)
    return (
        ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
        + [f"f_rest_{i}" for i in range(rest)]
        + ["opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    )


def write_ply(path: Path | str, cloud: SplatCloud) -> None:
    """Write a binary little-endian PLY; written beside `path`, then renamed. Every number as it is, NaN too."""
    with whole_file(path) as file:
        file.writelines(encode(cloud))


def read_ply(path: Path | str) -> SplatCloud:
    """Read a 3DGS PLY by property name, whatever their order and types, any SH degree 0..3; or a compressed PLY.

    Raises InputError that names the missing properties, or says that the file is damaged or empty.
    """
    return read_whole(path, decode)


def encode(cloud: SplatCloud) -> Iterator[bytes | memoryview]:
    """The file in parts."""
    names = ply_properties(cloud.degree)
    header = ["ply", "format binary_little_endian 1.0", f"comment {render_mode_comment(cloud.antialiased)}"]
    header += [f"element vertex {len(cloud)}"]
    header += [f"property float {name}" for name in names] + ["end_header"]
    yield ("\n".join(header) + "\n").encode("ascii")
    rest = 3 * (cloud.sh.shape[1] - 1)
    for start in range(0, len(cloud), _ROWS):
        part = slice(start, min(start + _ROWS, len(cloud)))
        block = np.zeros((part.stop - start, len(names)), "<f4")
        block[:, :3] = cloud.means[part]
        block[:, 6:9] = cloud.sh[part, 0]
        block[:, 9 : 9 + rest] = cloud.sh[part, 1:].transpose(0, 2, 1).reshape(len(block), rest)
        block[:, 9 + rest] = cloud.opacity_logits[part]
        block[:, 10 + rest : 13 + rest] = cloud.log_scales[part]
        block[:, 13 + rest :] = cloud.quats_wxyz[part]
        yield block.data


def decode(data: bytes, path: Path) -> SplatCloud:
    """The cloud in a plain or compressed PLY."""
    header = read_header(data, path)
    antialiased = is_antialiased(header.comments)
    if compressed_ply.is_compressed(header):
        return compressed_ply.decode(header, data, path, antialiased)
    vertex = header.element("vertex")
    if vertex is None:
        raise InputError(f"{path} has no vertex element.", "Give the .ply of a splat cloud.")
    names = {p.name for p in vertex.properties if not p.length}
    if header.element("face") is not None and "f_dc_0" not in names:
        raise InputError(f"{path} is a mesh, not a splat cloud.", "Give the .ply of a splat cloud.")
    degree = _degree(names, path)
    table = read_tables(header, data, ["vertex"])["vertex"]
    if len(table) != vertex.count:
        raise InputError(f"The splat file {path} ends after {len(table)} of {vertex.count} splats.", "Copy it again.")
    return _cloud(table, degree, antialiased)


def _degree(names: set[str], path: Path) -> int:
    rest = sum(name.startswith("f_rest_") for name in names)
    degree = {0: 0, 9: 1, 24: 2, 45: 3}.get(rest)
    if degree is None:
        raise InputError(f"{path} has {rest} f_rest properties.", "0, 9, 24 or 45 make SH degree 0 to 3.")
    missing = [n for n in ply_properties(degree) if n not in names and n not in ("nx", "ny", "nz")]
    if missing:
        lacks = ", ".join(missing[:4])
        raise InputError(f"{path} is not a splat cloud: it lacks {lacks}.", "Is it a plain point cloud?")
    return degree


def _cloud(table: npt.NDArray, degree: int, antialiased: bool) -> SplatCloud:
    per_channel = (degree + 1) ** 2 - 1
    sh_names = ["f_dc_0", "f_dc_1", "f_dc_2"]
    sh_names += [f"f_rest_{k + channel * per_channel}" for k in range(per_channel) for channel in range(3)]
    sh: Array = columns(table, sh_names).reshape(len(table), -1, 3)
    return SplatCloud(
        columns(table, ["x", "y", "z"]), columns(table, [f"scale_{i}" for i in range(3)]),
        columns(table, [f"rot_{i}" for i in range(4)]), columns(table, ["opacity"])[:, 0], sh, antialiased,
    )  # fmt: skip
