# SPDX-License-Identifier: Apache-2.0
"""What a job costs beside the GPU: reading, swapping, placing, looks at held-out views, export, evaluation, signing.

No GPU takes part: the fit's engine computes nothing. Each stage is called as a job calls it and measured by itself: its
seconds on the clock and of the cores. The latter, brought to a capture of `--like` views, tell what a machine with more
cores has to do. Kernels are compiled before.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from ..bars import Bar, Outcome
from .stages import Plan, Row, fit_rows, report_rows, swap_rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--capture", type=Path, required=True, metavar="DIR", help="a capture with light and albedo")
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="whose face is put on it")
    parser.add_argument("--splats", type=int, default=100_000, metavar="N", help="to be placed (default 100000)")
    parser.add_argument("--threads", type=int, metavar="N", help="views at a time (default: one a core)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="medians are taken of so many (default 3)")
    parser.add_argument("--like", type=int, default=68, metavar="N", help="views that core time is brought to")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep what is written here (default: thrown away)")


def run(options: argparse.Namespace) -> Outcome:
    """All stages in the order of a job."""
    with tempfile.TemporaryDirectory() as folder:
        work = options.work or Path(folder)
        plan = Plan(options.capture, options.source, work, options.splats, options.rounds, options.threads)
        rows = swap_rows(plan) + fit_rows(plan) + report_rows(plan)
    _print(rows, options.like)
    table = {row.name: _figures(row, options.like) for row in rows}
    bars = [Bar(f"{row.name}: wall", row.cost.wall, "s") for row in rows]
    return Outcome(bars, {"stages": table, "threads": options.threads or os.cpu_count()})


def _figures(row: Row, like: int) -> dict[str, Any]:
    each = 1e3 / row.views if row.views else None
    return {
        "wall_s": row.cost.wall,
        "cpu_s": row.cost.cpu,
        "added_mib": row.cost.added,
        "views": row.views,
        "wall_ms_a_view": each and row.cost.wall * each,
        "cpu_ms_a_view": each and row.cost.cpu * each,
        f"cpu_s_like_{like}_views": row.cost.cpu * like / row.views if row.views else row.cost.cpu,
    }


def _print(rows: list[Row], like: int) -> None:
    print(f"{'':<44}{'s':>8}{'CPU s':>8}{'views':>7}{'ms/view':>14}{'CPU ms/view':>13}{'views/s':>9}{'MiB':>7}")
    for row in rows:
        figures = _figures(row, like)
        line = f"{row.name:<44}{row.cost.wall:8.2f}{row.cost.cpu:8.2f}{row.views or '':>7}"
        if row.views:
            line += f"{figures['wall_ms_a_view']:14.1f}{figures['cpu_ms_a_view']:13.1f}{row.views / row.cost.wall:9.1f}"
        else:
            line += " " * 36
        print(line + (f"{row.cost.added:7.0f}" if row.cost.added is not None else ""))
