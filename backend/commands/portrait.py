# SPDX-License-Identifier: Apache-2.0
"""Render a portrait of a sample avatar as a source: photo, exact landmarks and a consent record of kind `synthetic`."""

from __future__ import annotations

import argparse

from backend.blender_process import run_blender
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _arguments.add_avatar(parser)
    parser.add_argument(
        "--size", type=_arguments.SIZE, default=640, metavar="PIXELS", help="edge of the portrait (default 640)"
    )
    _arguments.add_out(parser, "the source folder to write")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Render it."""
    arguments = [
        "portrait",
        "--blend",
        options.blend,
        "--out",
        options.out,
        "--size",
        str(options.size),
        "--json-progress",
    ]
    arguments += ["--avatar", options.avatar] if options.avatar else []
    arguments += [a for e in options.expression for a in ("--expression", e)]
    run_blender("blender_addon.headless", arguments, terminal.progress("portrait"))
    terminal.say(f"Wrote {options.out}")
    return 0
