# SPDX-License-Identifier: Apache-2.0
"""Our CUDA loss as a torch function, so that gsplat is measured with a loss as fast as ours and equal to it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from backend.kernels.cuda.device import CudaDevice, checked
from backend.kernels.cuda.launches import Launch, Pointer, Sizes, loss, training_sizes
from backend.kernels.cuda.records import CONTROL, FRAME, pack_steps, pack_view, step_dtype
from backend.kernels.cuda.sources import LOSS_TILE, Variant
from backend.kernels.layout import CAMERA_SIZE
from backend.kernels.parameters import PADDING, ROW_SH
from backend.kernels.rasterizer import LossWeights, Step

ROWS = ROW_SH + 3
"""Of the parameters that the kernels are compiled for; the loss does not look at them."""
Run = Callable[[list[Launch]], None]
_BACKGROUND = step_dtype(ROWS).fields["background"][1] // 4  # type: ignore[index]


def on_torchs_stream(torch: Any, device: CudaDevice) -> Run:
    """Runs launches of the loss between torch's own, in order."""
    functions = device.load(Variant(0))

    def run(launches: list[Launch]) -> None:
        stream = torch.cuda.current_stream().cuda_stream
        for launch in launches:
            values = tuple(a.address if isinstance(a, Pointer) else a for a in launch.arguments)
            types = tuple(ctypes.c_void_p if isinstance(a, Pointer) else ctypes.c_int for a in launch.arguments)
            function = functions.get(launch.kernel)
            checked(
                device.driver.cuLaunchKernel(
                    function, *launch.grid, launch.threads, 1, 1, 0, stream, (values, types), 0
                ),
                f"launch {launch.kernel}",
            )

    return run


class FusedLoss:
    """A `backend.kernels.gsplat.loss.LossFunction`. Frames must be whole numbers of the loss's squares, and targets
    without weights."""

    def __init__(self, torch: Any, run: Run, where: str) -> None:
        """`run` launches the kernels; `where` is torch's name of the device that they run on."""
        self._torch, self._run, self._where = torch, run, where
        self._frames: dict[int, _Frame] = {}
        outer = self

        class Function(torch.autograd.Function):  # type: ignore[misc]
            """Value and gradient at once; backward only hands the gradient on."""

            @staticmethod
            def forward(context: Any, colour: Any, alpha: Any, target: Any, background: Any, weights: Any) -> Any:
                frame = outer._frame(target, colour.shape[0], colour.shape[1], weights)
                terms, gradient = frame.evaluate(colour, alpha, background)
                context.save_for_backward(gradient, background)
                return terms

            @staticmethod
            def backward(context: Any, upstream: Any) -> Any:
                gradient, background = context.saved_tensors
                by_colour = gradient[:3].permute(1, 2, 0) * upstream[0]
                by_alpha = -(gradient[3] + (gradient[:3] * background[:, None, None]).sum(0)) * upstream[0]
                return by_colour, by_alpha, None, None, None

        self._function = Function

    def __call__(self, colour: Any, alpha: Any, target: Any, background: Any, weights: LossWeights) -> Any:
        """See LossFunction."""
        return self._function.apply(colour, alpha, target, background, weights)

    def _frame(self, target: Any, height: int, width: int, weights: LossWeights) -> _Frame:
        if id(target) not in self._frames:
            self._frames[id(target)] = _Frame(self._torch, self._run, self._where, target, (width, height), weights)
        return self._frames[id(target)]


class _Frame:
    """What the loss of one target needs, on the device."""

    def __init__(
        self, torch: Any, run: Run, where: str, target: Any, size: tuple[int, int], weights: LossWeights
    ) -> None:
        assert not any(side % LOSS_TILE for side in size) and target.weights is None
        self._torch, self._run = torch, run
        self._source = target  # alive as long as this: frames are found by its id, which must not go to another
        width, height = size
        self._target = torch.cat([target.rgb.permute(2, 0, 1), target.alpha[None]]).contiguous()
        sizes = Sizes(PADDING, ROWS, width, height, capacity=1)
        room = training_sizes(sizes)
        wanted = {name: room[name] for name in ("slopes", "active", "sums", "gradient")}
        tensors = {name: torch.empty(size, dtype=torch.uint8, device=where) for name, size in wanted.items()}
        for name, record in packed(width, height, self._target.data_ptr(), weights).items():
            tensors[name] = torch.from_numpy(np.frombuffer(record.tobytes(), np.uint8).copy()).to(where)
        tensors["image"] = torch.empty((4, height, width), device=where)
        tensors["spans"] = torch.zeros((sizes.tiles, 2), dtype=torch.int32, device=where)  # none: the region is all
        self._tensors = tensors
        self._launches = loss(sizes, {name: tensor.data_ptr() for name, tensor in tensors.items()})
        self._image = tensors["image"]
        self._background = tensors["steps"].view(torch.float32)[_BACKGROUND : _BACKGROUND + 3]
        self._sums = tensors["sums"].view(torch.float32).view(-1, sizes.terms)
        self._gradient = tensors["gradient"].view(torch.float32).view(4, height, width)
        self._shares = torch.tensor([1 - weights.ssim, weights.ssim, weights.alpha], device=where)
        self._counts = torch.tensor([3.0, 3.0, 1.0], device=where) * (width * height)

    def evaluate(self, colour: Any, alpha: Any, background: Any) -> tuple[Any, Any]:
        """(4,) loss and terms; (4, H, W) dL/dimage, dL/dtransmittance of the alpha term."""
        self._image[:3] = colour.detach().permute(2, 0, 1)
        self._image[3] = 1 - alpha.detach()
        self._background[:] = background
        self._run(self._launches)
        means = self._sums.sum(0) / self._counts
        return self._torch.cat([(means * self._shares).sum()[None], means]), self._gradient


def packed(width: int, height: int, target: int, weights: LossWeights) -> dict[str, np.ndarray]:
    """The records of a frame that is a target's whole; `target`: address of its planes on the device."""
    view = pack_view(np.zeros(CAMERA_SIZE, np.float32), width, height)
    view["region"], view["target"] = (0, 0, width, height), target
    steps = pack_steps([Step(0, 1, np.zeros(ROWS, np.float32))], weights, [width * height], ROWS)
    control = np.zeros((), CONTROL)
    control["capacity"] = 1
    return {"views": view, "steps": steps, "control": control, "frame": np.zeros((), FRAME)}
