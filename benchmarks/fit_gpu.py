# SPDX-License-Identifier: Apache-2.0
"""Fitting on an NVIDIA GPU: milliseconds a stage and a step, against gsplat in the same run, seconds to a quality.

Without --capture only the scene that needs no files is measured.
"""

from __future__ import annotations

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np

from backend.faceswap.swap import swap
from backend.fitting.dataset import load_dataset
from backend.fitting.fit import fit
from backend.fitting.quality_time import time_to_quality
from backend.fitting.settings import FitSettings
from backend.kernels import cuda
from backend.kernels.cuda.compiler import CACHE_VARIABLE
from backend.kernels.cuda.device import CudaDevice
from backend.kernels.cuda.engine import CudaEngine
from backend.kernels.cuda.timing import milliseconds_of, stage_milliseconds
from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rasterizer import LossWeights, Rasterizer, Step, Target
from interchange.capture import Capture
from interchange.errors import InputError

from .bars import ROOT, Bar
from .fused_loss import FusedLoss, on_torchs_stream
from .shell import disturbed, shell_cameras, shell_cloud, shell_targets

COUNT, SH_DEGREE, VIEWS = 100_000, 1, 8
WARM_UP, STEPS, REPEATS = 20, 100, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--capture", type=Path, metavar="DIR", help="also fit this capture: seconds to 38 and 40 dB")
    parser.add_argument("--source", type=Path, metavar="DIR", help="also swap this source in: the whole job's seconds")
    parser.add_argument("--steps", type=int, default=3000, metavar="N", help="of the long fit of --capture")
    parser.add_argument("--rate-scale", type=float, default=0.8, metavar="X", help="of the long fit of --capture")
    parser.add_argument(
        "--plain", action="store_true", help="fit --capture for viewers without screen-space compensation"
    )
    parser.add_argument("--both-engines", type=Path, metavar="DIR", help="fit this capture on the CPU and on the GPU")
    parser.add_argument("--splats", type=int, default=100_000, metavar="N", help="of the fit of --capture")
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
        ours = step_bars(engine, size)
        bars += ours
        if not options.without_gsplat:
            bars += gsplat_bars(engine, size, ours[0].value or 0.0)
    bars += between_bars(engine)
    bars += render_bars(engine)
    if options.capture:
        bars += capture_bars(options.capture, options)
        if options.source:
            bars += whole_job_bars(options.capture, options.source, options.splats)
    if options.both_engines:
        bars += engine_bars(options.both_engines, options.splats)
    return bars


def start_bars() -> list[Bar]:
    """First start without any cache, and a cached one."""
    with tempfile.TemporaryDirectory() as folder:
        first, cached = start_seconds(Path(folder))
    return [Bar("first start without cache", first, "s", at_most=10), Bar("cached start", cached, "s")]


def start_seconds(folder: Path) -> tuple[float, float]:
    """Seconds that a fresh process takes from importing the engine to loaded kernels: without any cache, and with."""
    script = (
        "import time; start = time.perf_counter()\n"
        "from backend.kernels import cuda\n"
        "from backend.kernels.cuda.sources import Variant\n"
        f"cuda.open_engine().device.load(Variant({SH_DEGREE}))\n"
        "print(time.perf_counter() - start)"
    )
    # NVRTC and the driver keep caches of their own; they start empty too.
    environment = {**os.environ, CACHE_VARIABLE: str(folder / "own"), "CUDA_CACHE_PATH": str(folder / "driver")}

    def start() -> float:
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
        )
        return float(done.stdout)

    return start(), start()


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
    device = engine.device
    assert isinstance(device, CudaDevice)
    parameters, targets = a_scene(engine, size)
    session = engine.begin(parameters, AdamState.like(parameters), targets, LossWeights())
    session.run(steps_of(parameters, 1, WARM_UP))
    rounds = []
    for number in range(REPEATS):
        steps = steps_of(parameters, 1 + WARM_UP + number * STEPS, STEPS)
        rounds.append(milliseconds_of(device, functools.partial(session.run, steps)) / STEPS)
    ours = float(np.median(rounds))
    bars = [Bar(f"step {COUNT // 1000}k {size}^2, ours", ours, "ms")]
    stages: dict[str, list[float]] = {}
    for number in range(10):
        kernels, operations = session.stages_at(steps_of(parameters, 1000 + number, 1)[0])
        seen: dict[str, float] = {}
        for name, value in stage_milliseconds(device, kernels, operations):
            seen[name] = seen.get(name, 0.0) + value
        for name, value in seen.items():
            stages.setdefault(name, []).append(value)
    bars += [Bar(f"  stage {name} {size}^2", float(np.median(v)) * 1e3, "us") for name, v in stages.items()]
    bars.append(Bar(f"entries {size}^2", session.entries()))
    session.close()
    return bars


