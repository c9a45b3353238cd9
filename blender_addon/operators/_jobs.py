# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators of jobs and backends share."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors
from ..jobs import inbox
from ..jobs.backends import LOCAL_ID, Backend
from ..jobs.desk import Desk
from ..jobs.records import JobRecord
from ._base import Operator


class JobOperator(Operator):
    """Works on the job `job_id`, or on the one chosen in the list. Subclasses write `refuse` and `act`."""

    bl_options = {"INTERNAL"}

    job_id: StringProperty(options={"SKIP_SAVE", "HIDDEN"})  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator; scripts that name a job are judged in `run`."""
        chosen = context.window_manager.digidouble.compute.job()
        desk = inbox.desk_if_any()
        if chosen is None or desk is None or chosen.job_id not in desk.records:
            return None if desk is not None and desk.records else "There are no jobs"
        return cls.refuse(desk.records[chosen.job_id])

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """Why this job cannot be treated so, or None."""
        return None

    def act(self, context: Any, record: JobRecord) -> None:
        """Do it."""
        raise NotImplementedError

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        record = self._record(context)
        reason = self.refuse(record)
        if reason is not None:
            raise errors.InputError(f"{reason}.")
        self.act(context, record)
        inbox.tick()
        return None

    def _record(self, context: Any) -> JobRecord:
        chosen = context.window_manager.digidouble.compute.job()
        job_id = self.job_id or (chosen.job_id if chosen is not None else "")
        record = inbox.desk().records.get(job_id)
        if record is None:
            raise errors.InputError("There is no such job.", "Choose one in the list.")
        return record


class LocalBackendOperator(Operator):
    """Starts or stops this computer's backend. Subclasses write `begin`."""

    bl_options = {"INTERNAL"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        try:
            inbox.installation()
        except errors.InputError as error:
            return str(error)
        desk = inbox.desk_if_any()
        return "It is starting or stopping" if desk is not None and desk.state_of(LOCAL_ID).busy else None

    def begin(self, desk: Desk) -> None:
        """Have a thread do it."""
        raise NotImplementedError

    def run(self, context: Any) -> set[str] | None:
        """See Operator. Without a window it returns when it is done."""
        desk = inbox.desk()
        self.begin(desk)
        inbox.tick()
        if bpy.app.background:
            inbox.finish_errand(desk, LOCAL_ID)
        return None


def active_backend() -> Backend:
    """The one that is chosen in the panel. Raises InputError if Blender's user folder cannot be written."""
    desk = inbox.desk()
    return desk.backends.find(desk.backends.active)
