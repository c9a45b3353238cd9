# SPDX-License-Identifier: Apache-2.0
"""Tile lists by brute force over all pixels, obviously right; for tests."""

from __future__ import annotations

import torch

from ..layout import TILE
from ..projection.reference import Projected
from ..rasterization.reference import alphas


def sort_by_depth(projected: Projected) -> list[int]:
    """Drawn splats, nearest first, equal depths by index."""
    drawn = projected.drawn.nonzero()[:, 0]
    return [int(i) for i in drawn[torch.argsort(projected.depths[drawn].float(), stable=True)]]


def fill_entries(projected: Projected, width: int, height: int) -> list[list[int]]:
    """For every tile, row by row, the splats with alpha >= 1/255 on one of its pixels, nearest first."""
    order = sort_by_depth(projected)
    reached = alphas(projected, order, width, height) > 0  # (H, W, len(order))
    lists = []
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            inside = reached[y : y + TILE, x : x + TILE].any(dim=0).any(dim=0)
            lists.append([splat for splat, hit in zip(order, inside.tolist(), strict=True) if hit])
    return lists
