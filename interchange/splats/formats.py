# SPDX-License-Identifier: Apache-2.0
"""Which splat format a file is in, by what it begins with and by its name; reading and writing any of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from ..errors import InputError
from ..whole_files import whole_file
from . import compressed_ply, dot_splat, gltf, ply, spz
from .cloud import SplatCloud
from .files import Decoder, read_whole


def _no_losses(_: SplatCloud) -> list[str]:
    return []


@attrs.frozen
class Format:
    """One kind of file. `encode` gives its parts, `losses` says what the format cannot hold of a cloud."""

    suffix: str
    encode: Callable[[SplatCloud], Iterable[Any]]
    decode: Decoder
    losses: Callable[[SplatCloud], list[str]] = _no_losses
    degree: int = 3  # the highest SH degree that it holds
    antialiased: bool = True  # whether it can say how the splats were trained


FORMATS = (
    Format(".compressed.ply", compressed_ply.encode, ply.decode, compressed_ply.losses),
    Format(".ply", ply.encode, ply.decode),
    Format(".spz", spz.encode, spz.decode, spz.losses),
    Format(".splat", dot_splat.encode, dot_splat.decode, degree=0, antialiased=False),
    Format(".glb", gltf.encode_glb, gltf.decode_glb),
    Format(".gltf", gltf.encode_gltf, gltf.decode_gltf),
)
SUFFIXES = tuple(item.suffix for item in FORMATS)

_MAGIC: tuple[tuple[bytes, Decoder], ...] = (
    (b"ply\n", ply.decode), (b"ply\r", ply.decode), (b"\x1f\x8b", spz.decode), (spz.MAGIC, spz.decode),
    (b"glTF", gltf.decode_glb),
)  # fmt: skip
_LFS = b"version https://git-lfs.github.com/spec/"


def format_of(path: Path | str) -> Format:
    """The format that a file's name asks for. InputError that lists the formats if it is none of them."""
    name = Path(path).name.lower()
    for item in FORMATS:
        if name.endswith(item.suffix):
            return item
    raise InputError(f"{path} is not the name of a splat file.", f"Splats are written as {_listed(SUFFIXES)}.")


def read_splats(path: Path | str) -> SplatCloud:
    """Read a splat file of any known format: by its first bytes, or by its name where a format has no such mark.

    The cloud is in the splat frame, whatever axes the file has. Splats with NaN are kept: `SplatCloud.finite` finds
    them. Raises InputError if the file is none, damaged, empty, or has no finite splat at all.
    """
    cloud = read_whole(path, _decode)
    if not cloud.finite().any():
        raise InputError(f"The splat file {path} holds no usable splats.", "Export it again.")
    return cloud


def write_splats(path: Path | str, cloud: SplatCloud) -> list[str]:
    """Write a splat file in the format of its name; written beside `path`, then renamed.

    Splats with NaN or infinite numbers are left out. Returns a sentence for each thing that the file lacks of the
    cloud. Raises InputError if the name is no splat file's, or if no finite splat is left.
    """
    wanted, notes = format_of(path), []
    finite = cloud.finite()
    broken = len(cloud) - int(finite.sum())
    if broken == len(cloud):
        raise InputError(f"{path} would hold no splats: none is finite.", "Fit again.")
    if broken:
        notes.append(f"{broken} splats with NaN or infinite numbers were left out.")
        cloud = cloud.subset(finite)
    if cloud.degree > wanted.degree:
        notes.append(f"{wanted.suffix} files hold no colour that changes with the view; SH degree 1 and up is lost.")
        cloud = attrs.evolve(cloud, sh=cloud.sh[:, : (wanted.degree + 1) ** 2])
    if cloud.antialiased and not wanted.antialiased:
        notes.append(f"{wanted.suffix} files cannot say that the splats were trained with anti-aliasing.")
    notes += wanted.losses(cloud)
    with np.errstate(over="ignore"), whole_file(path) as file:  # what becomes infinite is clipped to the format's range
        file.writelines(wanted.encode(cloud))
    return notes


def _decode(data: bytes, path: Path) -> SplatCloud:
    if not data:
        raise InputError(f"{path} is empty.", "Export or copy it again.")
    if data.startswith(_LFS):
        raise InputError(f"{path} is a Git LFS pointer, not the file itself.", "Run git lfs pull, or download it.")
    for magic, decode in _MAGIC:
        if data.startswith(magic):
            return decode(data, path)
    name = path.name.lower()
    for item in FORMATS:
        if name.endswith(item.suffix):
            return item.decode(data, path)
    raise InputError(f"{path} is no splat file.", f"{_listed(SUFFIXES)} files are read.")


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
