# SPDX-License-Identifier: Apache-2.0
"""The prototype of this engine (Numba with explicit vectors as well), run from its folder in our process."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from backend.evaluation.metrics import psnr
from backend.fitting.dataset import Dataset, FitView
from backend.kernels.simd import VECTOR_WIDTH
from interchange.cameras import Camera
from interchange.errors import InputError

from .scenes import VIEWS, Work
from .timing import StageClock


class Prototype:
    """The prototype's step on the splats, cameras and targets of `work`, with our vector width and threads."""

    def __init__(self, folder: Path, work: Work) -> None:
        self._kernels, self._camera = _import_prototype(folder)
        size, count = work.cameras[0].width, work.parameters.count
        self._block = np.ascontiguousarray(work.parameters.block[:, : count - count % VECTOR_WIDTH])
        coefficients = (len(self._block) - 11) // 3
        self._engine = self._kernels.NB(self._block.shape[1], size, size, coefficients, work.engine.threads)
        self._cameras = [_prototype_camera(self._camera, camera) for camera in work.cameras]
        self._targets = [np.ascontiguousarray(picture.rgb.transpose(2, 0, 1)) for picture in work.pictures]
        self._image, self._gradient = (np.zeros((3, size, size), np.float32) for _ in range(2))
        self._transmittance = np.zeros((size, size), np.float32)
        self._first, self._second = np.zeros_like(self._block), np.zeros_like(self._block)
        self._rates = work.rates
        self._done = 0
        self.clock = StageClock()

    def step(self) -> None:
        """One training step on the next view."""
        self._done += 1
        engine, mark = self._engine, self.clock.mark
        camera, target = self._cameras[self._done % VIEWS], self._targets[self._done % VIEWS]
        self.clock.begin()
        engine.project(self._block, camera)
        mark("project")
        engine.bin(camera)
        mark("bin")
        engine.raster(camera, self._image, self._transmittance)
        mark("rasterize")
        engine.loss(self._image, target, self._gradient)
        mark("loss")
        engine.raster_bwd(camera, self._image, self._transmittance, self._gradient)
        mark("rasterize_backward")
        engine.project_bwd_adam(self._block, camera, self._first, self._second, self._rates, self._done, 1)
        mark("project_backward")


class PrototypeFit:
    """The prototype's training steps on a data set, at the rates that its own fits ended best with."""

    def __init__(self, folder: Path, block: np.ndarray, dataset: Dataset) -> None:
        """block: (11 + 3 K, N) first splats; N a multiple of 16, all views of one square size."""
        self._kernels, self._camera = _import_prototype(folder)
        self._block, self._dataset = np.ascontiguousarray(block, np.float32), dataset
        size = dataset.train[0].camera.width
        self._engine = self._kernels.NB(self._block.shape[1], size, size, (len(block) - 11) // 3, os.cpu_count())
        self._targets = [np.ascontiguousarray(view.rgb.transpose(2, 0, 1)) for view in dataset.train]
        self._image, self._gradient = (np.zeros((3, size, size), np.float32) for _ in range(2))
        self._transmittance = np.zeros((size, size), np.float32)
        self._first, self._second = np.zeros_like(self._block), np.zeros_like(self._block)

    def step(self, view: int, iteration: int, fraction: float) -> None:
        """One step on training view `view`; iterations count from 1, `fraction` 0..1 of the run."""
        camera = self._render(self._dataset.train[view])
        engine = self._engine
        engine.loss(self._image, self._targets[view], self._gradient)
        engine.raster_bwd(camera, self._image, self._transmittance, self._gradient)
        rates = _rates(len(self._block), fraction)
        engine.project_bwd_adam(self._block, camera, self._first, self._second, rates, iteration, 1)

    def psnr(self) -> float:
        """Mean over the held-out views, dB."""
        found = []
        for view in self._dataset.held_out:
            self._render(view)
            found.append(psnr(np.clip(self._image.transpose(1, 2, 0), 0, 1), view.rgb))
        return float(np.mean(found))

    def _render(self, view: FitView) -> Any:
        camera = _prototype_camera(self._camera, view.camera)
        self._engine.project(self._block, camera)
        self._engine.bin(camera)
        self._engine.raster(camera, self._image, self._transmittance)
        return camera


def _rates(rows: int, fraction: float) -> np.ndarray:
    """(rows,) float32: three times the first trainer's rates, which fall to a tenth, those of the means to 3 %."""
    rates = np.full(rows, 3.6e-2 / 5, np.float32)
    rates[3:7], rates[7:10], rates[10], rates[11:14] = 6e-3, 2.4e-2, 0.12, 3.6e-2
    rates *= np.float32(0.1**fraction)
    rates[:3] = 9e-4 * 0.03**fraction
    return rates


def _import_prototype(folder: Path) -> tuple[Any, Any]:
    if not (folder / "nbgs.py").is_file():
        raise InputError(f"{folder} holds no prototype (nbgs.py).", "Name the folder cpu_rasterizer of the prototypes.")
    os.environ["VW"] = str(VECTOR_WIDTH)  # it reads this at import
    sys.path.insert(0, str(folder.resolve()))
    try:
        return importlib.import_module("nbgs"), importlib.import_module("camera")
    finally:
        sys.path.pop(0)


def _prototype_camera(module: Any, camera: Camera) -> Any:
    K, pose = camera.K, camera.world_to_camera
    return module.mkcam(
        pose[:3, :3], pose[:3, 3], K[0, 0], K[1, 1], K[0, 2], K[1, 2], camera.width, camera.height
    )  # fmt: skip
