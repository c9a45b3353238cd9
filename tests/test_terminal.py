# SPDX-License-Identifier: Apache-2.0
"""Progress in a log and on a terminal."""

from __future__ import annotations

import io
import os
import signal

import pytest

from backend.terminal import Terminal, format_seconds, stop_on_interrupt


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def feed(stream: io.StringIO, step: float, count: int) -> str:
    times = iter(i * step for i in range(count + 2))
    terminal = Terminal(stream, clock=lambda: next(times))
    progress = terminal.progress("fit")
    for i in range(count + 1):
        progress("fit", i / count, f"step {i}")
    return stream.getvalue()


def test_a_log_gets_a_line_now_and_then_and_one_at_the_end() -> None:
    lines = feed(io.StringIO(), step=1, count=60).splitlines()
    assert 5 <= len(lines) <= 9
    assert "left" in lines[2] and lines[-1].split()[:2] == ["fit", "100%"]


def test_a_terminal_gets_one_line_that_moves() -> None:
    text = feed(FakeTerminal(), step=1, count=10)
    assert text.count("\n") == 1 and text.count("\r") == 11


def test_a_line_that_moves_never_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    stream = FakeTerminal()
    Terminal(stream).progress("fit")("fit", 0.5, "preparing the optimiser (compiled when it first runs)")
    assert len(stream.getvalue().removeprefix("\r\x1b[2K")) == 39


def test_seconds_in_words() -> None:
    assert [format_seconds(s) for s in (4.2, 83, 130, 8000)] == ["4 s", "83 s", "2:10 min", "2:13 h"]


def test_the_first_interrupt_asks_and_the_second_stops(capsys) -> None:
    before = signal.getsignal(signal.SIGINT)  # ignored, where the tests run in the background
    with stop_on_interrupt() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupted() and "again" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
