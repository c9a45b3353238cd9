# SPDX-License-Identifier: Apache-2.0
"""What happened to a job.

On the service's own computer: everything that its worker printed, attempt by attempt. From elsewhere: its states, its
warnings and its error.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from backend.service.settings import Settings
from backend.terminal import Terminal
from interchange.errors import Cancelled
from interchange.messages import Event

from . import _service

PAUSE_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("job", metavar="JOB", help="its id, as digidouble jobs lists it, or the beginning of it")
    _service.add_service(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Print and return; digidouble watch follows."""
    with _service.connect(options.state) as client:
        job_id = _service.find_job(client, options.job)
        error = client.get(job_id).error
    for event in past_events(options.state, job_id):
        terminal.say(line_of(event))
    for path in log_files(options.state, job_id):
        terminal.say(f"--- {path}")
        terminal.say(path.read_text(encoding="utf-8", errors="replace").rstrip())
    if error is not None and error.detail:
        terminal.say("--- detail")
        terminal.say(error.detail.rstrip())
    return 0


def past_events(state: Path, job_id: str, clock: Callable[[], float] = time.monotonic) -> list[Event]:
    """States and log lines so far: what comes without a pause."""
    heard = [clock()]
    events = []
    with _service.connect(state, lambda: clock() > heard[0] + PAUSE_S) as client, contextlib.suppress(Cancelled):
        for event in client.watch(job_id):
            if event.kind != "progress":
                events.append(event)
                heard[0] = clock()
    return events


def line_of(event: Event) -> str:
    """A state or a log line, with its time."""
    what = f"{event.level or 'info'}: {event.message or ''}" if event.kind == "log" else str(event.state)
    if event.error is not None:
        what += f": {event.error.message} {event.error.hint}".rstrip()
    attempt = f" (attempt {event.attempt})" if event.state == "running" else ""
    return f"{_service.local_time(event.at)}  {what}{attempt}"


def log_files(state: Path, job_id: str) -> list[Path]:
    """The logs of a job's attempts, if the service's folder was given; in order."""
    folder = Settings(state).job_folder(job_id).log(1).parent
    return sorted(folder.glob("attempt-*.log"), key=lambda path: int(path.stem.rpartition("-")[2]))
