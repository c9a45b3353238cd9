# SPDX-License-Identifier: Apache-2.0
"""Make room on a service's disk: delete jobs that ended long ago, uploads that nobody goes on with, files of no job.

Nothing else is deleted, and jobs only with --older-than, or if the service's settings say how long they are kept.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.service.offline import collect_garbage
from backend.terminal import Terminal
from interchange.local_server import find_local_server
from interchange.messages import GcReport

from . import _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _service.add_service(parser, "the service's folder; it may run or not")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    parser.add_argument(
        "--older-than", type=_days, metavar="DAYS", help="jobs that ended longer ago (default: as the service is set)"
    )


def _days(text: str) -> float:
    value = float(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return value


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Ask the service, or do it in its place."""
    older_s = None if options.older_than is None else options.older_than * 86400
    report = _collect(options.state, options.dry_run, older_s)
    for job_id in report.jobs:
        terminal.say(f"job {job_id}")
    verb = "would be" if options.dry_run else "are"
    what = f"{len(report.jobs)} jobs and {report.others} files and folders of no job"
    terminal.say(f"{what} {verb} deleted, {report.size / 1e6:.1f} MB come free.")
    return 0


def _collect(state: Path, dry_run: bool, older_s: float | None) -> GcReport:
    if find_local_server(state) is None:
        return collect_garbage(state, dry_run, older_s)
    with _service.connect_as_owner(state) as client:
        return client.collect_garbage(dry_run, older_s)
