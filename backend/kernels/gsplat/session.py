# SPDX-License-Identifier: Apache-2.0
"""A session of the gsplat engine: `rasterizer.Session` with everything on the GPU."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from .. import rearrangement, regularization
from ..parameters import ROW_SH, AdamState, SplatParameters
from ..rasterizer import BLACK, Array, Colour, LossWeights, Statistics, Step, StepResult, Target
from .adam import FusedAdam, SelectiveAdam, group_rates
from .splats import (
    HUGE,
    MEANS,
    SH_REST,
    DeviceCamera,
    DeviceSplats,
    DeviceTarget,
    Tensor,
    download_shape,
    download_splats,
    upload_camera,
    upload_shape,
    upload_splats,
    upload_target,
)  # fmt: skip

if TYPE_CHECKING:
    from .engine import Frame, GsplatEngine


class GsplatSession:
    """Steps wait for the GPU only where gsplat itself does (it asks for the length of its tile lists)."""

    def __init__(
        self, engine: GsplatEngine, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target],
        weights: LossWeights, statistics: bool,
    ) -> None:  # fmt: skip
        self._engine, self._parameters, self._adam, self._weights = engine, parameters, adam, weights
        torch, device = engine.torch, engine.device
        self._views: list[tuple[DeviceCamera, DeviceTarget]] = []
        self.retarget(targets)
        self.splats: DeviceSplats = upload_splats(torch, parameters, adam, device)
        self._sums: Tensor | None = torch.zeros(2, *parameters.block.shape[1:], device=device) if statistics else None
        self._optimiser: SelectiveAdam | FusedAdam
        if engine.optimiser == "all":
            self._optimiser = FusedAdam(torch)
        else:
            self._optimiser = SelectiveAdam(engine.kernels.gsplat.cuda._wrapper.adam)

    def run(self, steps: Iterable[Step]) -> list[StepResult]:
        """See `Session.run`."""
        steps = list(steps)
        if not steps:
            return []
        engine = self._engine
        with engine.memory_guard():
            backgrounds = engine.torch.tensor([step.background for step in steps], dtype=engine.torch.float32)
            backgrounds = backgrounds.to(engine.device)
            results = [self._step(step, background) for step, background in zip(steps, backgrounds, strict=True)]
            return [StepResult(*row) for row in engine.torch.stack(results).tolist()]

    def _step(self, step: Step, background: Tensor) -> Tensor:
        if step.iteration < 1:
            raise ValueError(f"Iterations count from 1, not {step.iteration}.")
        rates = group_rates(step.learning_rates)
        if len(step.learning_rates) != len(self._parameters.block):
            raise ValueError("Learning rates do not fit the parameters.")
        result, frame = self.differentiate(step.view, background)
        by_gradient = self._engine.optimiser == "seen" or self._sums is not None
        seen = self._seen() if by_gradient else None
        if self._sums is not None:
            self._count(frame, seen)
        mask = seen if self._engine.optimiser == "seen" else frame.in_view
        self._optimiser.step(self.splats, mask, rates, step.iteration)
        self._engine.on_stage("adam")
        return result

    def differentiate(self, view: int, background: Tensor) -> tuple[Tensor, Frame]:
        """The loss and its terms (4,), and the frame; the gradients are left in the groups' values."""
        engine = self._engine
        camera, target = self._views[view]
        for group in self.splats.groups:
            group.values.grad = None
        frame = engine.forward(self.splats, camera)
        if self._sums is not None:
            frame.centres.retain_grad()
        engine.on_stage("forward")
        terms = engine.loss(frame.colour, frame.alpha, target, background, self._weights)
        engine.on_stage("loss")
        terms[0].backward()
        engine.on_stage("backward")
        return terms.detach(), frame

    def _seen(self) -> Tensor:
        """(P,) True where a splat got gradients, all of them usable; a comparison with NaN is False."""
        total = sum(group.values.grad.abs().sum(dim=1) for group in self.splats.groups[MEANS:SH_REST])
        return (total > 0) & (total < HUGE)

    def _count(self, frame: Frame, seen: Tensor) -> None:
        """Add one step to the sums of `statistics`; lengths in half frame widths and heights."""
        gradient = frame.centres.grad[0]
        height, width = frame.alpha.shape
        pull = self._engine.torch.hypot(gradient[:, 0] * (width / 2), gradient[:, 1] * (height / 2))
        self._sums[0] += pull.where(seen, 0)  # type: ignore[index]
        self._sums[1] += seen  # type: ignore[index]

    def statistics(self) -> Statistics:
        """See `Session.statistics`; a splat counts as seen where it got a gradient."""
        if self._sums is None:
            raise ValueError("This session was begun without statistics.")
        norm, seen = self._sums[:, : self._parameters.count].clone().cpu().numpy()
        self._sums.zero_()
        return Statistics(norm, seen)

    def render(self, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """See `Session.render`."""
        with self._engine.memory_guard():
            return self._engine.show(self.splats, camera, background)

    def pull(self) -> None:
        """See `Session.pull`."""
        download_splats(self._engine.torch, self.splats, self._parameters, self._adam)

    def pull_shapes(self) -> None:
        """See `Session.pull_shapes`."""
        rows = download_shape(self._engine.torch, self.splats)
        np.copyto(self._parameters.block[:ROW_SH], rows, where=self.splats.sound)

    def push(self) -> None:
        """See `Session.push`."""
        with self._engine.memory_guard():
            self.splats = upload_splats(self._engine.torch, self._parameters, self._adam, self._engine.device)

    def replace(self, parameters: SplatParameters, adam: AdamState) -> None:
        """See `Session.replace`."""
        self._parameters, self._adam = parameters, adam
        self.push()
        if self._sums is not None:
            self._sums = self._engine.torch.zeros(2, parameters.block.shape[1], device=self._engine.device)

    def retarget(self, targets: Sequence[Target]) -> None:
        """See `Session.retarget`."""
        torch, device = self._engine.torch, self._engine.device
        self._views.clear()
        with self._engine.memory_guard():
            self._views += [
                (upload_camera(torch, target.camera, device), upload_target(torch, target, device))
                for target in targets
            ]

    def decay(self, opacity: float, log_scale: float) -> None:
        """See `Session.decay`. Here and below the host computes, for the rows that it takes."""
        with self._shape() as rows:
            regularization.decay(rows, self._parameters.count, opacity, log_scale)

    def align(self, part: float, normals: Array, face: npt.NDArray[np.int32]) -> None:
        """See `Session.align`."""
        with self._shape() as rows:
            regularization.align(
                rows, part, normals, regularization.columns_on(normals, face, self._parameters.order)
            )

    def wander(self, length: float, reach: float, seed: int, iteration: int) -> None:
        """See `Session.wander`."""
        with self._shape() as rows:
            regularization.wander(rows, self._parameters.count, length, reach, seed, iteration)

    @contextlib.contextmanager
    def _shape(self) -> Iterator[Array]:
        """The rows without colours, and back to the GPU; moments stay there."""
        rows = download_shape(self._engine.torch, self.splats)
        yield rows
        upload_shape(self._engine.torch, self.splats, rows)

    def rearrange(
        self, parameters: SplatParameters, adam: AdamState, source: npt.NDArray[np.int32],
        rested: npt.NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """See `Session.rearrange`. The host does it."""
        rearrangement.check_source(parameters, source, self._parameters.block.shape[1])
        self.pull()
        rearrangement.fill(parameters, adam, self._parameters, self._adam, source, rested)
        self.replace(parameters, adam)

    def close(self) -> None:
        """See `Session.close`."""
        self._views.clear()
        self.splats.groups.clear()
        self._engine.torch.cuda.empty_cache()
