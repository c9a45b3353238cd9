# SPDX-License-Identifier: Apache-2.0
"""Fit Gaussians to a capture (or a swapped one) on this machine's CPU.

Writes splats.ply and the renders of the held-out views; goes on from its last checkpoint when it is run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.fitting.fit import fit
from backend.fitting.settings import FitSettings
from backend.pipeline import settings_from
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("input", type=Path, metavar="INPUT", help="a capture or swapped folder")
    _arguments.add_out(parser, "the folder of the double")
    _arguments.add_fit(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Fit."""
    settings = settings_from(_arguments.fit_settings(options), FitSettings)
    fit(options.input, options.out, settings, terminal.progress("fit"), lambda: False)
    terminal.say(f"Wrote {options.out / 'splats.ply'}")
    return 0
