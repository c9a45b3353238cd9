# SPDX-License-Identifier: Apache-2.0
"""L1 + D-SSIM + alpha L1 in torch over the whole frame, obviously right; for tests. Differentiable, any float type."""

from __future__ import annotations

import torch
from torch import Tensor

C1, C2 = 0.01**2, 0.03**2


def gaussian_window() -> Tensor:
    """(11,) float64, sums to 1."""
    offsets = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    return window / window.sum()


def ssim_map(image: Tensor, target: Tensor, background: Tensor) -> Tensor:  # (H, W, 3), (H, W, 3), (3,)
    """(H, W, 3). Outside the frame both images continue with the background colour."""
    window = gaussian_window().to(image)
    kernel = (window[:, None] * window)[None, None]

    def blur(values: Tensor) -> Tensor:  # (H, W, 3), continued by their value at the background
        planes = values.permute(2, 0, 1)[:, None]
        return torch.nn.functional.conv2d(planes, kernel)[:, 0].permute(1, 2, 0)

    def extended(values: Tensor) -> Tensor:
        height, width, _ = values.shape
        frame = background.to(image).expand(height + 10, width + 10, 3).clone()
        frame[5:-5, 5:-5] = values
        return frame

    x, y = extended(image), extended(target)
    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    cov = blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return luminance * (2 * cov + C2) / (var_x + var_y + C2)


def compare(
    colour: Tensor,  # (H, W, 3) premultiplied render
    transmittance: Tensor,  # (H, W)
    target: Tensor,  # (H, W, 3) premultiplied
    target_alpha: Tensor,  # (H, W)
    background: Tensor,  # (3,)
    weights: Tensor,  # (H, W)
) -> tuple[Tensor, Tensor, Tensor]:
    """Means of L1, 1 - SSIM and alpha L1."""
    image = colour + transmittance[..., None] * background
    wanted = target + (1 - target_alpha)[..., None] * background
    l1 = ((image - wanted).abs() * weights[..., None]).mean()
    dssim = ((1 - ssim_map(image, wanted, background)) * weights[..., None]).mean()
    alpha = ((1 - transmittance - target_alpha).abs() * weights).mean()
    return l1, dssim, alpha
