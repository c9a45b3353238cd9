# SPDX-License-Identifier: Apache-2.0
"""What a piece of work costs this process: seconds on the clock, of its cores, and memory at the worst moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import attrs
import numpy as np

Result = TypeVar("Result")
_RESET = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


@attrs.frozen
class Cost:
    """wall, cpu: seconds, medians over rounds; cpu sums all threads. added: MiB of resident memory at the worst moment
    above what there was before; None where the system does not tell."""

    wall: float
    cpu: float
    added: float | None


def measure(
    work: Callable[[], Result], rounds: int = 1, before: Callable[[], None] | None = None
) -> tuple[Cost, Result]:
    """The cost of `work` and what its last round returned. `before` each round something may be cleared away."""
    walls, cpus, added = [], [], []
    for _ in range(rounds):
        if before is not None:
            before()
        base = _resident_after_reset()
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
        peak = _status("VmHWM")
        added.append(None if base is None or peak is None else peak - base)
    known = [value for value in added if value is not None]
    return Cost(float(np.median(walls)), float(np.median(cpus)), max(known) if known else None), result


def _resident_after_reset() -> float | None:
    """MiB; the peak counts from here (Linux)."""
    try:
        _RESET.write_text("5")
    except OSError:
        return None
    return _status("VmRSS")


def _status(field: str) -> float | None:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(field + ":")]
    return float(found[0]) / 1024 if found else None
