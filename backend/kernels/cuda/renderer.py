# SPDX-License-Identifier: Apache-2.0
"""Renders splats that lie on the device, for frames up to a size."""

from __future__ import annotations

from typing import Any

import numpy as np

from interchange.cameras import Camera

from ..layout import camera_numbers
from ..parameters import SplatParameters
from ..rasterizer import BLACK, Array, Colour
from .device import Device
from .frame import Pipeline
from .launches import Sizes
from .memory import Buffers
from .records import CONTROL, VIEW, pack_view, step_dtype
from .sources import Variant


def kernels_for(device: Device, parameters: SplatParameters, depth: bool = False) -> Any:
    """The kernels for these splats, and for a loss with a depth term; compiled at first use."""
    return device.load(Variant(parameters.sh_degree, parameters.antialiased, depth=depth))


def over(planes: Array, background: Colour) -> Array:
    """(4, H, W) colour and transmittance as an image (H, W, 3) over `background`, plane by plane: looks at held-out
    views wait for this."""
    image = np.empty((*planes.shape[1:], 3), np.float32)
    for channel, shade in enumerate(np.asarray(background, np.float32)):
        image[..., channel] = planes[channel] + planes[3] * shade if shade else planes[channel]
    return image


class Renderer:
    """Forward only; `block` is the address of the parameters, `sizes` are those of the largest frame."""

    def __init__(self, device: Device, kernels: Any, block: int, sizes: Sizes) -> None:
        self._device = device
        self._plan = Buffers(device)
        step = step_dtype(sizes.rows)
        self.width, self.height = sizes.width, sizes.height
        try:
            self._plan.add({"views": VIEW.itemsize, "steps": step.itemsize, "control": CONTROL.itemsize})
            device.upload(self._plan.at["steps"], np.zeros((), step))
            self._pipeline = Pipeline(device, kernels, sizes, {"block": block, **self._plan.at})
        except BaseException:
            self._plan.free()
            raise

    def image(self, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """Image (H, W, 3) over `background` and alpha (H, W)."""
        view = pack_view(camera_numbers(camera), camera.width, camera.height)
        self._device.upload(self._plan.at["views"], view)
        self._frame()
        while self._pipeline.entries() > self._pipeline.sizes.capacity:
            self._pipeline.grow(self._pipeline.entries())
            self._frame()
        planes = self._pipeline.image(camera.width, camera.height, int(view["stride"]), int(view["rows"]))
        return over(planes, background), 1 - planes[3]

    def _frame(self) -> None:
        self._device.upload(self._plan.at["control"], self._pipeline.control_record())
        self._pipeline.run_once()

    def replay(self, times: int) -> None:
        """Render the last camera again, `times` times, leaving the images on the device; for benchmarks."""
        self._pipeline.replay(times)

    def entries(self) -> int:
        """Pairs of splat and tile in the last frame."""
        return self._pipeline.entries()

    def close(self) -> None:
        """Give memory back."""
        self._pipeline.close()
        self._plan.free()
