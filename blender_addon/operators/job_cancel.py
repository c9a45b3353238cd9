# SPDX-License-Identifier: GPL-3.0-or-later
"""Enough of this job."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import inbox
from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_cancel(JobOperator, bpy.types.Operator):
    """Stop the job; what the backend has done so far is kept, so Retry goes on from there"""

    bl_idname = "digidouble.job_cancel"
    bl_label = "Cancel Job"

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        if record.ended:
            return "The job has ended"
        return None if inbox.desk().is_ours(record) else "Another Blender looks after this job"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        inbox.desk().cancel(record)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_cancel)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_cancel)
