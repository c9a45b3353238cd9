# SPDX-License-Identifier: Apache-2.0
"""Write report.html of a double: strips, curves, metrics, a turntable. Opens by double click, needs no network.

A double that has no manifest yet (it was made step by step) is signed: what it was made of, and whose consent it had.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.pipeline import sign
from backend.provenance import MANIFEST, consent_of_fit
from backend.report.build import build_report
from backend.terminal import Terminal
from interchange.errors import InputError

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("double", type=Path, metavar="DOUBLE", help="the folder of the double")
    for name, text in (("capture", "the untouched capture"), ("swapped", "the swapped capture"),
                       ("source", "the source folder"), ("truth", "renders of the true swap")):  # fmt: skip
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"{text} (default: {name}/ beside the double)")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Build it from the folders beside the double, unless told otherwise."""
    _arguments.double_folder(options.double)
    beside = options.double.resolve().parent
    folders = {}
    for name in ("capture", "swapped", "source", "truth"):
        given = getattr(options, name)
        folders[name] = given or (beside / name if (beside / name).exists() else None)
    capture = folders["capture"]
    if capture is None:
        raise InputError(f"There is no capture beside {options.double}.", "Say with --capture which one was fitted.")
    others = (folders["swapped"], folders["source"], folders["truth"])
    report = build_report(options.double, capture, *others, terminal.progress("report"))
    terminal.say(f"Wrote {report}")
    if not (options.double / MANIFEST).exists():  # a double made step by step; one of a whole job is signed by the job
        _sign(options.double, capture, folders["source"], folders["swapped"], terminal)
    return 0


def _sign(double: Path, capture: Path, source: Path | None, swapped: Path | None, terminal: Terminal) -> None:
    """The manifest that `digidouble verify` checks, with the digest of the consent record if a face was swapped in."""
    is_swap = swapped is not None or consent_of_fit(double) is not None
    if is_swap and source is None:
        terminal.say("Not signed: say with --source whose face it is; its consent record belongs into the manifest.")
        return
    sign(double, capture, source if is_swap else None, {}, swapped)
    terminal.say(f"Wrote {double / MANIFEST}")
