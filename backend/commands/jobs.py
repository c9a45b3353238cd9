# SPDX-License-Identifier: Apache-2.0
"""List your jobs on a service, newest first, and how the service is."""

from __future__ import annotations

import argparse

from backend.terminal import Terminal
from interchange.server_messages import Stats

from . import _arguments, _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _service.add_service(parser)
    number = _arguments.whole_number(1, 100_000)
    parser.add_argument("--limit", type=number, default=20, metavar="N", help="at most so many (default 20)")
    parser.add_argument("--all", action="store_true", help="those of all computers; where the service runs")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """A line a job."""
    with _service.connect(options.state) as client:
        stats, jobs = client.stats(), client.jobs(options.limit, options.all)
    for line in describe(stats):
        terminal.say(line)
    for job in jobs:
        terminal.say(_service.job_line(job))
    if not jobs:
        terminal.say("There are no jobs." if options.all else "You have no jobs there.")
    return 0


def describe(stats: Stats) -> list[str]:
    """The service in a few lines; what it does not know yet is left out."""
    running, queued = stats.jobs.get("running", 0), stats.jobs.get("queued", 0)
    at_work = f"{running} of {stats.slots} slots at work" if stats.slots else f"{running} at work"
    lines = [f"Digidouble {stats.version or 'of an older kind'}: {at_work}, {queued} waiting"]
    if stats.machine is not None:
        cards = [f"{card.name} ({card.memory / 2**30:.0f} GiB)" for card in stats.machine.gpus]
        lines.append(f"{stats.machine.cpu}, {stats.machine.threads} threads, {', '.join(cards) or 'no GPU'}")
    if stats.engine is not None:
        lines.append(f"A fit takes {stats.engine}. {stats.engine_reason or ''}".rstrip())
    if stats.free_disk is not None:
        lines.append(f"{stats.free_disk / 1e9:.1f} GB of disk free")
    return lines
