# SPDX-License-Identifier: Apache-2.0
"""L1 + D-SSIM + alpha L1 in torch on the GPU, and what a faster one must look like to take its place.

The definition is that of `backend/kernels/loss`: SSIM with an 11x11 Gaussian window over both images *relative to the
background*, zeros outside the frame, so that both go on with the background there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..loss.cpu import C1, C2, REACH, gaussian_window
from ..rasterizer import LossWeights
from .splats import DeviceTarget, Tensor

LossFunction = Callable[[Tensor, Tensor, DeviceTarget, Tensor, LossWeights], Tensor]
"""(colour (H, W, 3) premultiplied and without background, alpha (H, W), target, background (3,), weights) -> (4,).

All on the GPU. The result is the weighted loss and the means of L1, 1 - SSIM and alpha L1; only the first is
differentiated, by colour and alpha.
"""


class TorchLoss:
    """The plain way, a few dozen kernels a call. Each channel is blurred by itself: torch's own kernels for that work
    in float32, where cuDNN would round the images to TF32."""

    def __init__(self, torch: Any, device: Any) -> None:
        self._torch = torch
        self._window = torch.from_numpy(gaussian_window()).to(device)

    def __call__(
        self, colour: Tensor, alpha: Tensor, target: DeviceTarget, background: Tensor, weights: LossWeights
    ) -> Tensor:
        """See LossFunction."""
        torch = self._torch
        image = colour - alpha[..., None] * background  # relative to the background
        wanted = target.rgb - target.alpha[..., None] * background
        terms = [
            (image - wanted).abs(),
            1 - self._ssim_map(image.permute(2, 0, 1), wanted.permute(2, 0, 1), background).permute(1, 2, 0),
            (alpha - target.alpha).abs()[..., None],
        ]
        if target.weights is not None:
            terms = [term * target.weights[..., None] for term in terms]
        l1, dssim, alpha_l1 = (term.mean() for term in terms)
        loss = (1 - weights.ssim) * l1 + weights.ssim * dssim + weights.alpha * alpha_l1
        return torch.stack([loss, l1, dssim, alpha_l1])

    def _ssim_map(self, x: Tensor, y: Tensor, background: Tensor) -> Tensor:  # (3, H, W) each, relative to (3,)
        """(3, H, W). Variances do not see the background; they lose nothing to cancellation where images are empty."""
        torch = self._torch
        blurred_x, blurred_xx, blurred_xy = self._blur(torch.cat([x, x * x, x * y])).split(3)
        blurred_y, blurred_yy = self._blur(torch.cat([y, y * y])).split(3)
        mean_x, mean_y = blurred_x + background[:, None, None], blurred_y + background[:, None, None]
        var_x, var_y = blurred_xx - blurred_x**2, blurred_yy - blurred_y**2
        cov = blurred_xy - blurred_x * blurred_y
        c1, c2 = float(C1), float(C2)
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        return luminance * (2 * cov + c2) / (var_x + var_y + c2)

    def _blur(self, planes: Tensor) -> Tensor:  # (C, H, W)
        """(C, H, W), zeros outside."""
        count, convolve = len(planes), self._torch.nn.functional.conv2d
        across = self._window.expand(count, 1, 1, -1)
        down = self._window[:, None].expand(count, 1, -1, 1)
        rows = convolve(planes[None], across, padding=(0, REACH), groups=count)
        return convolve(rows, down, padding=(REACH, 0), groups=count)[0]
