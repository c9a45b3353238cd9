# SPDX-License-Identifier: Apache-2.0
"""The Blender add-on's figures that need no window: capture, cameras, import, display, Apply Transform.

Blender's half runs in Blender's environment; what a window must show is checked by tests/gui. The first run on a
machine compiles kernels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from backend.blender_process import run_blender
from backend.commands.avatar import build_arguments

from . import addon_display
from .bars import Bar

IDENTITY = "ada"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--quick", action="store_true", help="one round of few, small views; 20 for the memory")
    addon_display.add_arguments(parser)


def run(options: argparse.Namespace) -> list[Bar]:
    """All of it; without --capture a sample avatar is built, captured and fitted."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        bars = capture_bars(folder, quick=options.quick)
        bars += addon_display.import_bars(folder)
        captured = options.capture or sample_capture(folder, quick=options.quick)
        return bars + addon_display.picture_bars(folder, captured, options.double, options.pictures)


def capture_bars(folder: Path, *, quick: bool) -> list[Bar]:
    """A capture against a bare script, memory over many views, cameras against Blender's own projection."""
    out = folder / "capture_figures.json"
    size = ["--rounds", "1", "--views", "6", "--size", "192", "--many", "20"] if quick else []
    run_blender("benchmarks.addon_capture", [*size, "--json", out])
    found = json.loads(out.read_text())
    return [
        Bar("capture over a bare script, wall", 100 * found["overhead"], "%", at_most=10),
        Bar("capture over a bare script, processor", 100 * found["overhead_cpu"], "%"),
        Bar("capture, a view", found["capture_s_a_view"], "s"),
        Bar("bare script, a view", found["bare_s_a_view"], "s"),
        Bar(f"memory grown over {found['many']} views", abs(found["growth_mb"]), "MB", at_most=50),
        Bar("cameras against Blender's own", found["camera_error_px"], "px", at_most=1e-5),
        Bar("at 1920 and 4096 px, its formulas", found["camera_error_large_px"], "px", at_most=1e-5),
    ]


def sample_capture(folder: Path, *, quick: bool) -> Path:
    """A capture of a sample avatar, for a double that pictures are taken of; returns its folder."""
    blend, out = folder / f"{IDENTITY}.blend", folder / "sample"
    views = ["--train", "16", "--held-out", "2"] if quick else ["--train", "32", "--held-out", "4"]
    run_blender("avatars", build_arguments(IDENTITY, blend, None, 0, None))
    run_blender("blender_addon.headless", ["capture", "--blend", blend, "--out", out, "--size", "256", *views])
    return out
