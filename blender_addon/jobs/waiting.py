# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for a job where nobody looks on: scripts, and Blender without a window."""

from __future__ import annotations

from collections.abc import Callable

from .._interchange import errors
from . import inbox
from .desk import Desk
from .records import CANCELLED, FAILED, JobRecord


def wait_for_job(desk: Desk, record: JobRecord, tell: Callable[[str], None], timeout_s: float | None = None) -> bool:
    """Take in what the backend says until the job has ended; `tell` gets a line whenever there is news.

    False if that took longer than `timeout_s`; the job goes on. Raises InputError if it failed or could not be shown,
    Cancelled if it was stopped, by Ctrl-C too.
    """
    told = ""

    def has_ended() -> bool:
        nonlocal told
        waiting = desk.state_of(record.backend_id).waiting
        line = f"{record.name}: {record.headline}" + (f" ({waiting})" if waiting and not record.ended else "")
        if line != told:
            tell(line)
            told = line
        return record.ended

    try:
        if not inbox.wait_for(has_ended, timeout_s):
            return False
    except KeyboardInterrupt:
        desk.cancel(record)
        raise errors.Cancelled from None
    if record.state == CANCELLED:
        raise errors.Cancelled
    if record.state == FAILED or record.problem:
        raise errors.InputError(record.problem, record.hint)
    return True
