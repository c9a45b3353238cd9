# SPDX-License-Identifier: Apache-2.0
"""Write a double's splats to a file, in the PLY layout that splat viewers read."""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs

from backend.terminal import Terminal
from interchange.errors import InputError
from interchange.splats import read_ply, write_ply

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("double", type=Path, metavar="DOUBLE", help="the folder of a double, or a .ply of splats")
    parser.add_argument("--out", type=_arguments.new_path, required=True, metavar="FILE", help="the .ply file to write")
    parser.add_argument("--sh-degree", type=int, choices=range(4), help="drop higher spherical harmonics")
    parser.add_argument("--min-opacity", type=float, default=0.0, metavar="0..1", help="drop fainter splats")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Read, thin out, write."""
    if options.out.suffix.lower() != ".ply":
        raise InputError(f"{options.out} is not a .ply file name.", "Splats are written as .ply.")
    path = options.double / "splats.ply" if options.double.is_dir() else options.double
    cloud = read_ply(path)
    if options.sh_degree is not None:
        cloud = attrs.evolve(cloud, sh=cloud.sh[:, : (options.sh_degree + 1) ** 2])
    kept = cloud.finite() & (cloud.opacities >= options.min_opacity)
    if not kept.any():
        raise InputError(f"No splat of {path} would be left.", "Lower --min-opacity, or fit again if they are broken.")
    cloud = cloud.subset(kept)
    write_ply(options.out, cloud)
    terminal.say(f"Wrote {options.out}: {len(cloud)} splats, SH degree {cloud.degree}")
    return 0
