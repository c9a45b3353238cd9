# SPDX-License-Identifier: Apache-2.0
"""A session of the CUDA engine: splats, moments and targets stay on the GPU; steps are replayed graphs.

Python only writes down what changes from step to step (`records.pack_steps`) and hands it over some steps ahead of the
GPU, which never waits for it. When a frame has more entries than there is room for, the run stands still on the device
(`Control.needed`), the buffers grow, and the steps that were not taken are taken then: nothing is lost or approximated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import InputError

from ..parameters import AdamState, SplatParameters
from ..rasterizer import BLACK, Array, Colour, LossWeights, Step, StepResult, Target
from ..views import PreparedView, prepare_view
from .frame import Pipeline
from .launches import Operation, Sizes
from .memory import RESERVE, Buffers, first_capacity, fit_bytes
from .records import CONTROL, VIEW, pack_steps, pack_target, step_dtype
from .renderer import Renderer

if TYPE_CHECKING:
    from .engine import CudaEngine

STEPS_IN_FLIGHT = 512
"""Steps of which the device keeps the plans and results."""
_HANDED_OVER = 16
"""Steps that are packed and launched at a time."""


class CudaSession:
    """See `rasterizer.Session`. `parameters` and `adam` are the host's copies; `pull` refreshes them."""

    def __init__(
        self, engine: CudaEngine, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target],
        weights: LossWeights, statistics: bool = False, gradients_only: bool = False,
    ) -> None:  # fmt: skip
        self._device = engine.device
        self._parameters, self._adam, self._weights = parameters, adam, weights
        self._views = [prepare_view(t.camera, t.rgb, t.alpha, t.pixel_weights) for t in targets]
        self._pixels = [view.camera.width * view.camera.height for view in self._views]
        self._rows, stride = parameters.block.shape
        width = max((v.camera.width for v in self._views), default=1)
        height = max((v.camera.height for v in self._views), default=1)
        sizes = Sizes(stride, self._rows, width, height, first_capacity(parameters.count))
        self._check_memory(sizes)
        self._buffers = Buffers(self._device)
        self._renders: dict[tuple[int, int], Renderer] = {}
        self._kernels = engine.kernels(parameters)
        try:
            self._upload(parameters, adam)
            outside = {**self._buffers.at, **self._plans(stride, statistics, gradients_only)}
            self._train = Pipeline(self._device, self._kernels, sizes, outside, True, gradients_only, statistics)
        except BaseException:
            self._buffers.free()
            raise

    def _check_memory(self, sizes: Sizes) -> None:
        needed = fit_bytes(sizes, sum(4 * (v.target.size + v.weights.size) for v in self._views)) + RESERVE
        free = self._device.free_memory()
        if needed > free:
            raise InputError(
                f"The fit needs {needed / 2**20:.0f} MiB on the GPU, where {free / 2**20:.0f} MiB are free "
                "(RES_GPU_MEMORY).",
                "Close other programs that use the GPU, or take fewer splats, fewer or smaller views, or engine cpu.",
            )

    def _upload(self, parameters: SplatParameters, adam: AdamState) -> None:
        buffers = self._buffers
        buffers.put("block", parameters.block)
        buffers.put("first", adam.first)
        buffers.put("second", adam.second)
        buffers.put("views", np.array([self._upload_target(i, v) for i, v in enumerate(self._views)], VIEW))

    def _upload_target(self, number: int, view: PreparedView) -> npt.NDArray[np.void]:
        """Targets stay on the device for the whole session."""
        addresses = []
        for name, plane in ((f"target {number}", view.target), (f"weights {number}", _unpadded(view))):
            if plane.size:
                self._buffers.put(name, plane)
            addresses.append(self._buffers.at.get(name, 0))
        return pack_target(view, *addresses)

    def _plans(self, stride: int, statistics: bool, gradients_only: bool) -> dict[str, int]:
        block = 4 * self._rows * stride
        self._buffers.add({
            "steps": STEPS_IN_FLIGHT * step_dtype(self._rows).itemsize, "control": CONTROL.itemsize,
            "results": 16 * STEPS_IN_FLIGHT, "statistics": 8 * stride if statistics else 0,
            "output": block if gradients_only else 0,
        })  # fmt: skip
        for name, size in (("statistics", 8 * stride if statistics else 0), ("output", block if gradients_only else 0)):
            self._device.upload(self._buffers.at[name], np.zeros(size, np.uint8))
        return self._buffers.at

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
        self._device.upload(self._buffers.at["control"], self._train.control_record())

    def _hand_over(self, steps: Sequence[Step], place: int) -> None:
        packed = pack_steps(steps, self._weights, self._pixels, self._rows)
        self._device.upload(self._buffers.at["steps"] + place * packed.dtype.itemsize, packed)
        self._train.replay(len(steps))

    def _control_now(self) -> npt.NDArray[np.void]:
        control = np.zeros((), CONTROL)
        self._device.download(self._buffers.at["control"], control)
        return control

    def _results(self, steps: Sequence[Step]) -> list[StepResult]:
        """Of the steps that were taken since the last reset."""
        done = int(self._control_now()["cursor"])
        sums = np.zeros((done, 4), np.float32)
        self._device.download(self._buffers.at["results"], sums)
        weights = (1 - self._weights.ssim, self._weights.ssim, self._weights.alpha)
        results = []
        for step, row in zip(steps, sums.astype(np.float64), strict=False):
            means = row[:3] / (np.array([3, 3, 1]) * self._pixels[step.view])
            results.append(StepResult(float(means @ weights), *(float(m) for m in means)))
        return results

    def render(self, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """See `Session.render`."""
        size = (camera.width, camera.height)
        if size not in self._renders:
            sizes = Sizes(self._train.sizes.stride, self._rows, *size, first_capacity(self._parameters.count))
            self._renders[size] = Renderer(self._device, self._kernels, self._buffers.at["block"], sizes)
        return self._renders[size].image(camera, background)

    def gradients(self, step: Step) -> tuple[StepResult, Array]:
        """The loss and its gradient (11 + 3 K, padded count); only for a session that was made for it."""
        output = np.zeros_like(self._parameters.block)
        self._device.upload(self._buffers.at["output"], output)
        (result,) = self.run([step])
        self._device.download(self._buffers.at["output"], output)
        return result, output

    def stages_at(self, step: Step) -> tuple[Any, list[Operation]]:
        """The kernels and operations of one step, ready to be executed by the caller; for benchmarks."""
        self._reset()
        self._device.upload(self._buffers.at["steps"], pack_steps([step], self._weights, self._pixels, self._rows))
        return self._kernels, self._train.operations

    def entries(self) -> int:
        """Pairs of splat and tile in the last frame."""
        return self._train.entries()

    def pull(self) -> None:
        """See `Session.pull`."""
        for name, array in self._state():
            self._device.download(self._buffers.at[name], array)

    def push(self) -> None:
        """See `Session.push`."""
        for name, array in self._state():
            self._device.upload(self._buffers.at[name], array)
        self._device.synchronize()

    def _state(self) -> list[tuple[str, Array]]:
        return [("block", self._parameters.block), ("first", self._adam.first), ("second", self._adam.second)]

    def close(self) -> None:
        """See `Session.close`."""
        for renderer in self._renders.values():
            renderer.close()
        self._renders.clear()
        self._train.close()
        self._buffers.free()


def _unpadded(view: PreparedView) -> Array:
    """Pixel weights without the CPU kernels' padding, flattened; empty if all are 1."""
    if not view.weights.size:
        return view.weights
    stride = -(-view.camera.width // 16) * 16
    plane = view.weights.reshape(-1, stride)[: view.camera.height, : view.camera.width]
    return np.ascontiguousarray(plane).ravel()