def between_bars(engine: CudaEngine) -> list[Bar]:
    """What happens to 100k splats between steps, each as the host sees it: until the GPU is done."""
    parameters, targets = a_scene(engine, 512)
    session = engine.begin(parameters, AdamState.like(parameters), targets, LossWeights())
    rng = np.random.default_rng(0)
    normals = rng.normal(size=(50_000, 3))
    normals = (normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32)
    face = rng.integers(0, len(normals), parameters.count).astype(np.int32)

    def rearranged() -> None:
        session.pull_shapes()
        width = parameters.block.shape[1]
        same, rested = np.arange(width, dtype=np.int32), np.zeros(width, bool)
        session.rearrange(parameters, AdamState.like(parameters), same, rested)

    def there_and_back() -> None:
        session.pull()
        session.push()

    changes: dict[str, tuple[Callable[[], None], int]] = {
        "decay": (lambda: session.decay(0.999, -1e-4), 100), "align": (lambda: session.align(0.01, normals, face), 100),
        "wander": (lambda: session.wander(1e-4, 1e-2, 0, 1), 100), "shapes to the host": (session.pull_shapes, 10),
        "all to the host and back": (there_and_back, 10), "rearrange": (rearranged, 5),
        "other pictures": (lambda: session.retarget(targets), 5),
    }  # fmt: skip
    bars = []
    for name, (change, times) in changes.items():
        change()  # compiles, or fills what is kept
        session.run(steps_of(parameters, 1, 1))
        start = time.perf_counter()
        for _ in range(times):
            change()
        engine.device.synchronize()
        seconds = (time.perf_counter() - start) / times
        bars.append(Bar(f"between steps, {COUNT // 1000}k SH {SH_DEGREE}: {name}", seconds * 1e3, "ms"))
    session.close()
    return bars


def gsplat_bars(engine: CudaEngine, size: int, ours: float) -> list[Bar]:
    """The same iteration by gsplat with our loss, by the faster of its two optimisers."""
    import torch

    from backend.kernels.gsplat.check import open_engine
    from backend.kernels.gsplat.engine import ALL, IN_VIEW

    assert isinstance(engine.device, CudaDevice)
    loss = FusedLoss(torch, on_torchs_stream(torch, engine.device), "cuda")
    parameters, targets = a_scene(engine, size)
    found = {}
    for optimiser in (IN_VIEW, ALL):
        theirs = open_engine(optimiser=optimiser, loss=loss)
        copy = parameters.copy()
        session = theirs.begin(copy, AdamState.like(copy), targets, LossWeights())
        session.run(steps_of(copy, 1, WARM_UP))
        rounds = []
        for number in range(REPEATS):
            steps = steps_of(copy, 1 + WARM_UP + number * STEPS, STEPS)
            torch.cuda.synchronize()
            start = time.perf_counter()
            session.run(steps)
            torch.cuda.synchronize()
            rounds.append((time.perf_counter() - start) * 1e3 / STEPS)
        found[optimiser] = float(np.median(rounds))
        session.close()
    best = min(found.values())
    at_least = {512: 4.0, 1024: 3.0}.get(size)
    return [
        *(Bar(f"step {COUNT // 1000}k {size}^2, gsplat, Adam {name}", value, "ms") for name, value in found.items()),
        Bar(f"gsplat / ours {size}^2", best / ours if ours else None, "x", at_least=at_least),
    ]


