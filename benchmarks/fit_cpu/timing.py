# SPDX-License-Identifier: Apache-2.0
"""Clocks for work that takes turns."""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs
import numpy as np

WARM_UP = 4


@attrs.frozen(eq=False)
class Timed:
    """Times of one contestant, one row a turn."""

    wall_ms: np.ndarray
    cpu_ms: np.ndarray  # of the process: all its threads

    @property
    def wall(self) -> float:
        """Median, milliseconds."""
        return float(np.median(self.wall_ms))

    @property
    def cpu(self) -> float:
        """Median, milliseconds."""
        return float(np.median(self.cpu_ms))

    def ratios(self, other: Timed) -> tuple[float, float]:
        """Medians over the turns of our wall and CPU time over the other's in the same turn."""
        return float(np.median(self.wall_ms / other.wall_ms)), float(np.median(self.cpu_ms / other.cpu_ms))


def take_turns(contestants: list[Callable[[], None]], turns: int, warm_up: int = WARM_UP) -> list[Timed]:
    """Run them one after the other, `turns` times after `warm_up` rounds that do not count."""
    times = np.zeros((len(contestants), turns + warm_up, 2))
    for turn in range(turns + warm_up):
        for k, contestant in enumerate(contestants):
            wall, cpu = time.perf_counter(), time.process_time()
            contestant()
            times[k, turn] = time.perf_counter() - wall, time.process_time() - cpu
    return [Timed(*(times[k, warm_up:].T * 1e3)) for k in range(len(contestants))]


@attrs.define(eq=False)
class StageClock:
    """Collects the time between marks, by the mark's name; `begin` before each round."""

    walls: dict[str, list[float]] = attrs.field(factory=dict)
    cpus: dict[str, list[float]] = attrs.field(factory=dict)
    _last: tuple[float, float] = (0.0, 0.0)

    def begin(self) -> None:
        """The first stage starts now."""
        self._last = time.perf_counter(), time.process_time()

    def mark(self, stage: str) -> None:
        """The stage ends now and the next one starts."""
        now = time.perf_counter(), time.process_time()
        self.walls.setdefault(stage, []).append((now[0] - self._last[0]) * 1e3)
        self.cpus.setdefault(stage, []).append((now[1] - self._last[1]) * 1e3)
        self._last = now

    def medians(self) -> dict[str, dict[str, float]]:
        """{stage: {wall_ms, cpu_ms}}, without the rounds of the warm-up."""
        return {
            stage: {
                "wall_ms": float(np.median(self.walls[stage][WARM_UP:])),
                "cpu_ms": float(np.median(self.cpus[stage][WARM_UP:])),
            }
            for stage in self.walls
        }
