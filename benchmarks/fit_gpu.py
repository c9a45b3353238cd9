# SPDX-License-Identifier: Apache-2.0
"""Fitting on an NVIDIA GPU: milliseconds a stage and a step, against gsplat in the same run, seconds to a quality.

Without --capture only the scene that needs no files is measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from backend.kernels import cuda
from backend.kernels.cuda.compiler import CACHE_VARIABLE
from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.cuda.timing import milliseconds_of, stage_milliseconds
from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rasterizer import LossWeights, Rasterizer, Step, Target
from interchange.errors import InputError

from .bars import Bar
from .shell import disturbed, shell_cameras, shell_cloud, shell_targets

COUNT, SH_DEGREE, VIEWS = 100_000, 1, 8
WARM_UP, STEPS, REPEATS = 20, 100, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--capture", type=Path, metavar="DIR", help="also fit this capture: seconds to 38 and 40 dB")
    parser.add_argument("--without-gsplat", action="store_true", help="do not compare with gsplat")
    parser.add_argument("--sizes", type=int, nargs="+", default=[512, 1024], metavar="PIXELS")


def run(options: argparse.Namespace) -> list[Bar]:
    """All figures."""
    fine, sentence = cuda.availability()
    if not fine:
        raise InputError(sentence, "This benchmark needs an NVIDIA GPU.")
    print(sentence)
    bars = start_bars()
    engine = cuda.open_engine()
    for size in options.sizes:
        bars += step_bars(engine, size)
    bars += render_bars(engine)
    return bars


def start_bars() -> list[Bar]:
    """First start without any cache, and a cached one."""
    with tempfile.TemporaryDirectory() as folder:
        before = os.environ.get(CACHE_VARIABLE)
        os.environ[CACHE_VARIABLE] = folder
        try:
            seconds = [_seconds(lambda: cuda.open_engine().device.load(SH_DEGREE)) for _ in range(2)]
        finally:
            os.environ.pop(CACHE_VARIABLE) if before is None else os.environ.update({CACHE_VARIABLE: before})
    return [Bar("first start without cache", seconds[0], "s", at_most=10), Bar("cached start", seconds[1], "s")]


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def a_scene(engine: Rasterizer, size: int) -> tuple[SplatParameters, list[Target]]:
    """Disturbed splats and pictures of the undisturbed ones."""
    parameters = SplatParameters.from_cloud(shell_cloud(COUNT, SH_DEGREE))
    return disturbed(parameters), shell_targets(engine, parameters, shell_cameras(VIEWS, size, size))


def steps_of(parameters: SplatParameters, first: int, number: int) -> list[Step]:
    """Steps as a fit takes them."""
    rates = parameters.learning_rates(1e-5, 6e-3, 1e-2, 5e-2, 1e-2)
    backgrounds = np.random.default_rng(0).random((number, 3))
    return [
        Step(i % VIEWS, i, rates, (float(b[0]), float(b[1]), float(b[2])))
        for i, b in zip(range(first, first + number), backgrounds, strict=True)
    ]


def step_bars(engine: CudaEngine, size: int) -> list[Bar]:
    """A whole training iteration, and its stages."""
    parameters, targets = a_scene(engine, size)
    session = engine.begin(parameters, AdamState.like(parameters), targets, LossWeights())
    session.run(steps_of(parameters, 1, WARM_UP))
    rounds = []
    for number in range(REPEATS):
        steps = steps_of(parameters, 1 + WARM_UP + number * STEPS, STEPS)
        rounds.append(milliseconds_of(engine.device, lambda steps=steps: session.run(steps)) / STEPS)
    ours = float(np.median(rounds))
    bars = [Bar(f"step {COUNT // 1000}k {size}^2, ours", ours, "ms")]
    stages: dict[str, list[float]] = {}
    for number in range(10):
        kernels, operations = session.stages_at(steps_of(parameters, 1000 + number, 1)[0])
        seen: dict[str, float] = {}
        for name, value in stage_milliseconds(engine.device, kernels, operations):
            seen[name] = seen.get(name, 0.0) + value
        for name, value in seen.items():
            stages.setdefault(name, []).append(value)
    bars += [Bar(f"  stage {name} {size}^2", float(np.median(v)) * 1e3, "us") for name, v in stages.items()]
    bars.append(Bar(f"entries {size}^2", session.entries()))
    session.close()
    return bars


def render_bars(engine: CudaEngine) -> list[Bar]:
    """Frames a second of 1M splats at 1920x1080, images staying on the GPU."""
    width, height, frames = 1920, 1080, 50
    parameters = SplatParameters.from_cloud(shell_cloud(1_000_000, SH_DEGREE))
    (camera,) = shell_cameras(1, width, height)
    with engine.renderer(parameters, width, height) as renderer:
        renderer.image(camera)
        milliseconds = milliseconds_of(engine.device, lambda: renderer.replay(frames)) / frames
        return [
            Bar("forward 1M 1920x1080", 1e3 / milliseconds, "fps", at_least=300),
            Bar("entries 1M 1920x1080", renderer.entries()),
        ]
