# SPDX-License-Identifier: Apache-2.0
"""What the commands that talk to a running service share."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from interchange.client import JobClient
from interchange.connection import Timing
from interchange.errors import InputError
from interchange.messages import JobInfo
from interchange.owner import OwnerClient
from interchange.service_errors import ServiceError

PATIENCE_S = 5.0
MOST_JOBS = 10_000
ONLY_HERE = ("127.", "::1", "localhost")
"""Beginnings of addresses that other computers cannot reach."""


def add_service(parser: argparse.ArgumentParser, what: str = "") -> None:
    """--state."""
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR",
        help=what or "the service's folder, or the connection file of a paired one",
    )  # fmt: skip


def connect(state: Path, cancelled: Callable[[], bool] = lambda: False) -> JobClient:
    """A client that gives up soon: a person is waiting."""
    return JobClient(state, Timing(patience_s=PATIENCE_S), cancelled)


def connect_as_owner(state: Path) -> OwnerClient:
    """The same, for what only the service's own computer may do."""
    return OwnerClient(state, Timing(patience_s=PATIENCE_S))


def find_job(client: JobClient, beginning: str) -> str:
    """The id of the job that begins so, of all that one may see. InputError if none does, or several do."""
    try:
        listed = client.jobs(MOST_JOBS, everybody=True)
    except ServiceError as error:
        if error.code != "AUTH_LOCAL_ONLY":
            raise
        listed = client.jobs(MOST_JOBS)
    jobs = [job.job_id for job in listed]
    found = [beginning] if beginning in jobs else [job_id for job_id in jobs if job_id.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    what = f"{len(found)} jobs begin with {beginning}." if found else f"There is no job {beginning}."
    raise InputError(what, "digidouble jobs lists them.")


def local_time(seconds: float | None) -> str:
    """Unix seconds as people write them."""
    return "never" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def job_line(job: JobInfo) -> str:
    """A job in a line."""
    where = f"{job.stage} {job.fraction:.0%}" if job.state == "running" else ""
    if job.position is not None:
        where = f"after {job.position} others" if job.position else f"next  {job.message}".rstrip()
    reason = job.error.message if job.error is not None and job.state == "failed" else ""
    whose = f"  {job.device}" if job.device else ""
    return f"{job.job_id}  {job.state:<9}  {job.kind}{whose}  {local_time(job.created_at)}  {where}{reason}".rstrip()
