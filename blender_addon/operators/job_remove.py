# SPDX-License-Identifier: GPL-3.0-or-later
"""Out of the list."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import inbox
from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_remove(JobOperator, bpy.types.Operator):
    """Take the job out of the list; its results stay on the disk"""

    bl_idname = "digidouble.job_remove"
    bl_label = "Remove from List"

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        return None if record.ended else "The job is still going on: cancel it first"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        inbox.desk().remove(record)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_remove)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_remove)
