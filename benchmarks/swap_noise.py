# SPDX-License-Identifier: Apache-2.0
"""How a swap takes landmarks that are a little off: the same with Gaussian noise on the photo's points, some seeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from backend.faceswap.settings import SwapSettings
from backend.faceswap.swap import swap
from interchange.capture import Capture, write_json

SEEDS = (0, 1, 2)


@attrs.frozen
class NoiseRow:
    """Truth PSNR in the face, dB, over the seeds: mean and standard deviation."""

    mean: float
    sd: float


def noise_rows(
    capture: Path,
    source: Path,
    root: Path,
    methods: Mapping[str, Mapping[str, Any]],
    pixels: float,
    truth_psnr: Callable[[Capture], float],
) -> dict[str, NoiseRow]:
    """Swap with every method and seed, landmarks off by `pixels` (standard deviation, by coordinate)."""
    found = {}
    for name, settings in methods.items():
        print(f"  landmarks off by {pixels:g} px: {name}", flush=True)
        figures = []
        for seed in SEEDS:
            noisy = with_noise(source, root / f"source_{pixels:g}px_{seed}", pixels, seed)
            out = root / "noisy"
            shutil.rmtree(out, ignore_errors=True)
            swap(capture, noisy, out, SwapSettings(**settings))
            figures.append(truth_psnr(Capture.load(out)))
            shutil.rmtree(out)
        found[name] = NoiseRow(round(float(np.mean(figures)), 4), round(float(np.std(figures)), 4))
    return found


def with_noise(source: Path, out: Path, pixels: float, seed: int) -> Path:
    """A copy of a source folder whose landmarks are off by Gaussian noise, kept inside the photo by its own check."""
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(source, out)
    path = out / "landmarks.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    generator = np.random.default_rng(seed)
    points = {key: (np.array(xy) + generator.normal(0, pixels, 2)).tolist() for key, xy in content["points"].items()}
    write_json(path, content | {"points": points})
    return out
