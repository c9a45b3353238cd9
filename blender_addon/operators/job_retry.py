# SPDX-License-Identifier: GPL-3.0-or-later
"""Again, from where it stopped."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import inbox
from ..jobs.backends import LOCAL_ID
from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_retry(JobOperator, bpy.types.Operator):
    """Take the job up again where it stopped; nothing is sent or computed twice"""

    bl_idname = "digidouble.job_retry"
    bl_label = "Retry"

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        return None if record.ended else "The job is still going on"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        desk = inbox.desk()
        desk.retry(record)
        if record.backend_id == LOCAL_ID and not desk.state_of(LOCAL_ID).reached:
            inbox.start_local(desk)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_retry)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_retry)
