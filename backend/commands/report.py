# SPDX-License-Identifier: Apache-2.0
"""Write report.html of a double: strips, curves, metrics, a turntable. Opens by double click, needs no network.

A double that has no manifest yet (it was made step by step) is signed: what it was made of, and whose consent it had.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.pipeline import sign
from backend.provenance import FIGURES, MANIFEST, REPORT, consent_of_fit, renew_manifest
from backend.report.build import build_report
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("double", type=Path, metavar="DOUBLE", help="the folder of the double")
    _arguments.add_folders_beside(parser, {
        "capture": "the untouched capture", "swapped": "the swapped capture", "source": "the source folder",
        "truth": "renders of the true swap",
    })  # fmt: skip


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Build it from the folders beside the double, unless told otherwise."""
    _arguments.double_folder(options.double)
    capture = _arguments.capture_beside(options)
    swapped, source, truth = (_arguments.folder_beside(options, name) for name in ("swapped", "source", "truth"))
    missing = tuple(name for name in FIGURES if not (options.double / name).exists())
    report = build_report(options.double, capture, swapped, source, truth, terminal.progress("report"))
    terminal.say(f"Wrote {report}")
    if (options.double / MANIFEST).exists():
        renew_manifest(options.double, REPORT + missing)
    else:  # a double made step by step; one of a whole job is signed by the job
        _sign(options.double, capture, source, swapped, terminal)
    return 0


def _sign(double: Path, capture: Path, source: Path | None, swapped: Path | None, terminal: Terminal) -> None:
    """The manifest that `digidouble verify` checks, with the digest of the consent record if a face was swapped in."""
    is_swap = swapped is not None or consent_of_fit(double) is not None
    if is_swap and source is None:
        terminal.say("Not signed, so `verify` will refuse it: say with --source whose face it is, and who allowed it.")
        return
    sign(double, capture, source if is_swap else None, {}, swapped)
    terminal.say(f"Wrote {double / MANIFEST}")
