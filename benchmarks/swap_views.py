# SPDX-License-Identifier: Apache-2.0
"""Changing a capture's views (rasterize, filter, composite): a GPU against the CPU, on the same views.

The new skin is the avatar's own, darkened and grained: how long it takes does not depend on whose it is. Reading and
writing of views is not in the figures.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.faceswap.engines import open_gpu
from backend.faceswap.gpu import GpuExchange
from backend.faceswap.settings import SwapSettings
from backend.faceswap.views import Skins, exchange_skin
from backend.kernels.cuda.device import Device
from interchange.capture import Capture
from interchange.errors import InputError

from .bars import Bar

TOLERANCE = 2e-5
"""Of linear colour, by which GPU and CPU may differ."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The capture."""
    parser.add_argument("--capture", type=Path, required=True, metavar="DIR", help="a capture with light and albedo")
    parser.add_argument("--views", type=int, default=8, metavar="N", help="how many of its views (default 8)")
    parser.add_argument("--threads", type=int, default=4, metavar="N", help="views at a time (default 4)")


def run(options: argparse.Namespace) -> list[Bar]:
    """Both ways with and without smoothing of the light."""
    device, sentence = open_gpu(None)
    if device is None:
        raise InputError(sentence, "Run it on a machine with an NVIDIA GPU.", "RES_NO_GPU")
    print(sentence)
    return view_bars(device, Capture.load(options.capture), options.views, options.threads)


def view_bars(device: Device, capture: Capture, count: int, threads: int) -> list[Bar]:
    """Bars for the first `count` views."""
    head, item = capture.object_of_part("head")
    skins = _skins(capture.load_texture(item))
    mesh = capture.load_mesh()
    views = [(capture.load_view(view), view.camera) for view in capture.views[:count]]
    samples = SwapSettings().samples
    bars = []
    for noisy in (False, True):
        name = "noisy light" if noisy else "denoised"

        def on_cpu(view: Any, noisy: bool = noisy) -> npt.NDArray[np.float32]:
            return exchange_skin(view[0], mesh, head, view[1], skins, samples, noisy)

        with closing(GpuExchange(device, head, skins, samples, noisy, [camera for _, camera in views])) as gpu:

            def on_gpu(view: Any, gpu: GpuExchange = gpu) -> npt.NDArray[np.float32]:
                return gpu.change(view[0], mesh, view[1])

            with ThreadPoolExecutor(threads) as pool:
                wall_cpu, cpu_cpu, theirs = _timed(pool, on_cpu, views)
                wall_gpu, cpu_gpu, ours = _timed(pool, on_gpu, views)
        differences = np.stack([np.abs(a - b) for a, b in zip(ours, theirs, strict=True)])
        bars += [
            Bar(f"{name}: CPU, wall", wall_cpu, "ms/view"),
            Bar(f"{name}: GPU, wall", wall_gpu, "ms/view"),
            Bar(f"{name}: CPU, core time", cpu_cpu, "ms/view"),
            Bar(f"{name}: GPU, core time", cpu_gpu, "ms/view"),
            Bar(f"{name}: largest difference", float(differences.max()), "", at_most=TOLERANCE),
            Bar(f"{name}: values that differ", float((differences > 0).mean()), ""),
        ]
    return bars


def _skins(old: npt.NDArray[np.float32]) -> Skins:
    grain = np.random.default_rng(0).random(old.shape, np.float32)
    return Skins.of(old, np.clip(old * 0.6 + 0.05 * grain, 0, 1))


def _timed(
    pool: ThreadPoolExecutor, change: Callable[[Any], npt.NDArray[np.float32]], views: list[Any]
) -> tuple[float, float, list[npt.NDArray[np.float32]]]:
    """Milliseconds a view on the clock and of core time, and the pictures."""
    change(views[0])  # compiles, uploads the mesh
    wall, cores = time.perf_counter(), time.process_time()
    pictures = list(pool.map(change, views))
    share = 1e3 / len(views)
    return share * (time.perf_counter() - wall), share * (time.process_time() - cores), pictures
