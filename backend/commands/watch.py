# SPDX-License-Identifier: Apache-2.0
"""Follow a job until it ends. Ctrl-C stops watching, not the job."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.terminal import Terminal, stop_on_interrupt
from interchange import messages as wire
from interchange.errors import Cancelled, Progress
from interchange.service_errors import ErrorInfo, raise_error
from interchange.whole_files import whole_file

from . import _arguments, _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("job", metavar="JOB", help="its id, as digidouble jobs lists it, or the beginning of it")
    _service.add_service(parser)
    parser.add_argument(
        "--preview", type=_arguments.new_path, metavar="FILE", help="a PNG of what the job makes, renewed as it comes"
    )


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """0 if the job succeeded; its own sentence if not; 130 if it was cancelled."""
    with stop_on_interrupt() as interrupted, _service.connect(options.state, interrupted) as client:
        job_id = _service.find_job(client, options.job)
        progress = terminal.progress(f"job {job_id[:8]}")
        try:
            for news in client.watch(job_id, previews=options.preview is not None):
                if isinstance(news, wire.Preview):
                    keep(options.preview, news.data)
                else:
                    tell(news, terminal, progress)
        except Cancelled:
            terminal.say("The job goes on.")
            return 0
        job = client.get(job_id)
    if job.state != wire.SUCCEEDED:
        raise_error(job.error or ErrorInfo("INTERNAL", f"The job ended as {job.state}."))
    return 0


def keep(path: Path, png: bytes) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as file:
        file.write(png)


def tell(event: wire.Event, terminal: Terminal, progress: Progress) -> None:
    """One event."""
    if event.kind == "progress":
        progress(event.stage or "", event.fraction or 0.0, event.message or "")
    elif event.kind == "log":
        terminal.say(f"  {event.level or 'info'}: {event.message or ''}")
    elif event.state is not None:
        again = f" (attempt {event.attempt})" if event.state == wire.RUNNING and (event.attempt or 0) > 1 else ""
        terminal.say(f"  {event.state}{again}")
