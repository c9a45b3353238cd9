# SPDX-License-Identifier: Apache-2.0
"""Delete a job that has ended, with its files and results on the service. What you have fetched stays yours."""

from __future__ import annotations

import argparse

from backend.terminal import Terminal
from interchange.errors import InputError

from . import _service


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("jobs", nargs="+", metavar="JOB", help="an id, as digidouble jobs lists it, or its beginning")
    _service.add_service(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """One after the other."""
    with _service.connect(options.state) as client:
        mine = {job.job_id for job in client.jobs(_service.MOST_JOBS)}
        for beginning in options.jobs:
            job_id = _service.find_job(client, beginning)
            if job_id not in mine:
                raise InputError(f"Job {job_id} is another computer's.", "Delete it there, or see digidouble gc.")
            client.delete(job_id)
            terminal.say(f"Job {job_id} is deleted.")
    return 0
