# SPDX-License-Identifier: Apache-2.0
"""The CPU engine that fits 3D Gaussians: one object that renders, differentiates and optimises.

The trainer takes steps through a session (`begin`, see `rasterizer.py`), which does with every step what can be done
by hand, too::

    engine = CpuEngine(count=20_000, width=512, height=512, sh_degree=1)
    parameters = SplatParameters.from_cloud(cloud)              # Morton order inside, padded to 16
    adam = AdamState.like(parameters)
    views = [engine.prepare_view(camera, rgb_premultiplied, alpha) for ...]    # once per view and resolution
    rates = parameters.learning_rates(means=9e-4, quats=6e-3, log_scales=2.4e-2, opacity_logits=0.12, sh_base=3.6e-2)
    for iteration in range(1, steps + 1):                       # iteration counts from 1 (Adam's bias correction)
        result = engine.train_step(parameters, adam, views[k], rates, iteration)
    image, alpha = engine.render(parameters, camera)
    cloud = parameters.to_cloud()                               # in the order of the cloud that came in

Conventions. Cameras are `interchange.cameras.Camera` (OpenCV), in the frame that the splats live in. Images are
(H, W, 3) float32, premultiplied by alpha where they are targets; alpha is (H, W) float32. Whatever colour space
the targets have, the splats get. A background colour is laid behind both the render and the target before the loss.

Loss: see `rasterizer.LossWeights`; each term is a mean over the whole frame (x 3 channels for colour). SSIM is Wang et
al. 2004: 11x11 Gaussian window, sigma 1.5, C1 = 0.01^2, C2 = 0.03^2; outside the frame both images continue with the
background colour (with black: the zero padding of the first 3DGS trainer).

Results are the same bit for bit on every run and for every number of threads. Nothing is printed.
One engine serves one Python thread at a time, and only one thread of a process may be inside any engine: Numba's
default thread pool allows no more. Results are tied to the vector width (simd/width.py): 8 and 16 lanes add in
different orders. A splat with NaN, infinite or absurd numbers is not drawn and not changed.
Compilation happens at the first call of each kernel and is cached on disk; `compile_kernels` does all of it in
advance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numba
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import InputError, Progress

from .adam.cpu import BETA1, BETA2
from .binning.cpu import count_entries, fill_entries
from .buffers import aligned_zeros
from .cpu_session import CpuSession
from .engine_buffers import EntryBuffers, FrameBuffers, SplatBuffers
from .layout import SUM_DEPTH, TILE, camera_numbers, padded
from .loss.cpu import blur_target, compare, gaussian_window, patches_of
from .loss.depth import compare_depth
from .parameters import PADDING, ROW_SH, AdamState, SplatParameters
from .projection.cpu import ADAM_SEEN, GRADIENTS_ONLY, project, project_backward
from .rasterization.cpu import rasterize
from .rasterization.cpu_backward import rasterize_backward
from .rasterization.image import compose
from .rasterizer import BLACK, Colour, LossWeights, StepResult, Target
from .simd import RECORD_SIZE, VECTOR_WIDTH
from .views import SSIM_REACH, Box, PreparedView, grown_box, joined_box, prepare_view

Array = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

DEFAULT_WEIGHTS = LossWeights()

MAX_ENTRIES = 1 << 24
"""Pairs of splat and tile in one frame, 80 bytes each: 1.3 GB. A head of 100k splats at 1024^2 has less than 2^20."""

STAGES = ("project", "bin", "rasterize", "loss", "rasterize_backward", "project_backward")
"""Of a training step, in order; the last one includes Adam."""

def _nobody_watches(stage: str) -> None:
    pass


class CpuEngine:
    """Renders splats and takes training steps on the CPU; see the module's text for a tour."""

    name = "cpu"
    steps_at_once = 1

    def __init__(self, count: int, width: int, height: int, sh_degree: int, threads: int | None = None) -> None:
        """Buffers for `count` splats and frames up to width x height pixels; larger ones make the buffers grow.

        threads: at most the number that Numba may use (the cores), which is the default.
        """
        if sh_degree not in (0, 1, 2, 3):
            raise InputError(f"SH degree {sh_degree} does not exist here.", "Use 0, 1, 2 or 3.")
        if threads is not None and threads < 1:
            raise InputError(f"The engine cannot work with {threads} threads.", "Use 1 or more.")
        limit = numba.config.NUMBA_NUM_THREADS
        self.threads: int = min(limit, threads or limit)
        self._window = gaussian_window()
        self._splats = SplatBuffers.of(padded(max(count, PADDING)))
        self._frame = FrameBuffers.of(padded(width) * padded(height), _tiles(width, height), self.threads)
        self._entries = EntryBuffers.of(max(4096, 4 * count))
        self._empty = np.zeros(0, np.float32)
        self._no_masks = np.zeros(0, np.int32)
        self._depth: Array | None = None  # planes of depth and its gradient, once a loss has asked for them
        self._slots_hold_depth = False
        self.watch: Callable[[str], None] = _nobody_watches
        """Called after each stage with its name, one of STAGES; for benchmarks."""

    def describe(self) -> str:
        """For reports."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"Fitted on the CPU with {threads} and vectors of {VECTOR_WIDTH} numbers."

    def begin(
        self,
        parameters: SplatParameters,
        adam: AdamState,
        targets: Sequence[Target],
        weights: LossWeights,
        statistics: bool = False,
    ) -> CpuSession:
        """See `Rasterizer.begin`; `parameters` and `adam` themselves are changed by the session's steps."""
        return CpuSession(self, parameters, adam, targets, weights, statistics)

    def prepare_view(
        self,
        camera: Camera,
        rgb_premultiplied: Array,  # (H, W, 3)
        alpha: Array | None = None,  # (H, W); None: opaque everywhere
        pixel_weights: Array | None = None,  # (H, W) >= 0 factor of every loss term; None: 1
        depth: Array | None = None,  # (H, W) planar; where it is 0 or not finite, there is none
    ) -> PreparedView:
        """Crop the target to the subject and make room for its blurs: 40 bytes a pixel of the subject's box.

        Raises InputError if an array does not fit the camera or holds NaN.
        """
        return prepare_view(camera, rgb_premultiplied, alpha, pixel_weights, depth)

    def render(self, parameters: SplatParameters, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """Image (H, W, 3) over `background` and alpha (H, W), new arrays."""
        width, height = camera.width, camera.height
        self._forward(parameters, camera_numbers(camera), width, height, for_backward=False)
        image, alpha = np.empty((height, width, 3), np.float32), np.empty((height, width), np.float32)
        stride, rows = padded(width), padded(height)
        colour = np.asarray(background, np.float32)
        compose(
            self.threads, self._frame.frame, stride, stride * rows, colour, image.reshape(-1), alpha.reshape(-1), width
        )
        return image, alpha

    def train_step(
        self,
        parameters: SplatParameters,  # changed in place
        adam: AdamState,  # changed in place
        view: PreparedView,
        learning_rates: Array,  # (11 + 3 K,)
        iteration: int,  # from 1
        background: Colour = BLACK,
        weights: LossWeights = DEFAULT_WEIGHTS,
        statistics: Array | None = None,  # (2, padded count) sums of `Session.statistics`, changed in place
    ) -> StepResult:
        """Render, compare, differentiate and apply Adam; the result belongs to the parameters before the step.

        Adam touches only splats that this view saw (Kingma & Ba 2015, beta 0.9 and 0.999, eps 1e-15).
        """
        if iteration < 1:
            raise ValueError(f"Iterations count from 1, not {iteration}.")
        rates = np.ascontiguousarray(learning_rates, np.float32)
        if rates.shape != parameters.block.shape[:1] or adam.first.shape != parameters.block.shape:
            raise ValueError("Learning rates or Adam state do not fit the parameters.")
        result = self._differentiate(parameters, view, background, weights)
        corrections = np.array([1 / (1 - float(BETA1) ** iteration), 1 / (1 - float(BETA2) ** iteration)], np.float32)
        self._backward(
            parameters, view, ADAM_SEEN, self._empty, adam.first.reshape(-1), adam.second.reshape(-1), rates,
            corrections, self._empty if statistics is None else statistics.reshape(-1),
        )  # fmt: skip
        return result

    def gradients(
        self,
        parameters: SplatParameters,
        view: PreparedView,
        background: Colour = BLACK,
        weights: LossWeights = DEFAULT_WEIGHTS,
    ) -> tuple[StepResult, Array]:
        """The loss and its gradient (11 + 3 K, padded count), without a step."""
        result = self._differentiate(parameters, view, background, weights)
        output = np.zeros_like(parameters.block)
        empty = self._empty
        self._backward(parameters, view, GRADIENTS_ONLY, output.reshape(-1), empty, empty, empty, empty, empty)
        return result, output

    def _make_room(self, stride: int, width: int, height: int) -> None:
        """Grow what is too small, and hand the threads to Numba."""
        numba.set_num_threads(self.threads)
        if stride > self._splats.stride:
            self._splats = SplatBuffers.of(stride)
        pixels, tiles = padded(width) * padded(height), _tiles(width, height)
        if pixels > self._frame.pixels or tiles > self._frame.tiles:
            self._frame = FrameBuffers.of(pixels, tiles, self.threads)

    def _forward(
        self, parameters: SplatParameters, numbers: Array, width: int, height: int, for_backward: bool = True,
        depth: Array | None = None,
    ) -> None:  # fmt: skip
        """Project, bin and blend into the frame; `for_backward` keeps what the backward pass needs."""
        stride = parameters.block.shape[1]
        self._make_room(stride, width, height)
        s, f = self._splats, self._frame
        depths, low, high = s.depths[:stride], s.rect_low[:stride], s.rect_high[:stride]
        coefficients = (len(parameters.block) - ROW_SH) // 3
        project(
            self.threads, parameters.block.reshape(-1), stride, coefficients, parameters.antialiased, numbers,
            s.records, depths, low, high,
        )  # fmt: skip
        self.watch("project")
        summary = np.zeros(2, np.int64)
        slot_first, slot_count = s.slot_first[:stride], s.slot_count[:stride]
        count_entries(
            self.threads, s.records, depths, low, high, width, height, s.order[:stride], s.keys[: 3 * stride],
            f.histograms, slot_first, slot_count, summary,
        )  # fmt: skip
        drawn, entries = int(summary[0]), int(summary[1])
        if entries > MAX_ENTRIES:
            raise InputError(
                f"The splats cover too much of the frame ({entries} pairs of splat and tile).",
                "Make them smaller or fewer, or render a smaller frame.",
            )
        if entries > self._entries.capacity:
            self._entries = EntryBuffers.of(entries + entries // 4)
        e = self._entries
        fill_entries(
            self.threads, s.records, low, high, width, height, s.order[:stride], drawn, f.histograms, slot_first,
            f.tile_start, f.schedule, e.splat, e.slot,
        )  # fmt: skip
        self.watch("bin")
        mask = e.mask if for_backward else self._no_masks
        rasterize(self.threads, s.records, e.splat, mask, f.tile_start, f.schedule, width, height, f.frame, depth)
        self.watch("rasterize")

    def _busy_box(self, width: int, height: int) -> Box:
        """The box around all tiles that hold a splat."""
        columns = padded(width) // TILE
        starts = self._frame.tile_start[: _tiles(width, height) + 1]
        busy = (np.diff(starts) > 0).reshape(-1, columns)
        rows, across = np.flatnonzero(busy.any(axis=1)), np.flatnonzero(busy.any(axis=0))
        if len(rows) == 0:
            return np.zeros(4, np.int64)
        bottom = min(height, (int(rows[-1]) + 1) * TILE)
        return np.array([across[0] * TILE, rows[0] * TILE, (across[-1] + 1) * TILE, bottom], np.int64)

    def _differentiate(
        self, parameters: SplatParameters, view: PreparedView, background: Colour, weights: LossWeights
    ) -> StepResult:
        """Forward, loss, and backward as far as the tiles' sums."""
        width, height = view.camera.width, view.camera.height
        depth, depth_gradient = self._depth_buffers(view, weights)
        self._forward(parameters, view.numbers, width, height, depth=depth)
        colour = np.asarray(background, np.float32)
        key = (float(colour[0]), float(colour[1]), float(colour[2]))
        if view.blurred_for != key:
            blur_target(self.threads, view.target, view.region, colour, self._window, view.blurs)
            view.blurred_for = key
        f, e, s = self._frame, self._entries, self._splats
        busy = self._busy_box(width, height)
        box = grown_box(joined_box(busy, view.region), SSIM_REACH, width, height)
        pixels = float(width * height)
        sizes = np.array([3 * pixels, 3 * pixels, pixels])
        mix = np.array([1 - weights.ssim, weights.ssim, weights.alpha])
        sums = np.zeros((3 * patches_of(int(box[2] - box[0]), int(box[3] - box[1])), 3))
        compare(
            self.threads, width, height, box, busy, f.frame, view.target, view.blurs, view.region, view.weights, colour,
            self._window, (mix / sizes).astype(np.float32), f.gradient, sums,
        )  # fmt: skip
        means = sums.sum(axis=0) / sizes
        depth_mean = self._compare_depth(view, weights, depth, depth_gradient)
        self.watch("loss")
        rasterize_backward(
            self.threads, s.records, e.splat, e.slot, e.mask, f.tile_start, f.schedule, width, height, f.frame, colour,
            f.gradient, e.slots, e.slot_used, depth, depth_gradient,
        )  # fmt: skip
        self.watch("rasterize_backward")
        loss = float(means @ mix) + weights.depth * depth_mean
        return StepResult(loss, float(means[0]), float(means[1]), float(means[2]), depth_mean)

    def _depth_buffers(self, view: PreparedView, weights: LossWeights) -> tuple[Array | None, Array | None]:
        """Planes for depth and its gradient, None if this step does not want them."""
        if weights.depth == 0 or view.depth is None:
            if self._slots_hold_depth:
                self._entries.slots[SUM_DEPTH::RECORD_SIZE] = 0
                self._slots_hold_depth = False
            return None, None
        self._slots_hold_depth = True
        size = view.depth.shape[1]
        if self._depth is None or self._depth.shape[1] != size:
            self._depth = aligned_zeros((2, size))
        return self._depth[0], self._depth[1]

    def _compare_depth(
        self, view: PreparedView, weights: LossWeights, depth: Array | None, gradient: Array | None
    ) -> float:
        """The mean over the frame, in units of the loss's length, and the gradient."""
        if view.depth is None or depth is None or gradient is None:
            return 0.0
        width, height = view.camera.width, view.camera.height
        unit = weights.length * width * height
        sums = np.zeros(padded(height) // TILE)
        compare_depth(
            self.threads, padded(width), padded(height), depth, view.depth[0], view.depth[1],
            np.float32(weights.depth / unit), gradient, sums,
        )  # fmt: skip
        return float(sums.sum()) / unit

    def _backward(
        self, parameters: SplatParameters, view: PreparedView, mode: int, output: Array, first: Array, second: Array,
        rates: Array, corrections: Array, statistics: Array,
    ) -> None:  # fmt: skip
        """From the tiles' sums to the parameters."""
        stride = parameters.block.shape[1]
        s, e = self._splats, self._entries
        project_backward(
            self.threads, parameters.block.reshape(-1), stride, (len(parameters.block) - ROW_SH) // 3,
            parameters.antialiased, view.numbers, s.slot_first, s.slot_count, e.slot_used, e.slots, mode, output, first,
            second, rates, corrections, statistics,
        )  # fmt: skip
        self.watch("project_backward")


def _tiles(width: int, height: int) -> int:
    return (padded(width) // TILE) * (padded(height) // TILE)


def compile_kernels(progress: Progress | None = None) -> None:
    """Compile every kernel for this CPU, by one small render and step; later calls load the results from disk."""

    def say(fraction: float, message: str) -> None:
        if progress is not None:
            progress("compile", fraction, message)

    camera = Camera(np.array([[8.0, 0, 8], [0, 8, 8], [0, 0, 1]]), np.eye(4), 16, 16)
    block = np.zeros((ROW_SH + 3, PADDING), np.float32)
    block[2], block[3], block[7:10] = 2.0, 1.0, -1.0
    parameters = SplatParameters(block, PADDING, np.arange(PADDING))
    engine = CpuEngine(PADDING, 16, 16, 0)
    say(0.0, "preparing the renderer (compiled when it first runs)")
    engine.render(parameters, camera)
    say(0.5, "preparing the optimiser (compiled when it first runs)")
    view = engine.prepare_view(camera, np.full((16, 16, 3), 0.5, np.float32))
    engine.gradients(parameters, view)
    rates = parameters.learning_rates(0.0, 0.0, 0.0, 0.0, 0.0)
    engine.train_step(parameters, AdamState.like(parameters), view, rates, 1)
    say(1.0, "kernels are ready")


__all__ = ["AdamState", "CpuEngine", "PreparedView", "SplatParameters", "StepResult", "compile_kernels"]
