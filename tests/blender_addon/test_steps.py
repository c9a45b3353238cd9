# SPDX-License-Identifier: GPL-3.0-or-later
"""Work in steps: the same result in one go and beside Blender's work, errors where they belong, threads not waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from blender_addon.steps import Stepped, Steps, at_once
from interchange.errors import InputError


def _run(stepped: Stepped[Any], timeout_s: float = 10.0) -> int:
    """Step to the end, as a timer would; how many steps that took."""
    until, count = time.monotonic() + timeout_s, 1
    while stepped.step():
        assert time.monotonic() < until
        time.sleep(0.001)
        count += 1
    return count


def _work(log: list[Any]) -> Steps[int]:
    def ask(value: int) -> int:
        log.append(("asked in the main thread", threading.current_thread() is threading.main_thread()))
        return value * 2

    total = 0
    for value in (1, 2, 3):
        total += yield lambda value=value: ask(value)
        log.append(("main", threading.current_thread() is threading.main_thread()))
        yield None
    return total


def test_both_ways_give_the_same() -> None:
    log: list[Any] = []
    assert at_once(_work(log)) == 12
    assert all(is_main for _, is_main in log) and len(log) == 6
    log.clear()
    stepped = Stepped(_work(log))
    _run(stepped)
    assert stepped.result == 12
    assert [is_main for name, is_main in log if name == "main"] == [True] * 3
    assert [is_main for name, is_main in log if name != "main"] == [False] * 3


def _catching(fails: Callable[[], Any], log: list[str]) -> Steps[str]:
    try:
        yield fails
    except InputError as error:
        log.append(error.message)
    try:
        yield fails
    finally:
        log.append("tidied")
    return "never"


@pytest.mark.parametrize("way", [at_once, lambda steps: _run(Stepped(steps))])
def test_errors_of_a_thread_are_raised_where_it_was_asked(way: Callable[[Any], Any]) -> None:
    def fails() -> None:
        raise InputError("No such file.")

    log: list[str] = []
    with pytest.raises(InputError, match="No such file"):
        way(_catching(fails, log))
    assert log == ["No such file.", "tidied"]


def test_a_step_ends_when_its_time_is_over() -> None:
    now, done = [0.0], [0]

    def pieces() -> Steps[None]:
        for _ in range(10):
            now[0] += 0.003
            done[0] += 1
            yield None

    stepped = Stepped(pieces(), budget_s=0.01, clock=lambda: now[0])
    assert stepped.step() and done[0] == 4  # the fourth piece goes over it
    assert stepped.step() and done[0] == 8
    assert not stepped.step() and done[0] == 10


def test_a_slow_thread_is_not_waited_for() -> None:
    gate = threading.Event()

    def asks() -> Steps[bool]:
        return (yield lambda: gate.wait(10))

    stepped = Stepped(asks())
    for _ in range(5):
        begun = time.perf_counter()
        assert stepped.step()
        assert time.perf_counter() - begun < 0.5
    gate.set()
    _run(stepped)
    assert stepped.result is True


def test_closing_takes_back_what_was_begun() -> None:
    log, gate = [], threading.Event()

    def begins() -> Steps[None]:
        log.append("begun")
        try:
            yield lambda: gate.wait(10)
        finally:
            log.append("taken back")

    stepped = Stepped(begins())
    assert stepped.step()
    stepped.close()
    stepped.close()
    gate.set()
    assert log == ["begun", "taken back"]
    Stepped(begins()).close()  # before it has begun
    assert log == ["begun", "taken back"]
