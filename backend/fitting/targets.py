# SPDX-License-Identifier: Apache-2.0
"""The pictures as the loss sees them: with colours matched, pixels weighted, and at several resolutions."""

from __future__ import annotations

import functools
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.rasterizer import Target

from .colour_affine import AFFINE, matched
from .dataset import FitView, Image
from .robust import stored_weights
from .settings import FitSettings


def prepare_targets(
    views: list[FitView], memory: dict[str, npt.NDArray[Any]], settings: FitSettings
) -> list[Target]:
    """All views at full resolution, then all at half, and so on: view v of level k is number k * len(views) + v."""

    def full_size(number: int) -> Target:
        view, rgb = views[number], views[number].rgb
        if AFFINE in memory:
            rgb = matched(rgb, view.alpha, memory[AFFINE][number])
        depth = view.depth if settings.depth_weight else None
        return Target(view.camera, rgb, view.alpha, stored_weights(memory, number), depth)

    with ThreadPoolExecutor() as pool:
        full = list(pool.map(full_size, range(len(views))))
        coarser = [pool.map(functools.partial(_scaled, level=k), full) for k in range(1, settings.coarse_levels + 1)]
        return [*full, *itertools.chain.from_iterable(coarser)]


def _scaled(target: Target, level: int) -> Target:
    """The target with sides 2^level times shorter: means over areas, which is right for premultiplied colours."""
    camera = target.camera.scaled(0.5**level)

    def shrink(image: Image | None) -> Image | None:
        if image is None:
            return None
        return np.asarray(cv2.resize(image, (camera.width, camera.height), interpolation=cv2.INTER_AREA), np.float32)

    rgb = shrink(target.rgb)
    assert rgb is not None
    depth = target.depth
    if depth is not None:
        known = (depth > 0).astype(np.float32)
        total, share = shrink(depth * known), shrink(known)
        assert total is not None and share is not None
        depth = np.where(share > 0.5, total / np.maximum(share, 1e-6), 0).astype(np.float32)
    return Target(camera, rgb, shrink(target.alpha), shrink(target.pixel_weights), depth)
