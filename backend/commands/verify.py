# SPDX-License-Identifier: Apache-2.0
"""Check a double against its manifest: every file, the inputs that are still there, the consent record."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend import provenance
from backend.terminal import Terminal
from interchange.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("double", type=Path, metavar="DOUBLE", help="the folder of a double")
    parser.add_argument(
        "--inputs", type=Path, metavar="DIR", help="where capture/ and source/ lie (default: beside it)"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """0 if all is as it was written, 1 with a line for each problem otherwise."""
    if not options.double.is_dir():
        raise InputError(f"The double {options.double} is missing.", "Give the folder that a fit or a job has written.")
    problems = provenance.verify(options.double, options.inputs)
    for problem in problems:
        terminal.say(f"{problem.kind:<8} {problem.message}")
    count = "1 problem." if len(problems) == 1 else f"{len(problems)} problems."
    terminal.say(count if problems else "The double is as it was written.")
    return 1 if problems else 0
