# SPDX-License-Identifier: Apache-2.0
"""What we take of gsplat's sources, and the changes that we make to a copy of them before it is compiled.

All of it is text work on the pinned release: a change that does not find exactly the text that it was written for
refuses, so that no other release is ever patched by halves.

About CUDA 13, with which 1.5.3 is said not to build: with nvcc 13.0 and g++ 12 on Linux every file taken here compiles
unchanged, and so do the files of the other kernels. What the later fixes repair is in the 3DGUT kernels under MSVC
(device-side std::isfinite and std::array, gone from CCCL 3) and in torch's build helper for .cpp files, which does not
add the toolkit's folder `cccl`; we take none of the former and let nvcc, which knows that folder, compile everything.
So FOR_CUDA is empty; a toolkit that needs a change gets its entry there, with the release from which it applies.
"""

from __future__ import annotations

import re
from pathlib import Path

import attrs

from interchange.errors import InputError

VERSION = "1.5.3"

SOURCES = (
    "csrc/RasterizeToPixels3DGSBwd.cu",  # the slowest first, so that no thread ends with it alone
    "csrc/RasterizeToPixels3DGSFwd.cu",
    "ext.cpp",
    "csrc/ProjectionEWA3DGSFused.cu",
    "csrc/SphericalHarmonicsCUDA.cu",
    "csrc/IntersectTile.cu",
    "csrc/Rasterization.cpp",
    "csrc/Projection.cpp",
    "csrc/SphericalHarmonics.cpp",
    "csrc/Intersect.cpp",
    "csrc/AdamCUDA.cu",
    "csrc/Adam.cpp",
)
"""The files of gsplat/cuda that render, differentiate and optimise 3D Gaussians; the other two thirds stay behind."""

KEPT_CHANNELS = 3
"""Colour channels that the rasterizer is compiled for; gsplat compiles 19 numbers, for minutes."""

LEFT_OUT = {
    "csrc/Projection.cpp": (
        "projection_ewa_simple_fwd", "projection_ewa_simple_bwd", "projection_ewa_3dgs_packed_fwd",
        "projection_ewa_3dgs_packed_bwd", "projection_2dgs_fused_fwd", "projection_2dgs_fused_bwd",
        "projection_2dgs_packed_fwd", "projection_2dgs_packed_bwd", "projection_ut_3dgs_fused",
    ),
    "csrc/Rasterization.cpp": (
        "rasterize_to_indices_3dgs", "rasterize_to_pixels_2dgs_fwd", "rasterize_to_pixels_2dgs_bwd",
        "rasterize_to_indices_2dgs", "rasterize_to_pixels_from_world_3dgs_fwd",
        "rasterize_to_pixels_from_world_3dgs_bwd",
    ),
}  # fmt: skip
"""Functions whose kernels are not taken."""

_OTHERS_LEFT_OUT = ("null", "quat_scale_to_covar_preci_fwd", "quat_scale_to_covar_preci_bwd", "relocation")
"""Further entries of the module whose files are not taken."""


@attrs.frozen
class Replacement:
    """Exactly `count` places of `file` that read `old` read `new` instead."""

    file: str
    old: str
    new: str
    count: int
    why: str


_CLAMP = "alpha is clamped at .99 by every other engine of ours, the references, the first 3DGS trainer and gsplat 1.6"

ALWAYS = (
    Replacement("csrc/RasterizeToPixels3DGSFwd.cu", "min(0.999f, opac", "min(0.99f, opac", 1, _CLAMP),
    Replacement("csrc/RasterizeToPixels3DGSBwd.cu", "min(0.999f, opac", "min(0.99f, opac", 1, _CLAMP),
    Replacement("csrc/RasterizeToPixels3DGSBwd.cu", "opac * vis <= 0.999f", "opac * vis <= 0.99f", 1, _CLAMP),
)

FOR_CUDA: tuple[tuple[tuple[int, int], Replacement], ...] = ()
"""(first CUDA release that needs it, change)."""


def patched(file: str, text: str, cuda: tuple[int, int]) -> str:
    """The text of one of SOURCES as we compile it with CUDA release `cuda`. InputError if it is not the known text."""
    changes = [*ALWAYS, *(change for first, change in FOR_CUDA if cuda >= first)]
    for change in changes:
        if change.file == file:
            text = _replaced(text, change)
    for name in LEFT_OUT.get(file, ()):
        text = _without_function(text, name, file)
    if file == "ext.cpp":
        for name in [*_OTHERS_LEFT_OUT, *(name for names in LEFT_OUT.values() for name in names)]:
            text = _without_entry(text, name)
    return _with_one_channel_number(text)


def copy_sources(package: Path, target: Path, cuda: tuple[int, int]) -> None:
    """Write the patched SOURCES and the headers beside them from an installed gsplat `package` into `target`."""
    origin = package / "cuda"
    for file in SOURCES:
        _write(target / file, patched(file, _read(origin / file), cuda))
    for folder, pattern in (("csrc", "*.h"), ("csrc", "*.cuh"), ("include", "*.h"), ("include", "*.cuh")):
        for path in sorted((origin / folder).glob(pattern)):
            _write(target / folder / path.name, _read(path))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise _unknown(path.name) from error


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _unknown(file: str) -> InputError:
    return InputError(
        f"{file} of the installed gsplat is not that of release {VERSION}.", f"Install gsplat {VERSION} anew."
    )


def _replaced(text: str, change: Replacement) -> str:
    if text.count(change.old) != change.count:
        raise _unknown(change.file)
    return text.replace(change.old, change.new)


def _without_function(text: str, name: str, file: str) -> str:
    """Cut one definition: from the end of the one before it to its own closing brace in the first column."""
    found = re.search(rf"\b{name}\(", text)
    ends = [match.end() for match in re.finditer(r"^(?:\};?|namespace gsplat \{)$", text, re.MULTILINE)]
    before = [end for end in ends if found and end < found.start()]
    after = [end for end in ends if found and end > found.start()]
    if not before or not after:
        raise _unknown(file)
    return text[: before[-1]] + text[after[0] :]


def _without_entry(text: str, name: str) -> str:
    shorter, count = re.subn(rf'm\.def\(\s*"{name}",\s*&gsplat::{name}\s*\);', "", text)
    if count != 1:
        raise _unknown("ext.cpp")
    return shorter


def _with_one_channel_number(text: str) -> str:
    return re.sub(rf"^ *__(?:INS|LAUNCH_KERNEL)__\((?!{KEPT_CHANNELS}\))\d+\)\n", "", text, flags=re.MULTILINE)
