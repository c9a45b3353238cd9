# SPDX-License-Identifier: Apache-2.0
"""Put a double's splats into a .blend file, as a point cloud beside the avatar and its cameras."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.blender_process import run_blender
from backend.terminal import Terminal

from . import _arguments

SPLATS = "splats.ply"
"""What a double's folder has for its splats."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--splats", type=Path, required=True, metavar="FILE", help="any splat file, or a double")
    parser.add_argument("--blend", type=Path, metavar="FILE", help="the avatar's .blend file, which is not changed")
    parser.add_argument("--capture", type=Path, metavar="DIR", help="its capture: adds the cameras")
    _arguments.add_out(parser, "the .blend file to write")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Import and save."""
    splats = options.splats / SPLATS if (options.splats / SPLATS).is_file() else options.splats
    arguments = ["import", "--splats", splats, "--out", options.out, "--json-progress"]
    for name in ("blend", "capture"):
        arguments += [f"--{name}", getattr(options, name)] if getattr(options, name) else []
    run_blender("blender_addon.headless", arguments, terminal.progress("import"))
    terminal.say(f"Wrote {options.out}")
    return 0
