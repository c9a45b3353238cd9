# SPDX-License-Identifier: Apache-2.0
"""What only a process of its own can tell: peak memory, and how long a cold and a warm start take."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from interchange.errors import InputError

from ..bars import ROOT, Bar

MEMORY_SCENE = (100_000, 512, 100)
"""Splats, side of a frame, views."""
MEMORY_STEPS = 120
_START = "from backend.kernels.engine import compile_kernels; compile_kernels()"
_MEMORY = "from benchmarks.fit_cpu.children import report_memory; report_memory({whole_frame})"


def _child(code: str, environment: dict[str, str] | None = None) -> tuple[float, str]:
    """Seconds from start to end, and what it printed."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise InputError(f"A child process failed: {done.stderr.strip()[-300:]}", "Run its code by hand to see why.")
    return time.perf_counter() - start, done.stdout


def run_start(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """From the start of Python to an engine whose every kernel is ready: with an empty cache, and with a full one."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {"NUMBA_CACHE_DIR": cache}
        before = os.times()
        cold, _ = _child(_START, environment)
        after = os.times()
        warm = sorted(_child(_START, environment)[0] for _ in range(3))
        end = os.times()
    bars = [
        Bar("start with compilation: wall", cold, "s", at_most=45),
        Bar("start with compilation: CPU", _cpu_between(before, after), "s"),
        Bar("cached start: wall", warm[1], "s", at_most=1.5),
        Bar("cached start: CPU", _cpu_between(after, end) / len(warm), "s"),
    ]
    return bars, {"cold_s": cold, "cached_s": warm} | {bar.name: bar.value for bar in bars}


def _cpu_between(before: os.times_result, after: os.times_result) -> float:
    """CPU seconds of the children that ended in between."""
    return after.children_user + after.children_system - before.children_user - before.children_system


def run_memory(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """Peak resident memory of a process that trains with all targets in a session."""
    count, size, views = MEMORY_SCENE
    name = f"memory {count // 1000}k at {size}^2, {views} views"
    bars = []
    for whole_frame in (True, False):
        _, text = _child(_MEMORY.format(whole_frame=whole_frame))
        peak = json.loads(text)["peak_bytes"] / 2**30
        bars.append(Bar(name + ("" if whole_frame else ", subject only"), peak, "GiB", at_most=2))
    return bars, {bar.name: bar.value for bar in bars}


def report_memory(whole_frame: bool) -> None:
    """Body of the memory's child: the targets stay with the caller, as a trainer's do. Prints {"peak_bytes": ...}."""
    from backend.kernels.engine import AdamState, CpuEngine
    from backend.kernels.rasterizer import LossWeights, Step, Target

    from .scenes import cameras, pictures, shell

    count, size, views = MEMORY_SCENE
    engine, parameters = CpuEngine(count, size, size, 1), shell(count, size, degree=1)
    eyes = [cameras(size)[k % 4] for k in range(views)]
    targets = []
    for eye in eyes:
        (picture,) = pictures(engine, parameters, [eye], whole_frame)
        alpha = np.ones((size, size), np.float32) if picture.alpha is None else picture.alpha
        targets.append(Target(eye, picture.rgb, alpha))
    session = engine.begin(parameters, AdamState.like(parameters), targets, LossWeights())
    rates = parameters.learning_rates(1e-4, 1e-3, 1e-3, 1e-2, 1e-3)
    session.run([Step(k % views, k + 1, rates) for k in range(MEMORY_STEPS)])
    session.render(eyes[0])
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}))
