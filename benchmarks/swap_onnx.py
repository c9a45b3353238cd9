# SPDX-License-Identifier: Apache-2.0
"""What the ONNX adapter loses by itself: alignment, resampling and paste-back around a stand-in that gives its crop
back unchanged, and around one that darkens it by a known rule. No figure here tells anything about a real network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.evaluation.metrics import psnr, sharpness, through_8_bit
from backend.faceswap.onnx.models import ModelFolder
from backend.faceswap.onnx.settings import OnnxSettings
from backend.faceswap.registry import OnnxSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import Source
from interchange.capture import Capture, View

from .stand_in_networks import LICENCE, RECOGNISER, SIZES, file_name, write_flickering, write_recogniser, write_stand_in

Picture = npt.NDArray[np.float32]
GAIN, BIAS = 0.7, 0.08
"""The known change: of display-referred values."""
FLICKERING = "blendswap_256"
"""Kind that there is a flickering stand-in of."""
_RULES = {"unchanged": (1.0, 0.0), "darker": (GAIN, BIAS), "black": (0.0, 0.0)}
_RUNS = (("inswapper_128", 1), ("inswapper_128", 2), ("inswapper_128", 4), ("blendswap_256", 1), ("blendswap_256", 2))
_SEEN = 1 / 255  # a pixel darker than this cannot tell how much of it was replaced


@attrs.frozen
class RoundTrip:
    """Of one stand-in, means over views, in the region that is pasted over: crop: its edge in pixels. scale: pixels of
    the crop for one of the view. unchanged, sharpness: the picture after the stand-in that changes nothing against the
    untouched one, dB and ratio. darker: after the known change, against that change made without any crop, dB."""

    crop: int
    scale: float
    unchanged: float
    sharpness: float
    darker: float
    views: int


def write_stand_ins(folder: Path) -> ModelFolder:
    """A models folder with all stand-ins. InputError without the package onnx."""
    write_recogniser(folder)
    for kind in SIZES:
        for what, rule in _RULES.items():
            write_stand_in(folder, kind, what, *rule)
    write_flickering(folder, FLICKERING)
    return ModelFolder(folder)


def stand_in_settings(kind: str, what: str, boost: int = 1) -> SwapSettings:
    """A swap by a stand-in, view by view."""
    recogniser = RECOGNISER if kind == "inswapper_128" else ""
    options = OnnxSettings(file_name(kind, what), recogniser=recogniser, pixel_boost=boost, licence=LICENCE)
    return SwapSettings(swapper="onnx", consistency=False, onnx=options)


def round_trips(capture: Capture, source: Source, models: ModelFolder) -> dict[str, RoundTrip]:
    """A row for each stand-in and pixel boost, over all views in which the face is swapped."""
    found = {}
    for kind, boost in _RUNS:
        print(f"  round trip: {kind}, pixel boost {boost}", flush=True)
        found[f"{kind}, pixel boost {boost}"] = _round_trip(capture, source, models, kind, boost)
    return found


def _round_trip(capture: Capture, source: Source, models: ModelFolder, kind: str, boost: int) -> RoundTrip:
    prepared = {
        what: OnnxSwapper(lambda: models).prepare(
            capture, source, stand_in_settings(kind, what, boost), None, lambda: False
        )
        for what in _RULES
    }
    try:
        plan = prepared["unchanged"].report["views"]
        shown = [v for v in capture.views if plan[v.name]["swapped"]]
        figures = [_figures(capture, v, {what: p.change for what, p in prepared.items()}) for v in shown]
        eyes = float(np.mean([plan[v.name]["eye_distance_px"] for v in shown]))
    finally:
        for each in prepared.values():
            each.close()
    mean = {key: float(np.mean([f[key] for f in figures])) for key in figures[0]}
    crop = SIZES[kind] * boost
    template = {"inswapper_128": 0.2753, "blendswap_256": 0.2459}[kind]  # between the eyes, of the crop's edge
    return RoundTrip(crop, round(crop * template / eyes, 3), round(mean["unchanged"], 2), round(mean["sharpness"], 3),
                     round(mean["darker"], 2), len(figures))  # fmt: skip


def _figures(capture: Capture, view: View, change: dict[str, Callable[..., Any]]) -> dict[str, float]:
    images, mesh = capture.load_view(view), capture.load_mesh(capture.pose_of(view))
    before = images.display()

    def after(what: str) -> Picture:
        return attrs.evolve(images, rgb=change[what](images, mesh, view.camera)).display()

    # How much of each pixel is replaced, without any code of the adapter: what black takes away.
    brightest = before.max(-1)
    amount = np.where(brightest > _SEEN, 1 - after("black").max(-1) / np.maximum(brightest, _SEEN), 0)
    amount = np.clip(amount, 0, 1)
    wanted = before + amount[..., None] * ((GAIN - 1) * before + BIAS)
    same, darker = through_8_bit(after("unchanged")), through_8_bit(after("darker"))
    return {
        "unchanged": psnr(same, through_8_bit(before), amount),
        "sharpness": sharpness(same, through_8_bit(before), amount),
        "darker": psnr(darker, through_8_bit(wanted), amount),
    }


def round_trip_lines(rows: dict[str, RoundTrip]) -> list[str]:
    """The table for the terminal."""
    lines = [f"{'stand-ins, no network':<34}{'crop':>6}{'crop px / view px':>19}{'unchanged':>11}{'sharp':>7}"
             f"{'darker':>9}"]  # fmt: skip
    for name, row in rows.items():
        lines.append(f"{name:<34}{row.crop:>6}{row.scale:>19.2f}{row.unchanged:>8.2f} dB{row.sharpness:>7.2f}"
                     f"{row.darker:>6.2f} dB")  # fmt: skip
    return lines
