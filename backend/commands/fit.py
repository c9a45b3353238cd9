# SPDX-License-Identifier: Apache-2.0
"""Fit Gaussians to a capture (or a swapped one), or to photos whose cameras are known.

Photos come as a transforms.json folder (nerfstudio, instant-ngp, synthetic NeRF scenes) or as a COLMAP model with its
images/. Writes splats.ply and the renders of the held-out views; goes on from its last checkpoint when it is run again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.fitting.fit import FitResult, fit
from backend.fitting.inputs import LONGEST
from backend.fitting.settings import FitSettings
from backend.pipeline import settings_from
from backend.terminal import Terminal

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "input", type=Path, metavar="INPUT", help="a capture or swapped folder, transforms.json or COLMAP model"
    )
    _arguments.add_out(parser, "the folder of the double")
    _arguments.add_fit(parser)
    parser.add_argument(
        "--longest", type=_arguments.SIZE, default=LONGEST, metavar="PIXELS",
        help=f"photos are scaled down to this longer side (default {LONGEST}); captures are not",
    )  # fmt: skip


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Fit, and say how well."""
    settings = settings_from(_arguments.fit_settings(options), FitSettings)
    result = fit(
        options.input, options.out, settings, terminal.progress("fit"), lambda: False, longest=options.longest
    )
    for line in (*result.notes, *summary(result)):
        terminal.say(line)
    terminal.say(f"Wrote {options.out / 'splats.ply'}")
    return 0


def summary(result: FitResult) -> list[str]:
    """How many splats, and the figures at cameras that the fit never saw, in words."""
    lines = [f"{result.splats} splats after {result.iterations} steps in {result.seconds:.1f} s, from {result.start}"]
    if result.psnr is None or result.ssim is None:
        return [*lines, "No view was held out, so nothing tells how good it is at other cameras."]
    parts = [f"PSNR {result.psnr:.2f} dB", f"SSIM {result.ssim:.4f}"]
    parts += [f"MS-SSIM {result.ms_ssim:.4f}"] if result.ms_ssim is not None else []
    parts += [f"FLIP {result.flip:.4f}"] if result.flip is not None else []
    parts += [f"{name.upper()} not available" for name in result.not_available]
    views = "1 held-out view" if result.held_out == 1 else f"{result.held_out} held-out views"
    return [*lines, f"{views}: {', '.join(parts)}"]
