# SPDX-License-Identifier: Apache-2.0
"""A session of the CUDA engine: splats, moments and targets stay on the GPU; steps are replayed graphs.

Python only writes down what changes from step to step (`records.pack_steps`) and hands it over some steps ahead of the
GPU, which never waits for it. When a frame has more entries than there is room for, the run stands still on the device
(`Control.needed`), the buffers grow, and the steps that were not taken are taken then: nothing is lost or approximated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera

from ..layout import padded
from ..parameters import ROW_SH, AdamState, SplatParameters
from ..rasterizer import BLACK, Array, Colour, LossWeights, Statistics, Step, StepResult, Target
from ..rearrangement import check_source
from ..views import PreparedView, prepare_view
from .changes import VARIANT as CHANGES_VARIANT
from .changes import Changes
from .device import Device
from .frame import Pipeline
from .launches import Clear, Operation, Sizes, rearrange
from .memory import Buffers, check_memory, first_capacity
from .records import CONTROL, VIEW, pack_steps, pack_target, step_dtype
from .renderer import Renderer, kernels_for

STEPS_IN_FLIGHT = 512
"""Steps of which the device keeps the plans and results."""
_HANDED_OVER = 16
"""Steps that are packed and launched at a time."""


class CudaSession:
    """See `rasterizer.Session`. `parameters` and `adam` are the host's copies; `pull` refreshes them."""

    def __init__(
        self, device: Device, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target],
        weights: LossWeights, statistics: bool = False, gradients_only: bool = False,
    ) -> None:  # fmt: skip
        self._device, self._weights = device, weights
        self._keeps_statistics, self._gradients_only = statistics, gradients_only
        self._depth = weights.depth > 0
        prepared = self._prepared(targets)
        self._pixels = [view.camera.width * view.camera.height for view in prepared]
        self._width = max((v.camera.width for v in prepared), default=1)
        self._height = max((v.camera.height for v in prepared), default=1)
        planes = [_planes(view) for view in prepared]
        target_bytes = sum(4 * plane.size for own in planes for plane in own.values())
        check_memory(device, self._sizes(parameters, self._width, self._height), target_bytes)
        self._pictures, self._targets, self._state = Buffers(device), Buffers(device), Buffers(device)
        self._laid_out: list[dict[str, int]] = []  # floats of each target's planes, as they lie in `_pictures`
        self._changes = Changes(device)
        self._shown: Renderer | None = None
        self._pipeline: Pipeline | None = None
        try:
            self._targets.add({"views": len(prepared) * VIEW.itemsize})
            self._upload_targets(prepared, planes)
            self._make_room(parameters, adam)
            self.push()
        except BaseException:
            self.close()
            raise

    def _prepared(self, targets: Sequence[Target]) -> list[PreparedView]:
        def prepare(t: Target) -> PreparedView:
            depth = t.depth if self._depth else None
            return prepare_view(t.camera, t.rgb, t.alpha, t.pixel_weights, depth, blurred=False)

        with ThreadPoolExecutor() as pool:  # numpy lets other threads run
            return list(pool.map(prepare, targets))

    def retarget(self, targets: Sequence[Target]) -> None:
        """See `Session.retarget`. Planes of the same sizes go where the old ones lie; graphs stay in any case."""
        prepared = self._prepared(targets)
        assert [v.camera.width * v.camera.height for v in prepared] == self._pixels
        self._upload_targets(prepared, [_planes(view) for view in prepared])

    def _sizes(self, parameters: SplatParameters, width: int, height: int) -> Sizes:
        rows, stride = parameters.block.shape
        return Sizes(stride, rows, width, height, first_capacity(parameters.count), self._depth)

    def _make_room(self, parameters: SplatParameters, adam: AdamState) -> None:
        """Make room for splats and moments on the device, and the buffers of a step for them."""
        self._parameters, self._adam = parameters, adam
        self._kernels = kernels_for(self._device, parameters, self._depth)
        rows, stride = parameters.block.shape
        sizes = self._sizes(parameters, self._width, self._height)
        if self._pipeline is not None:  # its frames had so many entries
            sizes = attrs.evolve(sizes, capacity=max(sizes.capacity, self._pipeline.sizes.capacity))
        for name, array in self._arrays():
            self._state.add({name: array.nbytes})
        self._state.put("statistics", np.zeros((2, stride if self._keeps_statistics else 0), np.float32))
        self._state.put("output", np.zeros((rows, stride if self._gradients_only else 0), np.float32))
        self._state.add({
            "steps": STEPS_IN_FLIGHT * step_dtype(rows).itemsize, "control": CONTROL.itemsize,
            "results": 4 * (sizes.terms + 1) * STEPS_IN_FLIGHT,
        })  # fmt: skip
        outside = {**self._targets.at, **self._state.at}
        self._pipeline = Pipeline(
            self._device, self._kernels, sizes, outside, True, self._gradients_only, self._keeps_statistics
        )

    @property
    def _train(self) -> Pipeline:
        assert self._pipeline is not None
        return self._pipeline

    def _upload_targets(self, prepared: Sequence[PreparedView], planes: list[dict[str, Array]]) -> None:
        """Targets stay on the device for the whole session, or until other ones come."""
        sizes = [{name: plane.size for name, plane in own.items()} for own in planes]
        if sizes != self._laid_out:
            self._laid_out = []
            self._pictures.free()
            self._pictures.add({
                f"{name} {number}": 4 * size for number, own in enumerate(sizes) for name, size in own.items() if size
            })  # fmt: skip
            self._laid_out = sizes
        views = np.zeros(len(prepared), VIEW)
        for number, view in enumerate(prepared):
            addresses = {name: self._pictures.at.get(f"{name} {number}", 0) for name in planes[number]}
            for name, plane in planes[number].items():
                if plane.size:
                    self._device.upload(addresses[name], plane)
            views[number] = pack_target(view, **addresses)
        self._device.upload(self._targets.at["views"], views)

    def run(self, steps: Iterable[Step]) -> list[StepResult]:
        """See `Session.run`. A generator is drawn from while the GPU works."""
        results: list[StepResult] = []
        remaining = iter(steps)
        while batch := list(islice(remaining, 1)):
            results += self._run_flight(batch, remaining)
        return results

    def _run_flight(self, taken: list[Step], remaining: Iterable[Step]) -> list[StepResult]:
        """Up to STEPS_IN_FLIGHT steps; `taken` is the first."""
        results: list[StepResult] = []
        self._reset()
        self._hand_over(taken, 0)
        while len(taken) < STEPS_IN_FLIGHT:
            more = list(islice(remaining, min(_HANDED_OVER, STEPS_IN_FLIGHT - len(taken))))
            if not more:
                break
            self._hand_over(more, len(taken))
            taken += more
        results += self._results(taken)
        while len(results) < len(taken):  # the buffers were too small for some frame: make room and go on there
            self._train.grow(self._control_now()["needed"].item())
            left = taken[len(results) :]
            self._reset()
            self._hand_over(left, 0)
            results += self._results(left)
        return results

    def _reset(self) -> None:
        self._device.upload(self._state.at["control"], self._train.control_record())

    def _hand_over(self, steps: Sequence[Step], place: int) -> None:
        packed = pack_steps(steps, self._weights, self._pixels, len(self._parameters.block))
        self._device.upload(self._state.at["steps"] + place * packed.dtype.itemsize, packed)
        self._train.replay(len(steps))

    def _control_now(self) -> npt.NDArray[np.void]:
        control = np.zeros((), CONTROL)
        self._device.download(self._state.at["control"], control)
        return control

    def _results(self, steps: Sequence[Step]) -> list[StepResult]:
        """Of the steps that were taken since the last reset."""
        done = int(self._control_now()["cursor"])
        terms = self._train.sizes.terms
        sums = np.zeros((done, terms + 1), np.float32)
        self._device.download(self._state.at["results"], sums)
        mix = self._weights
        weights, units = (1 - mix.ssim, mix.ssim, mix.alpha, mix.depth)[:terms], (3, 3, 1, mix.length)[:terms]
        results = []
        for step, row in zip(steps, sums.astype(np.float64), strict=False):
            means = row[:terms] / (np.array(units) * self._pixels[step.view])
            results.append(StepResult(float(means @ weights), *(float(m) for m in means)))
        return results

    def render(self, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """See `Session.render`."""
        return self._renderer(camera.width, camera.height).image(camera, background)

    def _renderer(self, width: int, height: int) -> Renderer:
        """One for all cameras, which may each have their own size: made anew only for frames larger than all before."""
        if self._shown is not None:
            if width <= self._shown.width and height <= self._shown.height:
                return self._shown
            width, height = max(width, self._shown.width), max(height, self._shown.height)
            self._stop_showing()
        sizes = attrs.evolve(self._sizes(self._parameters, width, height), depth=False)
        kernels = kernels_for(self._device, self._parameters)
        self._shown = Renderer(self._device, kernels, self._state.at["block"], sizes)
        return self._shown

    def _stop_showing(self) -> None:
        if self._shown is not None:
            self._shown.close()
            self._shown = None

    def statistics(self) -> Statistics:
        """See `Session.statistics`."""
        if not self._keeps_statistics:
            raise ValueError("This session was begun without statistics.")
        sums = np.zeros((2, self._parameters.block.shape[1]), np.float32)
        self._device.download(self._state.at["statistics"], sums)
        self._device.execute(self._kernels, [Clear(self._state.at["statistics"], sums.nbytes)])
        norm, seen = sums[:, : self._parameters.count]
        return Statistics(norm.copy(), seen.copy())

    def gradients(self, step: Step) -> tuple[StepResult, Array]:
        """The loss and its gradient (11 + 3 K, padded count); only for a session that was made for it."""
        output = np.zeros_like(self._parameters.block)
        self._device.upload(self._state.at["output"], output)
        (result,) = self.run([step])
        self._device.download(self._state.at["output"], output)
        return result, output

    def stages_at(self, step: Step) -> tuple[Any, list[Operation]]:
        """The kernels and operations of one step, ready to be executed by the caller; for benchmarks."""
        self._reset()
        packed = pack_steps([step], self._weights, self._pixels, len(self._parameters.block))
        self._device.upload(self._state.at["steps"], packed)
        return self._kernels, self._train.operations

    def entries(self) -> int:
        """Pairs of splat and tile in the last frame."""
        return self._train.entries()

    def pull(self) -> None:
        """See `Session.pull`."""
        for name, array in self._arrays():
            self._device.download(self._state.at[name], array)

    def pull_shapes(self) -> None:
        """See `Session.pull_shapes`: these rows are the block's beginning."""
        self._device.download(self._state.at["block"], self._parameters.block[:ROW_SH])

    def push(self) -> None:
        """See `Session.push`."""
        for name, array in self._arrays():
            self._device.upload(self._state.at[name], array)
        self._device.synchronize()

    def _arrays(self) -> list[tuple[str, Array]]:
        return [("block", self._parameters.block), ("first", self._adam.first), ("second", self._adam.second)]

    def replace(self, parameters: SplatParameters, adam: AdamState) -> None:
        """See `Session.replace`. The targets stay where they are."""
        self._let_frames_go()
        self._state.free()
        self._make_room(parameters, adam)
        self.push()

    def rearrange(
        self, parameters: SplatParameters, adam: AdamState, source: npt.NDArray[np.int32],
        rested: npt.NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """See `Session.rearrange`. Colours and moments never leave the device."""
        rows, old_stride = self._parameters.block.shape
        assert parameters.block.shape[0] == rows
        check_source(parameters, source, old_stride)
        self._let_frames_go()
        old, self._state, plan = self._state, Buffers(self._device), Buffers(self._device)
        try:
            self._make_room(parameters, adam)
            plan.put("source", source)
            plan.put("rested", rested.astype(np.uint8))
            self._device.upload(self._state.at["block"], parameters.block[:ROW_SH])
            at = {**self._state.at, **plan.at}
            operation = rearrange(rows, old_stride, parameters.block.shape[1], old.at, at)
            self._device.execute(self._device.load(CHANGES_VARIANT), [operation])
        finally:
            plan.free()
            old.free()

    def decay(self, opacity: float, log_scale: float) -> None:
        """See `Session.decay`."""
        self._changes.decay(self._state.at["block"], self._parameters, opacity, log_scale)

    def align(self, part: float, normals: Array, face: npt.NDArray[np.int32]) -> None:
        """See `Session.align`. Normals and faces lie on the device until other ones are given."""
        self._changes.align(self._state.at["block"], self._parameters, part, normals, face)

    def wander(self, length: float, reach: float, seed: int, iteration: int) -> None:
        """See `Session.wander`."""
        self._changes.wander(self._state.at["block"], self._parameters, length, reach, seed, iteration)

    def _let_frames_go(self) -> None:
        self._stop_showing()
        if self._pipeline is not None:
            self._pipeline.close()

    def close(self) -> None:
        """See `Session.close`."""
        self._let_frames_go()
        self._state.free()
        self._changes.free()
        self._pictures.free()
        self._targets.free()


def _planes(view: PreparedView) -> dict[str, Array]:
    """What of a target goes to the device, flattened; weights are empty if all are 1, depth if there is none."""
    return {"target": view.target, "weights": _unpadded(view, view.weights), "depth": _unpadded(view, view.depth)}


def _unpadded(view: PreparedView, planes: Array | None) -> Array:
    """Planes without the CPU kernels' padding, flattened; empty if there are none."""
    if planes is None or not planes.size:
        return np.zeros(0, np.float32)
    height, width = view.camera.height, view.camera.width
    whole = planes.reshape(-1, padded(height), padded(width))
    return np.ascontiguousarray(whole[:, :height, :width]).ravel()
