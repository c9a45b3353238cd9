# SPDX-License-Identifier: Apache-2.0
"""Stop a job. What it has finished stays: submitted again under its id, it goes on from there."""

from __future__ import annotations

import argparse

from backend.terminal import Terminal

from . import _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("job", metavar="JOB", help="its id, as digidouble jobs lists it, or the beginning of it")
    _service.add_service(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Ask, and wait until it has stopped."""
    with _service.connect(options.state) as client:
        job_id = _service.find_job(client, options.job)
        before = client.get(job_id)
        if not before.is_final:
            client.cancel(job_id)
            for _ in client.watch(job_id):
                pass
        job = client.get(job_id)
    late = " It had ended already." if before.is_final else ""
    terminal.say(f"Job {job_id} is {job.state}.{late}")
    return 0
