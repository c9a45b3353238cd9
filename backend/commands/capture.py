# SPDX-License-Identifier: Apache-2.0
"""Render an avatar from all sides with all passes: views, cameras, masks, mesh, rig, in one folder.

Goes on where it was when it is run again; finished views are not rendered twice.
"""

from __future__ import annotations

import argparse

from backend.blender_process import run_blender
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _arguments.add_avatar(parser)
    _arguments.add_views(parser)
    _arguments.add_out(parser, "the capture folder to write")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Render what is missing."""
    arguments = ["capture", "--blend", options.blend, "--out", options.out, "--json-progress"]
    arguments += ["--avatar", options.avatar] if options.avatar else []
    for name in ("train", "held_out", "size", "samples"):
        arguments += ["--" + name.replace("_", "-"), str(getattr(options, name))]
    arguments += [a for e in options.expression for a in ("--expression", e)]
    run_blender("blender_addon.headless", arguments, terminal.progress("capture"))
    terminal.say(f"Wrote {options.out}")
    return 0
