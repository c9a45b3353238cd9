# SPDX-License-Identifier: Apache-2.0
"""The one form of a benchmark's result: figures with the bars they are held to, and where they were measured."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs

from backend.provenance import current_commit, software_versions

ROOT = Path(__file__).resolve().parent.parent


@attrs.frozen
class Bar:
    """A figure and its bar: `at_least` and `at_most` in the figure's own unit; neither means that it is only shown."""

    name: str
    value: float | None
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bar(self) -> str:
        """The bar in words."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most is not None else ""

    @property
    def holds(self) -> bool | None:
        """Whether the bar is met; None if there is none. An unknown figure meets no bar."""
        if self.at_least is None and self.at_most is None:
            return None
        if self.value is None:
            return False
        above = self.at_least is None or self.value >= self.at_least
        return above and (self.at_most is None or self.value <= self.at_most)


@attrs.frozen(eq=False)
class Outcome:
    """What a benchmark's `run` returns if it has more to tell than bars: tables by name, which only the JSON shows."""

    bars: list[Bar]
    tables: dict[str, Any] = attrs.field(factory=dict)

    @classmethod
    def of(cls, result: list[Bar] | Outcome) -> Outcome:
        """A benchmark without tables returns its bars alone."""
        return result if isinstance(result, Outcome) else cls(result)


def context() -> dict[str, Any]:
    """Commit, machine, versions."""
    return {
        "commit": current_commit(ROOT),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.platform(terse=True)},
        "versions": software_versions(),
    }


def cpu_name() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_table(bars: Iterable[Bar]) -> None:
    """One line a figure."""
    for item in bars:
        value = "unknown" if item.value is None else f"{item.value:.4g}"
        verdict = {True: "holds", False: "SHORT", None: ""}[item.holds]
        print(f"{item.name:<44} {value:>10} {item.unit:<6} {item.bar:<10} {verdict}".rstrip())


def write_json(path: Path, bars: Iterable[Bar], tables: dict[str, Any] | None = None) -> None:
    """{"bars": [{name, value, unit, bar, holds}], "tables": {...}, "context": {commit, machine, versions}}."""
    rows = [{"name": b.name, "value": b.value, "unit": b.unit, "bar": b.bar, "holds": b.holds} for b in bars]
    path.write_text(json.dumps({"bars": rows, "tables": tables or {}, "context": context()}, indent=1) + "\n")
