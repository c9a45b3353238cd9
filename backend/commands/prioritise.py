# SPDX-License-Identifier: Apache-2.0
"""Let a waiting job come before, or after, your others. Other computers' jobs have their turns all the same."""

from __future__ import annotations

import argparse

from backend.terminal import Terminal

from . import _arguments, _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("job", metavar="JOB", help="its id, as digidouble jobs lists it, or the beginning of it")
    _service.add_service(parser)
    parser.add_argument(
        "--priority", type=_arguments.whole_number(-100, 100), default=10, metavar="N",
        help="-100 to 100, the highest comes first; what was not prioritised has 0 (default 10)",
    )  # fmt: skip


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Ask, and say where it stands now."""
    with _service.connect(options.state) as client:
        job = client.prioritise(_service.find_job(client, options.job), options.priority)
    terminal.say(_service.job_line(job))
    return 0
