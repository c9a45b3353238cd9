# SPDX-License-Identifier: Apache-2.0
"""The benchmark's loss for gsplat, its kernels run by the stand-in, against the loss in torch that it replaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels.cuda.records import VIEW, step_dtype
from backend.kernels.cuda.sources import Variant
from backend.kernels.gsplat.loss import TorchLoss
from backend.kernels.gsplat.splats import DeviceTarget
from backend.kernels.rasterizer import LossWeights
from benchmarks.fused_loss import ROWS, FusedLoss, packed

from .kernels.cuda.emulated import compiler

WEIGHTS = LossWeights(0.2, 0.3)


def test_records_say_what_the_kernels_read():
    records = packed(96, 64, 1 << 40, WEIGHTS)
    view = records["views"]
    assert view.dtype == VIEW and (view["stride"], view["rows"], view["tiles_x"], view["tiles_y"]) == (96, 64, 12, 8)
    assert tuple(view["region"]) == (0, 0, 96, 64) and view["target"] == 1 << 40
    (step,) = records["steps"]
    assert step.dtype == step_dtype(ROWS) and step["view"] == 0
    pixels = 96 * 64
    np.testing.assert_allclose(step["factors"], (0.8 / 3 / pixels, 0.2 / 3 / pixels, 0.3 / pixels, 0))
    assert records["control"]["capacity"] > records["frame"]["entries"] == 0  # or the kernels would stand still


@pytest.mark.skipif(compiler() is None, reason="g++ is not installed: it compiles the CUDA sources here")
def test_value_and_gradients_are_those_of_the_loss_in_torch(emulated_device):
    kernels = emulated_device.load(Variant(0))
    fused = FusedLoss(torch, lambda launches: emulated_device.execute(kernels, launches), "cpu")
    plain = TorchLoss(torch, "cpu")
    generator = torch.Generator().manual_seed(3)
    targets = []
    for _ in range(2):
        alpha = torch.rand((32, 64), generator=generator)
        targets.append(DeviceTarget(torch.rand((32, 64, 3), generator=generator) * alpha[..., None], alpha, None))
    for target, shade in ((targets[0], 0.0), (targets[1], 0.7), (targets[0], 0.4)):
        background = torch.tensor([shade, 0.5 * shade, 0.2])
        colour = torch.rand((32, 64, 3), generator=generator)
        alpha = torch.rand((32, 64), generator=generator)
        found = []
        for loss in (fused, plain):
            leaves = [colour.clone().requires_grad_(), alpha.clone().requires_grad_()]
            terms = loss(*leaves, target, background, WEIGHTS)
            (2 * terms[0]).backward()
            found.append((terms.detach(), *(leaf.grad for leaf in leaves)))
        for mine, theirs in zip(*found, strict=True):
            assert (mine - theirs).abs().max() < 2e-5 * theirs.abs().max()
