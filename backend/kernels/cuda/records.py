# SPDX-License-Identifier: Apache-2.0
"""The structs of common.cuh and change.cuh as numpy types, and how targets and steps are packed into them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..adam.cpu import BETA1, BETA2
from ..layout import CAMERA_SIZE
from ..rasterizer import LossWeights, Step
from ..views import PreparedView
from .sources import LOSS_TILE, TILE

VIEW = np.dtype(
    [("camera", "f4", CAMERA_SIZE), ("region", "i4", 4), ("width", "i4"), ("height", "i4"), ("stride", "i4"),
     ("rows", "i4"), ("tiles_x", "i4"), ("tiles_y", "i4"), ("target", "u8"), ("weights", "u8"), ("depth", "u8")],
    align=True,
)  # fmt: skip
CONTROL = np.dtype([("cursor", "u4"), ("needed", "u4"), ("capacity", "u4"), ("skipped", "u4")], align=True)
FRAME = np.dtype(
    [("entries", "u4"), ("depth_high", "u4"), ("depth_low_inverted", "u4"), ("tickets", "u4", 8)], align=True
)

CHANGE = np.dtype(
    [("opacity", "f8"), ("length", "f8"), ("reach", "f8"), ("log_scale", "f4"), ("part", "f4"), ("key", "u4", 2),
     ("iteration", "u4"), ("unused", "u4")],
    align=True,
)  # fmt: skip


def step_dtype(rows: int) -> np.dtype:
    """Struct Step for parameters of `rows` rows."""
    return np.dtype(
        [("view", "i4"), ("background", "f4", 3), ("factors", "f4", 4), ("corrections", "f4", 2),
         ("rates", "f4", rows)],
        align=True,
    )


def rounded_up(size: int, to: int) -> int:
    """`size` as the next multiple of `to`."""
    return -(-size // to) * to


def pack_view(numbers: npt.NDArray[np.float32], width: int, height: int) -> npt.NDArray[np.void]:
    """One View without a target: enough to render."""
    view = np.zeros((), VIEW)
    view["camera"] = numbers
    view["width"], view["height"] = width, height
    view["stride"], view["rows"] = rounded_up(width, LOSS_TILE), rounded_up(height, LOSS_TILE)
    view["tiles_x"], view["tiles_y"] = -(-width // TILE), -(-height // TILE)
    return view


def pack_target(prepared: PreparedView, target: int, weights: int, depth: int = 0) -> npt.NDArray[np.void]:
    """One View; `target`, `weights` and `depth` are addresses on the device, 0 where there is nothing."""
    view = pack_view(prepared.numbers, prepared.camera.width, prepared.camera.height)
    view["region"] = prepared.region
    view["target"], view["weights"], view["depth"] = target, weights, depth
    return view


def pack_steps(
    steps: Sequence[Step], weights: LossWeights, pixels: Sequence[int], rows: int
) -> npt.NDArray[np.void]:
    """(len(steps),) Steps; `pixels`: how many each target has."""
    packed = np.zeros(len(steps), step_dtype(rows))
    factors = np.array([1 - weights.ssim, weights.ssim, weights.alpha, weights.depth]) / (3, 3, 1, weights.length)
    for place, step in zip(packed, steps, strict=True):
        place["view"], place["background"] = step.view, step.background
        place["factors"] = factors / pixels[step.view]
        place["corrections"] = 1 / (1 - float(BETA1) ** step.iteration), 1 / (1 - float(BETA2) ** step.iteration)
        place["rates"] = step.learning_rates
    return packed
