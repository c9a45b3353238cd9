# SPDX-License-Identifier: Apache-2.0
"""How hard a capture is: the prototype's trainer on it, and both trainers on the easy head that the bars came from.

All with 40 views of 256 x 256, 20,000 splats and 500 steps. PSNR is a mean over 8 held-out views.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from backend.fitting.dataset import Dataset
from backend.fitting.initialisation import initialise
from backend.fitting.inputs import load_input
from backend.fitting.quality_time import time_to_quality
from backend.fitting.schedule import view_index
from backend.fitting.settings import FitSettings
from backend.kernels.parameters import ROW_LOG_SCALE, ROW_OPACITY, SplatParameters

from ..bars import Bar
from .prototype import PrototypeFit
from .simple_head import simple_head

SETTINGS = FitSettings(iterations=500, splats=20_000, detail_density=0.7, engine="cpu")
OPACITY = 0.6
"""Of the prototype's first splats, which are round."""


def run(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """The prototype's figures only where its folder was given, the capture's only where that was."""
    scenes = {"simple head": simple_head()}
    if options.capture256 is not None:
        scenes["capture 256^2"] = load_input(options.capture256)
    table: dict[str, Any] = {}
    for name, dataset in scenes.items():
        curve = time_to_quality(dataset, SETTINGS, (), steps_between=SETTINGS.iterations).curve
        table[f"{name}, ours"] = curve["psnr"][-1]
        if options.against is not None:
            for degree in (0, 1):
                table[f"{name}, prototype, SH {degree}"] = prototype_psnr(options.against, dataset, degree)
    return [Bar(f"control: {name}", value, "dB") for name, value in table.items()], table


def prototype_psnr(folder: Path, dataset: Dataset, degree: int) -> float:
    """The prototype's kernels, first splats, rates and schedule: mean dB over the held-out views."""
    start = initialise(dataset, attrs.evolve(SETTINGS, sh_degree=degree))
    block = SplatParameters.from_cloud(start.cloud).block
    block[ROW_LOG_SCALE:ROW_OPACITY] = block[ROW_LOG_SCALE:ROW_OPACITY].mean(axis=0)
    block[ROW_OPACITY, : len(start.cloud)] = np.log(OPACITY / (1 - OPACITY))
    trainer = PrototypeFit(folder, block, dataset)
    for iteration in range(1, SETTINGS.iterations + 1):
        view = view_index(iteration, len(dataset.train), SETTINGS.seed)
        trainer.step(view, iteration, iteration / SETTINGS.iterations)
    return trainer.psnr()
