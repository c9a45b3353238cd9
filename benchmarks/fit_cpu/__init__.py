# SPDX-License-Identifier: Apache-2.0
"""Fitting on the CPU: time of a step and its stages, against the prototype and torch; growth, memory, start, quality.

Runs on a shared machine are comparable by ratio only: what is compared takes turns in one process, and medians of the
ratios are held to the bars. Beside wall time with all threads stands CPU time with one, which other load disturbs less.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backend.kernels.engine import CpuEngine, compile_kernels
from backend.kernels.simd import VECTOR_WIDTH

from ..bars import Bar, Outcome
from . import captures, children, controls, growth, steps

Part = tuple[list[Bar], dict[str, Any]]


def _run_torch(options: argparse.Namespace) -> Part:
    from . import torch_rival

    return torch_rival.run(options)


PARTS: dict[str, Callable[[argparse.Namespace], Part]] = {
    "steps": steps.run,
    "render": steps.run_render,
    "growth": growth.run,
    "memory": children.run_memory,
    "start": children.run_start,
    "captures": captures.run,
    "controls": controls.run,
    "torch": _run_torch,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--against", type=Path, metavar="DIR", help="folder of the prototype, to run in turns with us")
    parser.add_argument("--capture256", type=Path, metavar="DIR", help="capture with 256 x 256 views, for time to dB")
    parser.add_argument("--capture512", type=Path, metavar="DIR", help="the same with views of 512 x 512")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="also draw how the cost grows into this PNG")
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), help="run only these (default: all)")
    parser.add_argument("--repeats", type=int, default=40, metavar="N", help="steps that each median is taken of")


def run(options: argparse.Namespace) -> Outcome:
    """The parts asked for, in the order of PARTS."""
    compile_kernels()
    bars: list[Bar] = []
    tables: dict[str, Any] = {"engine": CpuEngine(1, 1, 1, 0).describe(), "vector_width": VECTOR_WIDTH}
    for name, part in PARTS.items():
        if options.parts is None or name in options.parts:
            more, tables[name] = part(options)
            bars += more
    return Outcome(bars, tables)
