# SPDX-License-Identifier: Apache-2.0
"""A whole training step, stage by stage, in turns with the prototype; and rendering alone.

Wall time is of all threads. CPU time is of a run with one thread: idle threads of OpenMP spin for a while, and that
counts.
"""

from __future__ import annotations

import argparse
from typing import Any

from ..bars import Bar
from .prototype import Prototype
from .scenes import VIEWS, Work
from .timing import StageClock, take_turns

SCENES = ((20_000, 256, 0.85), (50_000, 512, 0.75))
"""Splats, side of the frame, bar on our time over the prototype's."""
RENDER = (50_000, 512, 60.0)


def run(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """Both scenes, with a target over the whole frame and with one that can be cropped."""
    bars: list[Bar] = []
    table: dict[str, Any] = {}
    for count, size, limit in SCENES:
        for whole_frame in (True, False):
            name = f"step {count // 1000}k {size}^2" + ("" if whole_frame else ", subject")
            together = time_steps(options, Work.of(count, size, whole_frame=whole_frame))
            alone = time_steps(options, Work.of(count, size, whole_frame=whole_frame, threads=1))
            table[name] = {"all threads": together, "one thread": alone}
            bars += [
                Bar(f"{name}: wall, all threads", together["ours"]["wall_ms"], "ms"),
                Bar(f"{name}: CPU, one thread", alone["ours"]["cpu_ms"], "ms"),
            ]
            if options.against is not None:
                bars += [
                    Bar(f"{name}: wall / prototype's", together["wall_ratio"], "x", at_most=limit),
                    Bar(f"{name}: CPU / prototype's", alone["cpu_ratio"], "x", at_most=limit),
                ]
    return bars, table


def time_steps(options: argparse.Namespace, work: Work) -> dict[str, Any]:
    """Medians of the step and its stages, ours and the prototype's."""
    clock = StageClock()
    work.engine.watch = clock.mark

    def ours() -> None:
        clock.begin()
        work.step()

    if options.against is None:
        (timed,) = take_turns([ours], options.repeats)
        return {"ours": {"wall_ms": timed.wall, "cpu_ms": timed.cpu, "stages": clock.medians()}}
    prototype = Prototype(options.against, work)
    mine, theirs = take_turns([ours, prototype.step], options.repeats)
    wall_ratio, cpu_ratio = mine.ratios(theirs)
    return {
        "ours": {"wall_ms": mine.wall, "cpu_ms": mine.cpu, "stages": clock.medians()},
        "prototype": {"wall_ms": theirs.wall, "cpu_ms": theirs.cpu, "stages": prototype.clock.medians()},
        "wall_ratio": wall_ratio,
        "cpu_ratio": cpu_ratio,
    }


def run_render(options: argparse.Namespace) -> tuple[list[Bar], dict[str, Any]]:
    """Pictures of RENDER's scene a second, as `CpuEngine.render` gives them (H, W, 3)."""
    count, size, limit = RENDER
    work = Work.of(count, size)
    done = 0

    def render() -> None:
        nonlocal done
        done += 1
        work.engine.render(work.parameters, work.cameras[done % VIEWS])

    (timed,) = take_turns([render], 2 * options.repeats)
    name = f"render {count // 1000}k at {size}^2"
    bars = [
        Bar(f"{name}: frames a second", 1e3 / timed.wall, "", at_least=limit),
        Bar(f"{name}: process CPU a frame", timed.cpu, "ms"),
    ]
    return bars, {"wall_ms": timed.wall, "cpu_ms": timed.cpu}
