# SPDX-License-Identifier: Apache-2.0
"""The ledger of a long job: what is done stays done, seconds add up, other settings are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.ledger import Ledger
from interchange.errors import InputError


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_interrupted_step_is_not_done_but_its_seconds_count(tmp_path: Path) -> None:
    clock = Clock()
    ledger = Ledger(tmp_path / "ledger.json", {"size": 320}, clock)
    with pytest.raises(KeyboardInterrupt), ledger.step("capture"):
        clock.now = 5
        raise KeyboardInterrupt
    again = Ledger(tmp_path / "ledger.json", {"size": 320}, clock)
    assert not again.is_done("capture") and again.seconds("capture") == 5
    with again.step("capture"):
        clock.now = 8
    assert again.is_done("capture") and again.seconds() == 8


def test_notes_survive(tmp_path: Path) -> None:
    Ledger(tmp_path / "ledger.json", {}).note("job_id", "abc")
    assert Ledger(tmp_path / "ledger.json", {}).noted("job_id") == "abc"


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    with Ledger(tmp_path / "ledger.json", {"target": "ada", "size": 320}).step("capture"):
        pass
    with pytest.raises(InputError, match="size was 320, now 512"):
        Ledger(tmp_path / "ledger.json", {"target": "ada", "size": 512})
    assert json.loads((tmp_path / "ledger.json").read_text())["settings"]["size"] == 320


def test_of_nested_settings_only_those_that_differ_are_named(tmp_path: Path) -> None:
    views = {"train": 48, "size": 320}
    before = {"views": views, "parameters": {"swap": {"tone": 1.0}, "fit": {"splats": 4000, "seed": 0}}}
    with Ledger(tmp_path / "ledger.json", before).step("capture"):
        pass
    now = {"views": views | {"size": 512}, "parameters": {"swap": {"tone": 1.0}, "fit": {"splats": 5000, "seed": 0}}}
    with pytest.raises(InputError) as caught:
        Ledger(tmp_path / "ledger.json", now)
    assert "(views.size was 320, now 512; parameters.fit.splats was 4000, now 5000)" in str(caught.value)
    assert "tone" not in str(caught.value) and "seed" not in str(caught.value)


def test_settings_may_change_as_long_as_nothing_was_made_with_them(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.json", {"target": "adda"})
    with pytest.raises(InputError), ledger.step("target"):
        raise InputError("There is no identity 'adda'.")
    Ledger(tmp_path / "ledger.json", {"target": "ada"})
    assert json.loads((tmp_path / "ledger.json").read_text())["settings"] == {"target": "ada"}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"settings": 3}', '{"settings": {}, "steps": {"capture": 3}, "notes": {}}', "[" * 100_000],
    ids=["empty", "cut", "list", "number", "step", "deep"],
)
def test_a_damaged_ledger_is_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "ledger.json").write_text(text)
    with pytest.raises(InputError, match="damaged"):
        Ledger(tmp_path / "ledger.json", {})
