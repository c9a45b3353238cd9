# SPDX-License-Identifier: Apache-2.0
"""What a person sees in the terminal: progress with an ETA, warnings, one-sentence errors."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import TextIO

from interchange.errors import Progress


class Terminal:
    """Prints progress: one line that moves on a terminal, a line every few seconds in a file or a CI log."""

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.stream = stream or sys.stdout
        self.clock = clock
        self.live = self.stream.isatty()
        self._line_is_open = False

    def say(self, text: str) -> None:
        """A line of its own."""
        self._close_line()
        print(text, file=self.stream, flush=True)

    def progress(self, title: str) -> Progress:
        """A progress callback that shows `title`, percent, ETA and the last message."""
        meter = _Meter(title, self.clock())

        def report(stage: str, fraction: float, message: str) -> None:
            now = self.clock()
            line = meter.line(stage, fraction, message, now)
            if self.live and now - meter.shown >= 0.1 or fraction >= 1:
                self._show_live(line, done=fraction >= 1) if self.live else self._show_line(meter, line, fraction, now)
            elif not self.live and (now - meter.shown >= 10 or meter.shown < 0):
                self._show_line(meter, line, fraction, now)
            else:
                return
            meter.shown = now

        return report

    def _show_live(self, line: str, done: bool) -> None:
        width = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be taken back
        self.stream.write("\r\x1b[2K" + line[:width])
        self.stream.flush()
        self._line_is_open = not done
        if done:
            self.stream.write("\n")

    def _show_line(self, meter: _Meter, line: str, fraction: float, now: float) -> None:
        if fraction >= 1 and meter.finished:
            return
        meter.finished = fraction >= 1
        print(line, file=self.stream, flush=True)

    def _close_line(self) -> None:
        if self._line_is_open:
            self.stream.write("\n")
            self._line_is_open = False


class _Meter:
    """Turns fractions into a line with an ETA; a stage that starts anew starts a new estimate."""

    def __init__(self, title: str, start: float) -> None:
        self.title, self.start, self.stage = title, start, ""
        self.first = 0.0
        self.shown = -1.0
        self.finished = False

    def line(self, stage: str, fraction: float, message: str, now: float) -> str:
        if stage != self.stage:
            self.stage, self.start, self.first, self.finished = stage, now, fraction, False
        done, elapsed = fraction - self.first, now - self.start
        remaining = elapsed / done * (1 - fraction) if done > 0.01 else None
        shown = remaining is not None and fraction < 1 and " left" not in message  # a stage may know better itself
        eta = f", {format_seconds(remaining or 0)} left" if shown else ""
        label = f"{self.title}: {stage}" if stage and stage != self.title else self.title
        return f"  {label:<24} {min(fraction, 1):4.0%}{eta}  {message}".rstrip()


def format_seconds(seconds: float) -> str:
    """4 s, 1:23 min or 2:03 h."""
    seconds = max(0, round(seconds))
    if seconds < 100:
        return f"{seconds} s"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes}:{rest:02d} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02d} h"


@contextlib.contextmanager
def stop_on_interrupt() -> Iterator[Callable[[], bool]]:
    """Inside, the first Ctrl-C only makes the yielded function say True, so that work can save what it has; the second
    one interrupts as usual.
    """
    asked = threading.Event()

    def ask(*_: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        print("\nStopping; Ctrl-C again stops at once.", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
