# SPDX-License-Identifier: Apache-2.0
"""Measure a double: fit against its views, against the true swap if there is one, the views against each other."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.evaluation.evaluate import evaluate
from backend.evaluation.tables import LEGEND, table_lines
from backend.provenance import FIGURES, MANIFEST, renew_manifest
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("double", type=Path, metavar="DOUBLE", help="the folder of the double")
    _arguments.add_folders_beside(parser, {
        "capture": "the untouched capture", "swapped": "the swapped capture that was fitted",
        "truth": "renders of the true swap",
    })  # fmt: skip
    parser.add_argument("--source", type=Path, metavar="DIR", help="the source folder: adds its photo as a control")
    parser.add_argument(
        "--source-views", type=Path, metavar="DIR", help="the source's own avatar by the same cameras: adds table 2"
    )
    parser.add_argument("--lpips", type=Path, metavar="FILE", help="your own weights of LPIPS, as an .onnx file")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Write metrics.json; a double that is signed stays so."""
    _arguments.double_folder(options.double)
    progress = terminal.progress("evaluate")
    capture = _arguments.capture_beside(options)
    swapped, truth = (_arguments.folder_beside(options, name) for name in ("swapped", "truth"))
    found = evaluate(
        capture, swapped, options.double, truth, progress=progress, lpips=options.lpips,
        source_folder=options.source, source_views_folder=options.source_views,
    )  # fmt: skip
    if (options.double / MANIFEST).exists():
        renew_manifest(options.double, FIGURES)
    for name, rows in found.tables.items():
        terminal.say("\n".join(table_lines(name, rows)))
    terminal.say(LEGEND)
    for name, reason in found.metrics.perceptual.not_available.items():
        terminal.say(f"{name.upper()} is not available: {reason}")
    terminal.say(f"Wrote {options.double / 'metrics.json'}")
    return 0
