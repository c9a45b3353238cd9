# SPDX-License-Identifier: Apache-2.0
"""Adam (Kingma & Ba 2015; beta .9 and .999, eps 1e-15, bias correction) by the kernels that users of gsplat have.

`SelectiveAdam` is gsplat's kernel. It knows no bias correction, but with C = 1 / (1 - beta^t)

    rate C1 m / (sqrt(C2 v) + eps) = (rate C1 / sqrt(C2)) m / (sqrt(v) + eps / sqrt(C2)),

so that a corrected rate and a corrected eps give the very same step. `FusedAdam` is torch's, over all splats.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..rasterizer import Array
from .splats import DeviceSplats, Tensor, row_slices

BETAS = (0.9, 0.999)
EPSILON = 1e-15


class SelectiveAdam:
    """Touches only the splats of a mask."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel  # gsplat.cuda._wrapper.adam

    def step(self, splats: DeviceSplats, mask: Tensor, rates: Sequence[float], iteration: int) -> None:
        """Apply the gradients that the groups' values hold, in the rows of `mask` (P,)."""
        first, second = (1 / (1 - beta**iteration) for beta in BETAS)
        for group, rate in zip(splats.groups, rates, strict=True):
            corrected, epsilon = rate * first / math.sqrt(second), EPSILON / math.sqrt(second)
            self._kernel(
                group.values, group.values.grad, group.first, group.second, mask, corrected, *BETAS, epsilon
            )  # fmt: skip


class FusedAdam:
    """torch's fused kernel over every splat, seen or not: what gsplat's trainer does unless told otherwise."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._optimiser: Any = None
        self._splats: DeviceSplats | None = None
        self._done = 0  # iteration that torch's own count has reached

    def step(self, splats: DeviceSplats, mask: Tensor, rates: Sequence[float], iteration: int) -> None:
        """Apply the gradients that the groups' values hold; `mask` is not looked at."""
        if splats is not self._splats:
            self._take_over(splats)
        for group, rate in zip(self._optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        if iteration != self._done + 1:
            for state in self._optimiser.state.values():
                state["step"].fill_(iteration - 1)
        self._optimiser.step()
        self._done = iteration

    def _take_over(self, splats: DeviceSplats) -> None:
        torch, self._splats, self._done = self._torch, splats, 0
        groups = [{"params": [group.values], "lr": 0.0} for group in splats.groups]
        self._optimiser = torch.optim.Adam(groups, betas=BETAS, eps=EPSILON, fused=True)
        for group in splats.groups:
            count = torch.zeros((), dtype=torch.float32, device=group.values.device)
            self._optimiser.state[group.values] = {"step": count, "exp_avg": group.first, "exp_avg_sq": group.second}


def group_rates(learning_rates: Array) -> list[float]:
    """One rate a group. ValueError if the rows of a group differ, which no such kernel can do."""
    result = []
    for rows in row_slices(len(learning_rates)):
        rate = learning_rates[rows.start]
        if (learning_rates[rows] != rate).any():
            raise ValueError(f"gsplat's engine takes one learning rate for the rows {rows.start} to {rows.stop - 1}.")
        result.append(float(rate))
    return result
