# SPDX-License-Identifier: Apache-2.0
"""A session of the CPU engine: `rasterizer.Session` over `CpuEngine.train_step`, in main memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import InputError

from . import rearrangement, regularization
from .buffers import aligned_zeros
from .parameters import AdamState, SplatParameters
from .rasterizer import BLACK, Array, Colour, LossWeights, Statistics, Step, StepResult, Target
from .views import PreparedView

if TYPE_CHECKING:
    from .engine import CpuEngine


class CpuSession:
    """Changes `parameters` and `adam` in place, so that pull and push have nothing to do."""

    def __init__(
        self, engine: CpuEngine, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target],
        weights: LossWeights, statistics: bool,
    ) -> None:  # fmt: skip
        self._engine, self._parameters, self._adam, self._weights = engine, parameters, adam, weights
        self._views: list[PreparedView] = []
        self.retarget(targets)
        self._sums: Array | None = aligned_zeros((2, parameters.block.shape[1])) if statistics else None

    def run(self, steps: Iterable[Step]) -> list[StepResult]:
        """See `Session.run`."""
        return [
            self._engine.train_step(
                self._parameters, self._adam, self._views[step.view], step.learning_rates, step.iteration,
                step.background, self._weights, self._sums,
            )
            for step in steps
        ]  # fmt: skip

    def render(self, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """See `Session.render`."""
        return self._engine.render(self._parameters, camera, background)

    def statistics(self) -> Statistics:
        """See `Session.statistics`."""
        if self._sums is None:
            raise ValueError("This session was begun without statistics.")
        norm, seen = self._sums[:, : self._parameters.count].copy()
        self._sums[...] = 0
        return Statistics(norm, seen)

    def pull(self) -> None:
        """The state is where the caller sees it."""

    def pull_shapes(self) -> None:
        """The state is where the caller sees it."""

    def push(self) -> None:
        """The state is where the caller sees it."""

    def replace(self, parameters: SplatParameters, adam: AdamState) -> None:
        """See `Session.replace`; from now on these are changed in place."""
        self._parameters, self._adam = parameters, adam
        if self._sums is not None:
            self._sums = aligned_zeros((2, parameters.block.shape[1]))

    def retarget(self, targets: Sequence[Target]) -> None:
        """See `Session.retarget`."""

        def prepare(t: Target) -> PreparedView:
            depth = t.depth if self._weights.depth else None
            return self._engine.prepare_view(t.camera, t.rgb, t.alpha, t.pixel_weights, depth)

        self._views.clear()  # before the new ones take memory
        try:
            with ThreadPoolExecutor() as pool:  # numpy lets other threads run
                self._views = list(pool.map(prepare, targets))
        except MemoryError as error:
            raise InputError(
                f"The {len(targets)} views do not fit into memory.", "Use fewer or smaller views."
            ) from error

    def decay(self, opacity: float, log_scale: float) -> None:
        """See `Session.decay`."""
        p = self._parameters
        regularization.decay(p.block, p.count, opacity, log_scale, self._engine.threads)

    def align(self, part: float, normals: Array, face: npt.NDArray[np.int32]) -> None:
        """See `Session.align`."""
        columns = regularization.columns_on(normals, face, self._parameters.order)
        regularization.align(self._parameters.block, part, normals, columns, self._engine.threads)

    def wander(self, length: float, reach: float, seed: int, iteration: int) -> None:
        """See `Session.wander`."""
        p = self._parameters
        regularization.wander(p.block, p.count, length, reach, seed, iteration, self._engine.threads)

    def rearrange(
        self, parameters: SplatParameters, adam: AdamState, source: npt.NDArray[np.int32],
        rested: npt.NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """See `Session.rearrange`."""
        rearrangement.check_source(parameters, source, self._parameters.block.shape[1])
        rearrangement.fill(parameters, adam, self._parameters, self._adam, source, rested)
        self.replace(parameters, adam)

    def close(self) -> None:
        """Let the targets go."""
        self._views.clear()
