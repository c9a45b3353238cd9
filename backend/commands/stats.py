# SPDX-License-Identifier: Apache-2.0
"""Say how a service is: its machine, its jobs, its disk, its memory, and what you keep there."""

from __future__ import annotations

import argparse
import json

import attrs

from backend.terminal import Terminal, format_seconds
from interchange.server_messages import Stats

from . import _service
from .jobs import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _service.add_service(parser)
    parser.add_argument("--json", action="store_true", help="for programs: everything as one JSON object")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Ask once."""
    with _service.connect(options.state) as client:
        stats = client.stats()
    if options.json:
        terminal.say(json.dumps(attrs.asdict(stats)))
        return 0
    for line in [*describe(stats), *_details(stats)]:
        terminal.say(line)
    return 0


def _details(stats: Stats) -> list[str]:
    counts = ", ".join(f"{count} {state}" for state, count in sorted(stats.jobs.items())) or "none yet"
    memory = f", {stats.memory / 2**20:.0f} MiB of memory" if stats.memory is not None else ""
    lines = [f"Jobs: {counts}", f"Up for {format_seconds(stats.uptime_s)}, process {stats.pid}{memory}"]
    if stats.used is not None:
        limit = f" of {stats.quota / 1e6:.0f} MB" if stats.quota is not None else ""
        lines.append(f"Your inputs and results there: {stats.used / 1e6:.1f} MB{limit}")
    return lines
