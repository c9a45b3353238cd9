# SPDX-License-Identifier: Apache-2.0
"""Our CUDA loss as a torch function, so that gsplat is measured with a loss as fast as ours and equal to it."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from backend.kernels.cuda.device import CudaDevice, checked
from backend.kernels.cuda.launches import LOSS_THREADS
from backend.kernels.cuda.records import CONTROL, FRAME, VIEW, rounded_up, step_dtype
from backend.kernels.cuda.sources import LOSS_TILE, TILE, Variant
from backend.kernels.rasterizer import LossWeights


class FusedLoss:
    """A `backend.kernels.gsplat.loss.LossFunction`. Frames must be whole numbers of the loss's squares."""

    def __init__(self, torch: Any, device: CudaDevice) -> None:
        self._torch, self._device = torch, device
        self._functions = device.load(Variant(0))
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
            self._frames[id(target)] = _Frame(
                self._torch, self._device, self._functions, target, height, width, weights
            )
        return self._frames[id(target)]


class _Frame:
    """What the loss of one target needs, on the GPU."""

    def __init__(
        self, torch: Any, device: CudaDevice, functions: Any, target: Any, height: int, width: int,
        weights: LossWeights,
    ) -> None:  # fmt: skip
        assert height % LOSS_TILE == 0 and width % LOSS_TILE == 0
        self._torch, self._driver, self._functions = torch, device.driver, functions
        self._source = target  # alive as long as this: frames are found by its id, which must not go to another
        self._pixels = height * width
        self._grid = (width // LOSS_TILE, height // LOSS_TILE, 3)
        squares = self._grid[0] * self._grid[1]
        self._target = torch.cat([target.rgb.permute(2, 0, 1), target.alpha[None]]).contiguous()
        view = np.zeros((), VIEW)
        view["region"] = 0, 0, width, height
        view["width"], view["height"] = width, height
        view["stride"], view["rows"] = rounded_up(width, LOSS_TILE), rounded_up(height, LOSS_TILE)
        view["tiles_x"], view["tiles_y"] = -(-width // TILE), -(-height // TILE)
        view["target"] = self._target.data_ptr()
        step = np.zeros((), step_dtype(14))
        step["factors"] = np.array([1 - weights.ssim, weights.ssim, weights.alpha]) / (3, 3, 1) / self._pixels
        control = np.zeros((), CONTROL)
        control["capacity"] = 1
        records = {"view": view, "step": step, "control": control, "frame": np.zeros((), FRAME)}
        self._records = {
            name: torch.from_numpy(np.frombuffer(record.tobytes(), np.float32).copy()).cuda()
            for name, record in records.items()
        }
        self._image = torch.empty((4, height, width), device="cuda")
        self._slopes = torch.empty((9, height, width), device="cuda")
        self._gradient = torch.empty((4, height, width), device="cuda")
        self._active = torch.empty(squares, dtype=torch.uint8, device="cuda")
        self._sums = torch.empty((3 * squares, 3), device="cuda")
        shares = np.array([1 - weights.ssim, weights.ssim, weights.alpha])
        self._shares = torch.tensor(shares, dtype=torch.float32, device="cuda")
        self._counts = torch.tensor([3.0, 3.0, 1.0], device="cuda") * self._pixels
        self._spans = torch.zeros((1, 2), dtype=torch.int32, device="cuda")  # unread: the region is the whole frame

    def evaluate(self, colour: Any, alpha: Any, background: Any) -> tuple[Any, Any]:
        """(4,) loss and terms; (4, H, W) dL/dimage, dL/dtransmittance of the alpha term."""
        self._image[:3] = colour.detach().permute(2, 0, 1)
        self._image[3] = 1 - alpha.detach()
        self._records["step"][1:4] = background
        common = [self._records[name] for name in ("view", "step", "control", "frame")]
        self._launch("compare", [*common, self._image, self._spans, self._slopes, self._active, self._sums])
        self._launch("differentiate", [*common, self._image, self._slopes, self._active, self._gradient])
        means = self._sums.sum(0) / self._counts
        return self._torch.cat([(means * self._shares).sum()[None], means]), self._gradient

    def _launch(self, kernel: str, tensors: list[Any]) -> None:
        stream = self._torch.cuda.current_stream().cuda_stream
        values = tuple(tensor.data_ptr() for tensor in tensors)
        arguments = (values, (ctypes.c_void_p,) * len(values))
        function = self._functions.get(kernel)
        checked(
            self._driver.cuLaunchKernel(function, *self._grid, LOSS_THREADS, 1, 1, 0, stream, arguments, 0), "launch"
        )
