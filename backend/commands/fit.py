# SPDX-License-Identifier: Apache-2.0
"""Fit Gaussians to a capture (or a swapped one), or to photos whose cameras are known.

Photos come as a transforms.json folder (nerfstudio, instant-ngp, synthetic NeRF scenes) or as a COLMAP model with its
images/. Writes splats.ply and the renders of the held-out views; goes on from its last checkpoint when it is run again.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.fitting.fit import FitResult, fit
from backend.fitting.inputs import LONGEST
from backend.fitting.settings import DENSIFY, ENGINES, STARTS, FitSettings
from backend.fitting.trainer import Observer
from backend.pipeline import settings_from
from backend.terminal import Terminal, stop_on_interrupt
from interchange.png import write_png

from . import _arguments

PREVIEW_EVERY_S = 2.0
ENDED = {
    "time budget": "It ended early because the time budget was used up.",
    "plateau": "It ended early because nothing improved any more.",
}
_MORE = (
    "engine", "start", "densify", "max_splats", "detail_density", "antialiased", "depth_weight", "normal_weight",
    "robust", "colour_affine",
)  # fmt: skip


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
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="what computes; auto: a GPU if one works")
    parser.add_argument("--start", choices=STARTS, default="auto", help="where splats begin; auto takes what there is")
    parser.add_argument(
        "--densify", choices=DENSIFY, default="none", help="add splats where they are missing: hair, thin parts, photos"
    )
    parser.add_argument("--max-splats", type=int, metavar="N", help="with --densify; default twice --splats")
    parser.add_argument(
        "--detail-density", type=float, default=0.0, metavar="0..2", help="sow splats denser where there is fine detail"
    )
    parser.add_argument(
        "--depth-weight", type=float, default=0.0, metavar="W", help="also fit depth maps, as 0.05 (on the CPU only)"
    )
    parser.add_argument(
        "--normal-weight", type=float, default=FitSettings().normal_weight, metavar="0..0.1",
        help="lay splats flat on the mesh (default %(default)s); 0 leaves them free",
    )  # fmt: skip
    parser.add_argument("--antialiased", action="store_true", help="for viewers that know Mip-Splatting")
    parser.add_argument(
        "--robust", type=float, default=0.0, metavar="0..0.5", help="part of the pixels that may contradict other views"
    )
    parser.add_argument("--colour-affine", action="store_true", help="even out exposure that drifts between views")
    parser.add_argument(
        "--preview", type=_arguments.new_path, metavar="FILE", help="a PNG of the first view, renewed during the fit"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Fit, and say how well."""
    chosen = {name: getattr(options, name) for name in _MORE}
    settings = settings_from(_arguments.fit_settings(options) | chosen, FitSettings)
    observer = Observer() if options.preview is None else previews_to(options.preview)
    with stop_on_interrupt() as interrupted:
        result = fit(
            options.input, options.out, settings, terminal.progress("fit"), interrupted, observer, options.longest
        )
    for line in (*result.notes, *summary(result)):
        terminal.say(line)
    terminal.say(f"Wrote {options.out / 'splats.ply'}")
    return 0


def previews_to(path: Path, clock: Callable[[], float] = time.monotonic) -> Observer:
    """An observer that has the file renewed every `PREVIEW_EVERY_S` seconds."""
    last = -math.inf

    def wanted() -> bool:
        return clock() - last >= PREVIEW_EVERY_S

    def keep(image: npt.NDArray[np.uint8], _: int) -> None:
        nonlocal last
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, image)
        last = clock()

    return Observer(preview_wanted=wanted, preview=keep)


def summary(result: FitResult) -> list[str]:
    """How many splats, and the figures at cameras that the fit never saw, in words."""
    lines = [f"{result.splats} splats after {result.iterations} steps in {result.seconds:.1f} s, from {result.start}"]
    lines += [ENDED[result.stopped]] if result.stopped else []
    if result.psnr is None or result.ssim is None:
        return [*lines, "No view was held out, so nothing tells how good it is at other cameras."]
    parts = [f"PSNR {result.psnr:.2f} dB", f"SSIM {result.ssim:.4f}"]
    parts += [f"MS-SSIM {result.ms_ssim:.4f}"] if result.ms_ssim is not None else []
    parts += [f"FLIP {result.flip:.4f}"] if result.flip is not None else []
    parts += [f"{name.upper()} not available" for name in result.not_available]
    views = "1 held-out view" if result.held_out == 1 else f"{result.held_out} held-out views"
    return [*lines, f"{views}: {', '.join(parts)}"]
