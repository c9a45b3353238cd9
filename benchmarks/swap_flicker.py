# SPDX-License-Identifier: Apache-2.0
"""A network that flickers, through the consistency stage: a stand-in that gives every view's face back in other
colours and a little beside its place. As it means to change nothing, the truth of this table is the untouched avatar.
"""

from __future__ import annotations

from pathlib import Path

import attrs

from backend.faceswap.onnx.models import ModelFolder
from backend.faceswap.registry import OnnxSwapper
from backend.faceswap.swap import swap
from interchange.capture import Capture

from .bars import Bar
from .swap_measures import MethodRow, Views, measure, over
from .swap_onnx import FLICKERING, stand_in_settings
from .swap_scene import Scene

RAW, FUSED = "onnx stand-in that flickers", "onnx stand-in that flickers + consistency"


def flicker_rows(scene: Scene, root: Path, views: Views, models: ModelFolder) -> dict[str, MethodRow]:
    """Each view by itself, and one skin of them."""
    untouched = attrs.evolve(
        views, truth=[attrs.evolve(g, picture=i.display()) for g, i in zip(views.truth, views.images, strict=True)]
    )
    results = {}
    for name, consistency in ((RAW, False), (FUSED, True)):
        print(f"  swapping: {name}", flush=True)
        settings = attrs.evolve(stand_in_settings(FLICKERING, "flickering"), consistency=consistency)
        folder = root / "swapped" / name.replace(" ", "_").replace("+_", "")
        swap(scene.capture, scene.source, folder, settings, swapper=OnnxSwapper(lambda: models))
        results[name] = Capture.load(folder)
    painted = untouched.painted_goals(results[RAW])
    return measure(untouched, {name: untouched.of_result(result) for name, result in results.items()}, painted)


def flicker_bars(rows: dict[str, MethodRow]) -> list[Bar]:
    """By how much the stage betters what each view was given."""
    raw, fused = rows[RAW], rows[FUSED]
    above = None
    if raw.painted.psnr_face is not None and fused.painted.psnr_face is not None:
        above = fused.painted.psnr_face - raw.painted.psnr_face
    return [
        Bar("flickering stand-in: RMSE of the change, each view / one skin",
            over(raw.agreement.change, fused.agreement.change), "x", at_least=8),
        Bar("flickering stand-in: one skin nearer the untouched face", above, "dB", at_least=2),
    ]  # fmt: skip
