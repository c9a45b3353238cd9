# SPDX-License-Identifier: Apache-2.0
"""Adam by torch's own optimiser; for tests."""

from __future__ import annotations

import torch
from torch import Tensor


def adam_steps(values: Tensor, gradients: list[Tensor], rates: Tensor) -> Tensor:  # (R, N), each (R, N), (R,)
    """The values (R, N) after one step a gradient, with one learning rate a row."""
    rows = [torch.nn.Parameter(row.clone()) for row in values]
    groups = [{"params": [row], "lr": float(rate)} for row, rate in zip(rows, rates, strict=True)]
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.999), eps=1e-15)
    for gradient in gradients:
        for row, g in zip(rows, gradient, strict=True):
            row.grad = g.clone()
        optimiser.step()
    return torch.stack([row.detach() for row in rows])
