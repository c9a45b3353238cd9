# SPDX-License-Identifier: Apache-2.0
"""The form of a benchmark's result."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import service
from benchmarks.bars import Bar, Outcome, write_json
from benchmarks.demo import resident_bytes
from benchmarks.service_parts.turns import run_crowd, worst_waits


@pytest.mark.parametrize(
    ("bar", "holds"),
    [
        (Bar("a", 3, "s", at_most=3), True),
        (Bar("a", 3.1, "s", at_most=3), False),
        (Bar("a", 3, "dB", at_least=2), True),
        (Bar("a", None, "dB", at_least=2), False),
        (Bar("a", 5), None),
    ],
)
def test_a_bar_holds_or_not(bar: Bar, holds: bool | None) -> None:
    assert bar.holds is holds


def test_json_form(tmp_path: Path) -> None:
    write_json(tmp_path / "b.json", [Bar("psnr", 36.5, "dB", at_least=36)])
    result = json.loads((tmp_path / "b.json").read_text())
    assert result["bars"] == [{"name": "psnr", "value": 36.5, "unit": "dB", "bar": ">= 36", "holds": True}]
    assert set(result["context"]) == {"commit", "machine", "versions"} and result["tables"] == {}


def test_tables_stand_beside_the_bars(tmp_path: Path) -> None:
    outcome = Outcome([Bar("a", 1)], {"rows": [1, 2]})
    assert Outcome.of(outcome) is outcome and Outcome.of([]).tables == {}
    write_json(tmp_path / "b.json", outcome.bars, outcome.tables)
    assert json.loads((tmp_path / "b.json").read_text())["tables"] == {"rows": [1, 2]}


def test_list_names_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--list"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(command.BENCHMARKS)


def test_memory_of_a_process_tree() -> None:
    assert 10e6 < resident_bytes(os.getpid()) < 64e9


def test_the_service_gives_everybody_a_turn(tmp_path: Path) -> None:
    """A small crowd; the whole one is slow (tests/service/test_long.py)."""
    with service.running(tmp_path / "state") as connection:
        crowd = run_crowd(connection, tmp_path, clients=2, few=2, many=6, idle_s=0.5)
    waits = worst_waits(crowd.turns)
    assert len(crowd.turns) == 10 and len(waits) == 3
    assert max(wait.of_one for wait in waits.values()) <= 2
