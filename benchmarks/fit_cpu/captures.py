# SPDX-License-Identifier: Apache-2.0
"""Time to a quality on held-out views: real fits of given captures, after compilation, with the curve's own clock."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from backend.fitting.fit import CURVES, fit
from backend.fitting.settings import FitSettings

from ..bars import Bar

QUIET: dict[str, Any] = {"checkpoint_every_s": 3600.0, "engine": "cpu", "detail_density": 0.7}
RUNS: dict[str, list[tuple[str, FitSettings, dict[int, float]]]] = {
    "capture256": [
        ("256^2, short", FitSettings(iterations=500, splats=20_000, evaluations=50, **QUIET), {35: 3.0, 38: 6.0}),
        ("256^2, long", FitSettings(iterations=1200, splats=50_000, evaluations=24, **QUIET), {40: 12.0}),
    ],
    "capture512": [
        ("512^2, short", FitSettings(iterations=900, splats=50_000, evaluations=45, **QUIET), {38: 20.0}),
        ("512^2, long", FitSettings(iterations=2200, splats=100_000, sh_degree=3, evaluations=22, **QUIET), {40: 45.0}),
        ("512^2, two minutes", FitSettings(iterations=6000, splats=100_000, sh_degree=3, time_budget_s=120,
                                           evaluations=6, early_stop=False, **QUIET), {}),
    ],
}  # fmt: skip
"""Options of the command: name, settings, decibels to reach and seconds allowed."""
TWO_MINUTES_PSNR, TWO_MINUTES_SSIM = 43.0, 0.985


def run(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """The runs whose capture was given. Seconds count training and its evaluations, not loading and placing splats."""
    bars: list[Bar] = []
    table: dict[str, Any] = {}
    for option, runs in RUNS.items():
        folder = getattr(options, option)
        if folder is None:
            continue
        for name, settings, allowed in runs:
            more, curve = _fit(name, folder, settings, allowed)
            bars += more
            table[name] = curve
    return bars, table


def _fit(name: str, folder: Path, settings: FitSettings, allowed: dict[int, float]) -> tuple[list[Bar], Any]:
    with tempfile.TemporaryDirectory() as out:
        result = fit(folder, Path(out) / "fit", settings)
        record = json.loads((Path(out) / "fit" / CURVES).read_text())
    bars = [
        Bar(f"capture {name}: seconds to {decibels} dB", seconds_to(record, decibels), "s", at_most=limit)
        for decibels, limit in allowed.items()
    ]
    budget = settings.time_budget_s is not None
    bars += [
        Bar(f"capture {name}: PSNR at the end", result.psnr, "dB", at_least=TWO_MINUTES_PSNR if budget else None),
        Bar(f"capture {name}: SSIM at the end", result.ssim, "", at_least=TWO_MINUTES_SSIM if budget else None),
        Bar(f"capture {name}: seconds in all", result.seconds, "s"),
    ]
    return bars, record


def seconds_to(curve: dict[str, list[float | None]], decibels: float) -> float | None:
    """When the held-out PSNR first reached so much; None if it never did."""
    for seconds, psnr in zip(curve["seconds"], curve["psnr"], strict=True):
        if psnr is not None and psnr >= decibels:
            return seconds
    return None
