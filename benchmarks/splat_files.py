# SPDX-License-Identifier: Apache-2.0
"""Every splat format: seconds to write and to read a large cloud, bytes a splat, and what pictures of a double lose."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import attrs
import numpy as np

from backend.evaluation.metrics import psnr
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from interchange.capture import Capture
from interchange.splats import SUFFIXES, SplatCloud, read_splats, write_splats

from .bars import Bar

_ROUNDS = 3
_LIMIT_S = {(".ply", 0): 1.0}
"""Seconds to write, and to read, a million splats of an SH degree."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--splats", type=int, default=1_000_000, metavar="N", help="default a million")
    parser.add_argument("--double", type=Path, metavar="FILE", help="a fitted double, to judge pictures of it")
    parser.add_argument("--capture", type=Path, metavar="DIR", help="the capture that it was fitted to")


def run(options: argparse.Namespace) -> list[Bar]:
    """Medians of three rounds, the formats interleaved."""
    bars = []
    with tempfile.TemporaryDirectory() as folder:
        for degree in (0, 3):
            bars += _speed(Path(folder), _random_cloud(options.splats, degree), options.splats / 1e6)
        if options.double and options.capture:
            bars += _quality(Path(folder), read_splats(options.double), Capture.load(options.capture))
    return bars


def _random_cloud(count: int, degree: int) -> SplatCloud:
    """Splats all over a ball, as hard to pack as splats can be."""
    rng = np.random.default_rng(0)
    return SplatCloud(
        rng.normal(0, 0.2, (count, 3)), rng.normal(-5, 0.5, (count, 3)), rng.normal(size=(count, 4)),
        rng.normal(0, 2, count), rng.normal(0, 0.2, (count, (degree + 1) ** 2, 3)),
    )  # fmt: skip


def _speed(folder: Path, cloud: SplatCloud, millions: float) -> list[Bar]:
    seconds: dict[tuple[str, str], list[float]] = {}
    for _ in range(_ROUNDS):
        for suffix in SUFFIXES:
            path = folder / f"s{suffix}"
            for what, work in _steps(path, cloud):
                start = time.perf_counter()
                work()
                seconds.setdefault((suffix, what), []).append(time.perf_counter() - start)
    bars = []
    for suffix in SUFFIXES:
        limit = _LIMIT_S.get((suffix, cloud.degree))
        title = f"{suffix} SH {cloud.degree}"
        for what in ("write", "read"):
            bars.append(
                Bar(f"{title} {what}", median(seconds[suffix, what]), "s", at_most=limit and limit * max(1, millions))
            )
        bars.append(Bar(f"{title} size", (folder / f"s{suffix}").stat().st_size / len(cloud), "B/splat"))
    return bars


def _steps(path: Path, cloud: SplatCloud) -> list[tuple[str, Callable[[], object]]]:
    return [("write", lambda: write_splats(path, cloud)), ("read", lambda: read_splats(path))]


def _quality(folder: Path, cloud: SplatCloud, capture: Capture) -> list[Bar]:
    """Mean PSNR over the held-out views against the capture, and against pictures of the double itself."""
    views = [(v.camera.in_splat_frame(), capture.load_view(v, ()).display()) for v in capture.held_out_views]

    def pictures(shown: SplatCloud) -> list[np.ndarray]:
        parameters = SplatParameters.from_cloud(attrs.evolve(shown, antialiased=False))
        camera = views[0][0]
        engine = CpuEngine(len(shown), camera.width, camera.height, shown.degree)
        return [np.clip(engine.render(parameters, camera)[0], 0, 1) for camera, _ in views]

    original = pictures(cloud)
    before = float(np.mean([psnr(a, rgb) for a, (_, rgb) in zip(original, views, strict=True)]))
    bars = [Bar("the double against its capture", before, "dB")]
    for suffix in SUFFIXES:
        path = folder / f"double{suffix}"
        write_splats(path, cloud)
        again = pictures(read_splats(path))
        after = float(np.mean([psnr(a, rgb) for a, (_, rgb) in zip(again, views, strict=True)]))
        same = float(np.mean([psnr(a, b) for a, b in zip(again, original, strict=True)]))
        bars.append(Bar(f"{suffix} against the capture", after, "dB"))
        bars.append(Bar(f"{suffix} against the double", same, "dB"))
        bars.append(Bar(f"{suffix} size", path.stat().st_size / len(cloud), "B/splat"))
    return bars
