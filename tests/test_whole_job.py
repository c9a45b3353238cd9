# SPDX-License-Identifier: Apache-2.0
"""What the client's side of a whole job remembers; the job itself is in test_demo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend.ledger import Ledger
from backend.terminal import Terminal
from backend.whole_job import JobPlan, fetch_step, is_fetched


class Shelf:
    """Plays the client: "downloads" fixed files."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def download(self, *_: Any, **__: Any) -> list[Path]:
        paths = [self.root / name for name in ("double/splats.ply", "double/metrics.json", "swapped/views/a.exr")]
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("whole")
        return paths


@pytest.fixture
def plan(tmp_path: Path) -> JobPlan:
    return JobPlan(tmp_path, tmp_path / "a.blend", "a", 4, 1, 64, 1, (), {})


def fetch(plan: JobPlan) -> Ledger:
    ledger = Ledger(plan.root / "ledger.json", {})
    fetch_step(plan, ledger, Shelf(plan.root), "id", Terminal())  # type: ignore[arg-type]
    return Ledger(plan.root / "ledger.json", {})


def test_what_was_fetched_is_not_fetched_again(plan: JobPlan) -> None:
    assert not is_fetched(plan, Ledger(plan.root / "ledger.json", {}))
    ledger = fetch(plan)
    assert is_fetched(plan, ledger)
    (plan.double / "metrics.json").write_text("completed on this side")
    assert is_fetched(plan, ledger)


@pytest.mark.parametrize("name", ["double/splats.ply", "swapped/views/a.exr"])
def test_a_result_that_was_damaged_or_deleted_is_fetched_again(plan: JobPlan, name: str) -> None:
    ledger = fetch(plan)
    (plan.root / name).write_text("cut")
    assert not is_fetched(plan, ledger)
    ledger = fetch(plan)
    assert is_fetched(plan, ledger)
    (plan.root / name).unlink()
    assert not is_fetched(plan, ledger)
