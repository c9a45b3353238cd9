# SPDX-License-Identifier: Apache-2.0
"""Put the source's face on the captured avatar: by default in all views at once, through its UV texture.

The source folder holds the photo, its landmarks and the consent record (`digidouble source` makes one).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.faceswap.settings import ENGINES, SwapSettings
from backend.faceswap.swap import REPORT, swap
from backend.pipeline import settings_from
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--capture", type=Path, required=True, metavar="DIR", help="the target's capture folder")
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the source folder")
    _arguments.add_out(parser, "the swapped folder to write")
    _arguments.add_swap(parser)
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="what computes; auto: a GPU if one works")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Swap."""
    chosen = {**_arguments.swap_settings(options), "engine": options.engine}
    settings = settings_from(chosen, SwapSettings)
    result = swap(options.capture, options.source, options.out, settings, terminal.progress("swap"), lambda: False)
    for warning in result.warnings:
        terminal.say(warning)
    terminal.say(result.report["engine_reason"])
    found = result.report.get("consistency")
    if found:
        agree = f"{found['views_used']} views agree on one skin to {found['residual_levels']:.1f} of 255 levels"
        terminal.say(f"{agree}; {REPORT} tells of each")
    terminal.say(f"Wrote {options.out}")
    return 0
