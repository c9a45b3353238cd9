# SPDX-License-Identifier: Apache-2.0
"""The engine `gsplat`: `rasterizer.Rasterizer` by torch and gsplat 1.5.3 on an NVIDIA GPU.

Made by `check.open_engine`, which compiles and verifies the kernels first. Rendering, loss and training are those of
`backend/kernels/engine.py` within the rounding of float32. What differs:

* gsplat sums gradients with atomic additions: two runs of the same steps differ in the last bits, and drift apart.
* 1.5.3 clamps alpha at .999; our build makes it .99, as everywhere else (patches.py).
* Which splats Adam touches depends on `optimiser`:
  SEEN     those that got a gradient from the step's view. The CPU engine counts what reached a pixel; the two differ
           where a splat reaches pixels but its gradient is exactly zero.
  IN_VIEW  those that gsplat projects into the frame, hidden ones too: its trainer's `visible_adam`.
  ALL      every splat, by torch's fused kernel: its trainer's default. The moments of unseen splats decay.
  The first is there to agree with the CPU engine, the others to measure gsplat as its users run it.
* There is no depth term in the loss; a session that asks for one is refused.
* Antialiased splats: the compensation has no least value (ours: .005), and its gradient a bias of 1e-6.
* Splats whose numbers are absurd, but neither NaN nor beyond 1e15, may be drawn as gsplat draws them.
* A splat is left alone as a whole when one of its gradients is NaN or infinite (SEEN only).

gsplat is driven by its building blocks, without `rasterization()`: that spares the inversion of the view matrix on the
GPU, which waits for it, in every step. torch and gsplat are imported by build.py when an engine is opened.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from interchange.cameras import Camera
from interchange.errors import InputError

from ..layout import EPS2D, NEAR, TILE
from ..parameters import ROW_SH, AdamState, SplatParameters
from ..rasterizer import BLACK, Array, Colour, LossWeights, StepResult, Target, refuse_depth
from .build import Kernels
from .loss import LossFunction, TorchLoss
from .session import GsplatSession
from .splats import (
    LOG_SCALES,
    MEANS,
    OPACITY,
    QUATS,
    SH_BASE,
    SH_REST,
    DeviceCamera,
    DeviceSplats,
    Tensor,
    joined,
    upload_camera,
    upload_splats,
)  # fmt: skip

SEEN, IN_VIEW, ALL = "seen", "in_view", "all"
_FLOATS_A_PIXEL = 100
"""What loss and rasterizer keep for a pixel of the frame in one step, generously."""
_BYTES_A_SPLAT = 1000
"""What projection, tile lists and sort keep for a splat in one step, generously."""


@attrs.frozen(eq=False)
class Frame:
    """One rendered view, on the GPU."""

    colour: Tensor  # (H, W, 3) premultiplied, without background
    alpha: Tensor  # (H, W)
    in_view: Tensor  # (P,) bool: projected into the frame
    centres: Tensor  # (1, P, 2) pixels; undefined where not in view


class GsplatEngine:
    """Renders splats and opens sessions on one GPU; see the module's text."""

    name = "gsplat"
    steps_at_once = 10

    def __init__(
        self,
        kernels: Kernels,
        optimiser: str = SEEN,
        loss: LossFunction | None = None,
        on_stage: Callable[[str], None] | None = None,
        device: Any = None,
    ) -> None:
        """`loss` replaces the one in torch; `on_stage` is told "forward", "loss", "backward", "adam" when the work of
        each has been handed to the GPU (a benchmark records events there); `device` defaults to torch's present GPU.
        """
        import torch

        if optimiser not in (SEEN, IN_VIEW, ALL):
            raise ValueError(f"There is no optimiser {optimiser!r}.")
        self.torch: Any = torch
        self.kernels = kernels
        self.optimiser = optimiser
        self.device = device if device is not None else torch.device("cuda", torch.cuda.current_device())
        self.loss: LossFunction = loss or TorchLoss(torch, self.device)
        self.on_stage = on_stage or (lambda stage: None)

    def describe(self) -> str:
        """For reports."""
        name = self.device_name()
        return f"Fitted on the {name} with gsplat {self.kernels.gsplat.__version__} and CUDA {self.torch.version.cuda}."

    def begin(
        self, parameters: SplatParameters, adam: AdamState, targets: Sequence[Target], weights: LossWeights,
        statistics: bool = False,
    ) -> GsplatSession:  # fmt: skip
        """See `Rasterizer.begin`. InputError for a loss with a depth term, which it does not have."""
        refuse_depth(weights, self.name)
        self.check_memory(parameters.block.shape[1], [target.camera for target in targets], parameters.sh_degree)
        with self.memory_guard():
            return GsplatSession(self, parameters, adam, targets, weights, statistics)

    def render(
        self, parameters: SplatParameters, camera: Camera, background: Colour = BLACK
    ) -> tuple[Array, Array]:
        """See `Rasterizer.render`."""
        with self.memory_guard():
            return self.show(upload_splats(self.torch, parameters, None, self.device), camera, background)

    def gradients(
        self, parameters: SplatParameters, target: Target, background: Colour = BLACK,
        weights: LossWeights | None = None,
    ) -> tuple[StepResult, Array]:  # fmt: skip
        """The loss and its gradient (11 + 3 K, padded count), without a step."""
        session = self.begin(parameters, AdamState.like(parameters), [target], weights or LossWeights())
        result, _ = session.differentiate(0, self.torch.tensor(background, dtype=self.torch.float32).to(self.device))
        gradient = joined(self.torch, [group.values.grad for group in session.splats.groups])
        session.close()
        return StepResult(*result.tolist()), gradient

    def show(self, splats: DeviceSplats, camera: Camera, background: Colour) -> tuple[Array, Array]:
        """Image and alpha of splats that are on the GPU."""
        with self.torch.no_grad():
            frame = self.forward(splats, upload_camera(self.torch, camera, self.device))
            behind = self.torch.tensor(background, dtype=self.torch.float32, device=self.device)
            image = frame.colour + (1 - frame.alpha)[..., None] * behind
            return image.cpu().numpy(), frame.alpha.cpu().numpy()

    def forward(self, splats: DeviceSplats, camera: DeviceCamera) -> Frame:
        """Project, bin and blend; differentiable by the groups' values."""
        torch, gsplat = self.torch, self.kernels.gsplat
        values = [group.values for group in splats.groups]
        means, opacities = values[MEANS], torch.sigmoid(values[OPACITY][:, 0])
        radii, centres, depths, conics, compensations = gsplat.fully_fused_projection(
            means, None, values[QUATS], values[LOG_SCALES].exp(), camera.view, camera.K, camera.width, camera.height,
            eps2d=float(EPS2D), near_plane=float(NEAR), calc_compensations=splats.antialiased, opacities=opacities,
        )  # fmt: skip
        in_view = (radii > 0).all(dim=-1)  # (1, P)
        sh = values[SH_BASE][:, None]
        if splats.sh_degree:
            sh = torch.cat([sh, values[SH_REST].view(len(means), -1, 3)], dim=1)
        directions = means - camera.position
        colours = gsplat.spherical_harmonics(splats.sh_degree, directions[None], sh[None], masks=in_view)
        colours = (colours + 0.5).clamp_min(0)
        columns, rows = math.ceil(camera.width / TILE), math.ceil(camera.height / TILE)
        _, keys, entries = gsplat.isect_tiles(centres, radii, depths, TILE, columns, rows)
        starts = gsplat.isect_offset_encode(keys, 1, columns, rows)
        shown = opacities[None] * compensations if splats.antialiased else opacities[None]
        colour, alpha = gsplat.rasterize_to_pixels(
            centres, conics, colours, shown, camera.width, camera.height, TILE, starts, entries
        )
        return Frame(colour[0], alpha[0, ..., 0], in_view[0], centres)

    def device_name(self) -> str:
        """The GPU's."""
        return str(self.torch.cuda.get_device_name(self.device))

    def free_bytes(self) -> int:
        """GPU memory that is left, torch's own reserve given back first."""
        self.torch.cuda.empty_cache()
        return int(self.torch.cuda.mem_get_info(self.device)[0])

    @contextlib.contextmanager
    def memory_guard(self) -> Iterator[None]:
        """Full GPU memory in words."""
        try:
            yield
        except self.torch.OutOfMemoryError as error:
            raise self._memory_error("is full") from error

    def check_memory(self, count: int, cameras: Sequence[Camera], sh_degree: int) -> None:
        """InputError (RES_GPU_MEMORY) if a fit of `count` splats to such frames does not fit onto the GPU."""
        pixels = [camera.width * camera.height for camera in cameras]
        wanted = 4 * (5 * sum(pixels) + _FLOATS_A_PIXEL * max(pixels, default=0))
        wanted += count * (16 * (ROW_SH + 3 * (sh_degree + 1) ** 2) + _BYTES_A_SPLAT)
        free = self.free_bytes()
        if wanted > free:
            raise self._memory_error(f"has {free / 1e9:.1f} GB free, but the fit needs about {wanted / 1e9:.1f} GB")

    def _memory_error(self, what: str) -> InputError:
        hint = "Use fewer or smaller views, fewer splats, or close other programs that use the GPU."
        return InputError(f"The memory of the {self.device_name()} {what}.", hint, "RES_GPU_MEMORY")

