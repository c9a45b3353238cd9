# SPDX-License-Identifier: Apache-2.0
"""How the cost of a step grows with splats, pixels and threads, against the law of each stage; and the issue floor.

Laws: projection, binning and blending go with the number of splats (of fixed size on the screen), the loss with that of
pixels. So the time expected at any point is that of the point BASE, stage by stage, times the growth of what the
stage depends on. Blending may grow less: what lies behind opaque splats costs little. Times are CPU times, one thread.

The floor of a stage is the time that its vector instructions would take if the core issued FOUR of them a cycle and
waited for nothing. Instructions were counted in the machine code for 16 lanes; the clock rate is measured.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numba
import numpy as np

from backend.kernels.engine import STAGES
from backend.kernels.simd import VECTOR_WIDTH

from ..bars import Bar
from .scenes import Work
from .timing import StageClock, take_turns

SPLATS = (5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000)
SPLATS_SIZE = 512
SIZES = (128, 256, 512, 1024)
SIZES_SPLATS = 20_000
THREADS = (1, 2)
BASE = {"splats": 50_000, "pixels": 512 * 512}
"""Where the expected curves touch the measured ones."""
BY_PIXELS = ("loss",)
"""Stages that go with the pixels; the others go with the splats."""
ISSUE_WIDTH = 4
INSTRUCTIONS = {
    "project": ("vectors of splats", 430), "rasterize": ("blocks blended", 50), "loss": ("vectors of pixels", 330),
    "rasterize_backward": ("blocks blended", 62), "project_backward": ("vectors of splats", 1150),
}  # fmt: skip
"""What is counted, and instructions for each; binning is scalar code and is left out."""
PER_ENTRY = 90
"""The backward pass's sums and set-up, for each entry."""


def run(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """Three tables and the floors; the plot if asked for."""
    turns = max(8, options.repeats // 4)
    tables: dict[str, Any] = {
        "splats": _expected([_point(n, SPLATS_SIZE, turns) | {"splats": n} for n in SPLATS], "splats"),
        "pixels": _expected([_point(SIZES_SPLATS, s, turns) | {"pixels": s * s} for s in SIZES], "pixels"),
        "threads": _threads(turns),
        "floor": floors(50_000, 512, turns),
    }
    last = tables["splats"][-1]
    one, two = (row["wall_ms"] for row in tables["threads"])
    bars = [
        Bar("step with 500k splats / expected slope", last["cpu_ms"] / last["expected_ms"], "x"),
        Bar("step with one thread / two threads, wall", one / two, "x"),
    ]
    if options.plot is not None:
        draw(tables, options.plot)
    return bars, tables


def _point(count: int, size: int, turns: int) -> dict[str, Any]:
    """CPU milliseconds of a step with one thread, and of its stages."""
    work = Work.of(count, size, threads=1)
    clock = StageClock()
    work.engine.watch = clock.mark

    def step() -> None:
        clock.begin()
        work.step()

    (timed,) = take_turns([step], turns)
    stages = {stage: row["cpu_ms"] for stage, row in clock.medians().items()}
    return {"cpu_ms": timed.cpu, "stages": stages}


def _threads(turns: int) -> list[dict[str, Any]]:
    """Wall milliseconds of a step for each number of threads, in turns."""
    works = [Work.of(50_000, 512, threads=t) for t in THREADS]
    times = take_turns([work.step for work in works], 2 * turns)
    return [{"threads": t, "wall_ms": timed.wall} for t, timed in zip(THREADS, times, strict=True)]


def _expected(rows: list[dict[str, Any]], grows: str) -> list[dict[str, Any]]:
    """Add `expected_ms` to the rows of a table in which `grows` grows, from the row that lies at BASE."""
    first = next(row for row in rows if row[grows] == BASE[grows])
    for row in rows:
        factor = row[grows] / first[grows]
        row["expected_ms"] = sum(
            first["stages"][stage] * (factor if (stage in BY_PIXELS) == (grows == "pixels") else 1) for stage in STAGES
        )
    return rows


@numba.njit
def _dependent_steps(count: int) -> int:
    x = np.uint64(1)
    for _ in range(count):  # xorshift (Marsaglia 2003): six operations of one cycle, each waiting for the one before
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return int(x & np.uint64(1))


def clock_rate() -> float:
    """Cycles a second of the core, by a chain of 6 cycles a step."""
    _dependent_steps(10)
    best, count = 0.0, 5_000_000
    for _ in range(5):
        start = time.thread_time()
        _dependent_steps(count)
        best = max(best, 6 * count / (time.thread_time() - start))
    return best


def floors(count: int, size: int, turns: int) -> dict[str, Any]:
    """For each stage with one thread: CPU milliseconds, floor, and the first over the second."""
    work = Work.of(count, size, threads=1)
    clock = StageClock()
    work.engine.watch = clock.mark

    def step() -> None:
        clock.begin()
        work.step()

    take_turns([step], turns)
    rate = clock_rate()
    entries = int(work.engine._frame.tile_start[(size // 16) ** 2])
    masks = work.engine._entries.mask[:entries].view(np.uint32)
    blended = int(np.bitwise_count(masks).sum(dtype=np.int64))
    counts = {
        "vectors of splats": count / VECTOR_WIDTH, "blocks blended": blended,
        "vectors of pixels": 3 * size * size / VECTOR_WIDTH,
    }  # fmt: skip
    found: dict[str, Any] = {"clock_hz": rate, "entries": entries, "blocks_blended": blended, "stages": {}}
    for stage, (what, instructions) in INSTRUCTIONS.items():
        total = counts[what] * instructions + (entries * PER_ENTRY if stage == "rasterize_backward" else 0)
        floor = total / ISSUE_WIDTH / rate * 1e3
        measured = clock.medians()[stage]["cpu_ms"]
        found["stages"][stage] = {"cpu_ms": measured, "floor_ms": floor, "times_the_floor": measured / floor}
    return found


def draw(tables: dict[str, Any], path: Path) -> None:
    """Milliseconds against splats and against pixels, measured and expected, by stages."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
    labels = (
        ("splats", f"splats, frames of {SPLATS_SIZE} x {SPLATS_SIZE}"), ("pixels", f"pixels, {SIZES_SPLATS:,} splats")
    )  # fmt: skip
    for axis, (name, label) in zip(axes, labels, strict=True):
        rows = tables[name]
        x = [row[name] for row in rows]
        axis.loglog(x, [row["cpu_ms"] for row in rows], "o-", color="black", label="step")
        axis.loglog(x, [row["expected_ms"] for row in rows], "--", color="grey", label="expected")
        for stage in STAGES:
            axis.loglog(x, [row["stages"][stage] for row in rows], ".-", linewidth=1, label=stage.replace("_", " "))
        axis.set_xlabel(label)
        axis.set_ylabel("milliseconds a step, one thread")
        axis.grid(True, which="both", alpha=0.2)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)
