# SPDX-License-Identifier: Apache-2.0
"""An engine that computes nothing: what a fit costs beside its engine is what a fit with this one costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs
import numpy as np

from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rasterizer import Array, LossWeights, Statistics, Step, StepResult, Target
from interchange.cameras import Camera


@attrs.define(eq=False)
class IdleEngine:
    """Shows the same picture to every camera of its size, and calls every step a success."""

    picture: Array  # (H, W, 3)
    name: str = "idle"
    steps_at_once: int = 100

    def describe(self) -> str:
        """For reports."""
        return "Nothing was fitted."

    def begin(
        self, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target], weights: LossWeights,
        statistics: bool = False,
    ) -> IdleEngine:  # fmt: skip
        """The engine is its own session."""
        return self

    def run(self, steps: Iterable[Step]) -> list[StepResult]:
        """See `Session.run`; the loss falls, so that no run ends early."""
        return [StepResult(1 / step.iteration, 0.0, 0.0, 0.0) for step in steps]

    def render(self, *arguments: object) -> tuple[Array, Array]:
        """For `Session.render` and `Rasterizer.render` alike: a new picture each time, as an engine gives."""
        camera = next(a for a in arguments if isinstance(a, Camera))
        assert self.picture.shape[:2] == (camera.height, camera.width)
        return self.picture.copy(), np.ones(self.picture.shape[:2], np.float32)

    def statistics(self) -> Statistics:
        """See `Session.statistics`; never asked for here."""
        raise ValueError("This session was begun without statistics.")

    def pull(self) -> None:
        """The state does not change."""

    def pull_shapes(self) -> None:
        """The state does not change."""

    def push(self) -> None:
        """The state does not change."""

    def replace(self, parameters: SplatParameters, adam: AdamState) -> None:
        """The state does not change."""

    def rearrange(self, parameters: SplatParameters, adam: AdamState, source: object, rested: object) -> None:
        """The state does not change."""

    def retarget(self, targets: Sequence[Target]) -> None:
        """Nothing is compared."""

    def decay(self, opacity: float, log_scale: float) -> None:
        """The state does not change."""

    def align(self, part: float, normals: Array, face: object) -> None:
        """The state does not change."""

    def wander(self, length: float, reach: float, seed: int, iteration: int) -> None:
        """The state does not change."""

    def close(self) -> None:
        """Nothing is held."""
