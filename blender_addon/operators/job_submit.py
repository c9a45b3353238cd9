# SPDX-License-Identifier: GPL-3.0-or-later
"""The big button: capture and performer to the backend, the double back into the scene."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..jobs import inbox
from ..jobs.backends import LOCAL_ID
from ..jobs.submission import new_record, what_is_missing
from ..jobs.waiting import wait_for_job
from ._base import Operator


class DIGIDOUBLE_OT_job_submit(Operator, bpy.types.Operator):
    """Send the capture and the performer to the backend, which makes the double; you can go on working meanwhile"""

    bl_idname = "digidouble.job_submit"
    bl_label = "Make Double"
    bl_options = {"REGISTER"}

    wait: BoolProperty(  # type: ignore[valid-type]
        name="Wait",
        description="Return when the double is in the scene. Off: return at once; the job is the first in the list",
        default=True,
        options={"SKIP_SAVE"},
    )

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        desk = inbox.desk_if_any()
        return None if desk is None else what_is_missing(context, desk)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From a button nobody waits."""
        self.wait = self.wait and bpy.app.background
        return self.execute(context)

    def run(self, context: Any) -> set[str] | None:
        """See Operator. A script that does not wait finds the job's id at
        `bpy.context.window_manager.digidouble.compute.jobs[0].job_id`, and it must call
        `blender_addon.jobs.inbox.tick()` now and then if Blender has no window.
        """
        desk = inbox.desk()
        record = desk.submit(new_record(context, desk))
        if record.backend_id == LOCAL_ID and not desk.state_of(LOCAL_ID).reached:
            inbox.start_local(desk)
        context.window_manager.digidouble.compute.active_job = 0
        inbox.tick()
        if self.wait:
            wait_for_job(desk, record, lambda line: print(line, flush=True))
            self.report({"INFO"}, f"{record.name} is in {record.results}.")  # type: ignore[attr-defined]
        else:
            self.report({"INFO"}, f"{record.name} is job {record.job_id}.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_submit)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_submit)
