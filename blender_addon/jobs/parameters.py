# SPDX-License-Identifier: GPL-3.0-or-later
"""From what an artist chooses to what the backend is told. No bpy.

The names are those of the backend's FitSettings and SwapSettings; a test on the backend's side compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PHOTOS = 7
"""How many of a performer's photos the backend uses, unless told otherwise."""

DOUBLE, GAUSSIANS = "double", "fit"
"""Kinds of jobs: swap and fit; fit the avatar as it is."""


@dataclass(frozen=True)
class Quality:
    """What a preset stands for. `time_limit_s` 0: as long as it takes."""

    iterations: int
    splats: int
    sh_degree: int
    time_limit_s: float


PRESETS = {
    "PREVIEW": Quality(iterations=400, splats=15_000, sh_degree=1, time_limit_s=20.0),
    "STANDARD": Quality(iterations=900, splats=50_000, sh_degree=2, time_limit_s=0.0),
    "HIGH": Quality(iterations=3000, splats=120_000, sh_degree=3, time_limit_s=0.0),
}

DENSIFY = (  # identifier, name, tooltip
    ("none", "Fixed", "Keep the number of splats: best for clean heads, and the shortest"),
    ("default", "Grow", "Copy and split splats where pictures ask for it: hair and thin parts"),
    ("mcmc", "Move", "Move splats that nobody sees to where they are missing: hair, captures without a mesh"),
)

UV, ONNX = "uv", "onnx"
SWAPPERS = (
    (UV, "UV Skin", "One new skin for the whole head, so all views agree. The default"),
    ("classical", "Classical", "Warp and blend the photo into each view, then make the views agree"),
    (ONNX, "ONNX Model", "A swap network of yours, in the backend's models folder; its licence is shown there"),
)


@dataclass(frozen=True)
class Choices:
    """All that the panel offers, in plain values."""

    kind: str
    quality: Quality
    densify: str
    detail: float
    seed: int
    swapper: str
    tone: float
    strength: float
    delight: bool
    onnx_model: str = ""
    onnx_recogniser: str = ""
    shape: float = 0.0
    eye_colour: float = 1.0
    photos: int = PHOTOS


def parameters(choices: Choices) -> dict[str, Any]:
    """The job's parameters: {"swap": {...}, "fit": {...}}; without a swap only {"fit": {...}}."""
    quality = choices.quality
    fit = {
        "iterations": quality.iterations,
        "splats": quality.splats,
        "sh_degree": quality.sh_degree,
        "densify": choices.densify,
        "detail_density": _short(choices.detail),
        "seed": choices.seed,
    }
    if quality.time_limit_s > 0:
        fit["time_budget_s"] = _short(quality.time_limit_s)
    if choices.kind == GAUSSIANS:
        return {"fit": fit}
    swap: dict[str, Any] = {
        "swapper": choices.swapper,
        "tone": _short(choices.tone),
        "strength": _short(choices.strength),
        "delight": choices.delight,
        "photos": choices.photos,
    }
    if choices.swapper == UV:
        swap["shape"] = _short(choices.shape)
        swap["eye_colour"] = _short(choices.eye_colour)
    if choices.swapper == ONNX:
        named = {"model": choices.onnx_model.strip(), "recogniser": choices.onnx_recogniser.strip()}
        swap["onnx"] = {name: value for name, value in named.items() if value}
    return {"swap": swap, "fit": fit}


def _short(value: float) -> float:
    """0.8 rather than Blender's single precision 0.800000011920929."""
    return round(float(value), 4)
