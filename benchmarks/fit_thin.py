# SPDX-License-Identifier: Apache-2.0
"""A fit that starts at random, without a mesh, of an object with thin parts: seconds to 30 dB on held-out views.

Builds the chair of `thin_object.py` and captures it with Blender (108 views of 256 x 256, some minutes), unless
--capture names a folder that has it already. Placing the first splats counts; reading pictures and compiling do not.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from backend.blender_process import run_blender
from backend.fitting.dataset import Dataset
from backend.fitting.inputs import load_input
from backend.fitting.quality_time import time_to_quality
from backend.fitting.settings import FitSettings
from backend.kernels.engine import compile_kernels

from .bars import Bar

SETTINGS = FitSettings(
    start="random", splats=10_000, densify="default", max_splats=30_000, iterations=1500, sh_degree=1, engine="cpu"
)
DECIBEL, SECONDS = 30.0, 300.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--capture", type=Path, metavar="DIR", help="use this capture of the object, made before")


def run(options: argparse.Namespace) -> list[Bar]:
    """Capture if need be, fit once, hold the figures to the bars."""
    compile_kernels()
    if options.capture is not None:
        return bars_of(load_input(options.capture))
    with tempfile.TemporaryDirectory() as temporary:
        blend, capture = Path(temporary) / "chair.blend", Path(temporary) / "capture"
        run_blender("benchmarks.thin_object", [blend])
        views = ["--size", "256", "--train", "100", "--held-out", "8", "--samples", "12", "--without-landmarks"]
        run_blender("blender_addon.headless", ["capture", "--blend", blend, "--out", capture, *views])
        return bars_of(load_input(capture))


def bars_of(dataset: Dataset) -> list[Bar]:
    """Fit once. CPU seconds are those of all threads over the number of cores: the wall's, were the machine idle."""
    cores = os.cpu_count() or 1
    wall, cpu = time.monotonic(), time.process_time()
    found = time_to_quality(dataset, SETTINGS, (DECIBEL,), lambda: time.process_time() / cores)
    psnr, splats = found.curve["psnr"][-1], found.curve["splats"][-1]
    return [
        Bar(f"cpu seconds / {cores} cores to {DECIBEL:g} dB", found.reached[DECIBEL], "s", at_most=SECONDS),
        Bar("of these for placing splats", found.placing, "s"),
        Bar("held-out PSNR at the end", psnr, "dB", at_least=DECIBEL),
        Bar(f"cpu seconds / {cores} cores of the run", (time.process_time() - cpu) / cores, "s"),
        Bar("wall seconds of the run, measuring included", time.monotonic() - wall, "s"),
        Bar("splats at the end", splats),
    ]