def render_bars(engine: CudaEngine) -> list[Bar]:
    """Frames a second of 1M splats at 1920x1080, images staying on the GPU."""
    width, height, frames = 1920, 1080, 50
    parameters = SplatParameters.from_cloud(shell_cloud(1_000_000, SH_DEGREE))
    (camera,) = shell_cameras(1, width, height)
    assert isinstance(engine.device, CudaDevice)
    with engine.renderer(parameters, width, height) as renderer:
        renderer.image(camera)
        milliseconds = milliseconds_of(engine.device, functools.partial(renderer.replay, frames)) / frames
        return [
            Bar("forward 1M 1920x1080", 1e3 / milliseconds, "fps", at_least=300),
            Bar("entries 1M 1920x1080", renderer.entries()),
        ]


def capture_bars(folder: Path, options: argparse.Namespace) -> list[Bar]:
    """Seconds of training to 38 dB in a short run and to 40 dB in a long one; rates are tied to a run's length. The
    long one fits before black, before which it is measured: carving alpha out of random colours costs it 0.1 dB.

    Reading pictures, placing splats and measuring do not count; placing is given beside it.
    """
    dataset = load_dataset(Capture.load(folder))
    common = FitSettings(splats=options.splats, engine="cuda", detail_density=0.7)
    time_to_quality(dataset, attrs.evolve(common, iterations=30), [])  # compiles, and warms the caches up
    runs = (
        (38.0, 1.5, attrs.evolve(common, iterations=900, sh_degree=2)),
        (40.0, 4.0, attrs.evolve(common, iterations=options.steps, sh_degree=3, rate_scale=options.rate_scale,
                                 antialiased=not options.plain, random_background=False)),
    )  # fmt: skip
    bars = []
    for level, at_most, settings in runs:
        found = time_to_quality(dataset, settings, [level], steps_between=max(25, settings.iterations // 20))
        reached = found.reached[level]
        seconds = [s for s in found.curve["seconds"] if s is not None][-1] - found.placing
        run = f"{settings.iterations} steps, SH {settings.sh_degree}{', antialiased' * settings.antialiased}"
        bars += [
            Bar(f"to {level:g} dB ({run})", None if reached is None else reached - found.placing, "s", at_most=at_most),
            Bar("  placing splats before it", found.placing, "s"),
            Bar("  the whole run", seconds, "s"),
            Bar("  held-out at its end", [p for p in found.curve["psnr"] if p is not None][-1], "dB"),
        ]
    return bars


def engine_bars(folder: Path, splats: int) -> list[Bar]:
    """The same fit by both engines."""
    dataset = load_dataset(Capture.load(folder))
    ends = []
    for engine in ("cpu", "cuda"):
        settings = FitSettings(iterations=900, splats=splats, engine=engine)
        found = time_to_quality(dataset, settings, [], steps_between=900)
        ends.append([p for p in found.curve["psnr"] if p is not None][-1])
    return [
        Bar("900 steps, cpu", ends[0], "dB"),
        Bar("900 steps, cuda", ends[1], "dB"),
        Bar("difference", abs(ends[0] - ends[1]), "dB", at_most=0.2),
    ]


def whole_job_bars(capture: Path, source: Path, splats: int) -> list[Bar]:
    """Load, swap, fit and export: everything but Blender's rendering. Kernels are compiled already."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        swap(capture, source, Path(folder) / "swapped")
        swapped = time.perf_counter() - start
        settings = FitSettings(splats=splats, engine="cuda")
        result = fit(Path(folder) / "swapped", Path(folder) / "double", settings)
        seconds = time.perf_counter() - start
    return [
        Bar("whole job without rendering", seconds, "s", at_most=12),
        Bar("  of it the swap", swapped, "s"),
        Bar("  of it training", result.seconds, "s"),
        Bar("  held-out", result.psnr, "dB"),
    ]
