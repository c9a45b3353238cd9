# SPDX-License-Identifier: Apache-2.0
"""The CUDA engine: our own kernels, compiled on the user's machine by NVRTC, through the same interface as the CPU's.

One warp owns a tile of 8x8 pixels; depth sort and tile sort are apart; the backward pass writes one slot per entry, so
that nothing is added atomically and results are the same bit for bit on every run of the same GPU type; Adam is fused
into the projection's backward pass; a step is one recorded graph that reads from device memory which step it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from interchange.cameras import Camera

from ..parameters import PADDING, ROW_SH, AdamState, SplatParameters
from ..rasterizer import BLACK, Array, Colour, LossWeights, Step, StepResult, Target
from .device import Device
from .launches import Sizes
from .memory import Buffers, check_memory, first_capacity
from .renderer import Renderer, kernels_for
from .session import CudaSession


class CudaEngine:
    """See `rasterizer.Rasterizer`. `device` is passed in: a CudaDevice, or the tests' stand-in."""

    name = "cuda"
    steps_at_once = 100

    def __init__(self, device: Device) -> None:
        self.device = device

    def describe(self) -> str:
        """For reports."""
        return f"Fitted on the GPU {self.device.describe()} with our CUDA kernels."

    def check_memory(self, count: int, cameras: Sequence[Camera], sh_degree: int) -> None:
        """InputError (RES_GPU_MEMORY) if a fit of `count` splats to such frames does not fit onto the GPU."""
        if not cameras:
            return
        rows, stride = ROW_SH + 3 * (sh_degree + 1) ** 2, -(-max(count, 1) // PADDING) * PADDING
        size = max(c.width for c in cameras), max(c.height for c in cameras)
        targets = sum(16 * c.width * c.height for c in cameras) // 2  # the crop to the subject halves them or better
        check_memory(self.device, Sizes(stride, rows, *size, first_capacity(count)), targets)

    def begin(
        self, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target], weights: LossWeights,
        statistics: bool = False,
    ) -> CudaSession:  # fmt: skip
        """See `Rasterizer.begin`."""
        return CudaSession(self.device, parameters, adam, targets, weights, statistics)

    def render(
        self, parameters: SplatParameters, camera: Camera, background: Colour = BLACK
    ) -> tuple[Array, Array]:
        """See `Rasterizer.render`."""
        with self.renderer(parameters, camera.width, camera.height) as renderer:
            return renderer.image(camera, background)

    @contextlib.contextmanager
    def renderer(self, parameters: SplatParameters, width: int, height: int) -> Iterator[Renderer]:
        """For many frames of the same splats and size."""
        buffers = Buffers(self.device)
        rows, stride = parameters.block.shape
        try:
            buffers.put("block", parameters.block)
            sizes = Sizes(stride, rows, width, height, first_capacity(parameters.count))
            renderer = Renderer(self.device, kernels_for(self.device, parameters), buffers.at["block"], sizes)
            try:
                yield renderer
            finally:
                renderer.close()
        finally:
            buffers.free()

    def gradients(
        self, parameters: SplatParameters, target: Target, background: Colour, weights: LossWeights
    ) -> tuple[StepResult, Array]:
        """The loss and its gradient (11 + 3 K, padded count), without a step: for checks."""
        adam = AdamState.like(parameters)
        session = CudaSession(self.device, parameters, adam, [target], weights, gradients_only=True)
        try:
            return session.gradients(Step(0, 1, parameters.learning_rates(0, 0, 0, 0, 0), background))
        finally:
            session.close()
