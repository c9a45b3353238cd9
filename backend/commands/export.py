# SPDX-License-Identifier: Apache-2.0
"""Write a double's splats to a file in the format that its name asks for; also turns one splat file into another."""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs

from backend.terminal import Terminal
from interchange.errors import InputError
from interchange.splats import SUFFIXES, format_of, read_splats, write_splats

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("double", type=Path, metavar="DOUBLE", help="the folder of a double, or a splat file")
    _arguments.add_out(parser, f"the file to write: {', '.join(SUFFIXES)}")
    parser.add_argument("--sh-degree", type=int, choices=range(4), help="drop higher spherical harmonics")
    parser.add_argument("--min-opacity", type=float, default=0.0, metavar="0..1", help="drop fainter splats")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Read, thin out, write."""
    wanted = format_of(options.out)  # a name that asks for no known format is refused before any work
    path = options.double / "splats.ply" if options.double.is_dir() else options.double
    cloud = read_splats(path)
    if options.sh_degree is not None:
        cloud = attrs.evolve(cloud, sh=cloud.sh[:, : (options.sh_degree + 1) ** 2])
    finite = cloud.finite()
    faint = finite & (cloud.opacities < options.min_opacity)  # the writer leaves out the others, and counts them
    left = int(finite.sum() - faint.sum())
    if not left:
        raise InputError(f"No splat of {path} would be left.", "Lower --min-opacity, or fit again if they are broken.")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for note in write_splats(options.out, cloud.subset(~faint)):
        terminal.say(note)
    terminal.say(f"Wrote {options.out}: {left} splats, SH degree {min(cloud.degree, wanted.degree)}")
    return 0
