# SPDX-License-Identifier: Apache-2.0
"""Blending in torch: every splat on every pixel, obviously right; for tests. Differentiable, any float type."""

from __future__ import annotations

import torch
from torch import Tensor

from ..projection.reference import Projected

MAX_ALPHA = 0.99
CUTOFF = 1 / 255
MIN_TRANSMITTANCE = 1e-4


def raw_alphas(projected: Projected, order: list[int], width: int, height: int) -> Tensor:
    """(H, W, len(order)): opacity exp(-sigma), before clamp and cutoff."""
    means, conics = projected.means[order], torch.linalg.inv(projected.covariances[order])
    x, y = torch.arange(width).to(means) + 0.5, torch.arange(height).to(means) + 0.5
    dx = x[None, :, None] - means[:, 0]
    dy = y[:, None, None] - means[:, 1]
    sigma = 0.5 * (conics[:, 0, 0] * dx * dx + conics[:, 1, 1] * dy * dy) + conics[:, 0, 1] * dx * dy
    return projected.opacities[order] * torch.exp(-sigma)


def alphas(projected: Projected, order: list[int], width: int, height: int) -> Tensor:
    """(H, W, len(order)): clamped at MAX_ALPHA, zero below CUTOFF."""
    alpha = raw_alphas(projected, order, width, height).clamp_max(MAX_ALPHA)
    return torch.where(alpha >= CUTOFF, alpha, torch.zeros_like(alpha))


def rasterize(projected: Projected, order: list[int], width: int, height: int) -> tuple[Tensor, Tensor]:
    """Premultiplied colour (H, W, 3) and transmittance (H, W); `order` is nearest first."""
    alpha = alphas(projected, order, width, height)
    enough = torch.cumprod(1 - alpha, dim=-1) >= MIN_TRANSMITTANCE
    alpha = alpha * enough  # once one splat would leave too little, all behind it would as well
    after = torch.cumprod(1 - alpha, dim=-1)
    before = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], dim=-1)
    colour = ((alpha * before)[..., None] * projected.colours[order]).sum(dim=-2)
    final = after[..., -1] if len(order) else torch.ones(height, width).to(alpha)
    return colour, final


def expected_depth(projected: Projected, order: list[int], width: int, height: int) -> Tensor:
    """(H, W): sum of weight times planar depth, premultiplied as colours are."""
    depths = projected.depths[:, None].expand(-1, 3)
    return rasterize(projected._replace(colours=depths), order, width, height)[0][..., 0]


def near_cutoff(projected: Projected, order: list[int], width: int, height: int, band: float) -> Tensor:
    """(H, W) bool: pixels where a decision hangs on rounding.

    That is where some alpha lies within a factor 1 +- `band` of the cutoff or of the clamp, or where the transmittance
    lies so near to the stop. A float32 kernel may decide differently from a float64 reference there.
    """
    raw = raw_alphas(projected, order, width, height)
    close = ((raw / CUTOFF - 1).abs() < band) | ((raw / MAX_ALPHA - 1).abs() < band)
    alpha = alphas(projected, order, width, height)
    left = torch.cumprod(1 - alpha, dim=-1)
    close = close | ((left / MIN_TRANSMITTANCE - 1).abs() < 10 * band)
    return close.any(dim=-1)
