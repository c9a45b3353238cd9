# SPDX-License-Identifier: GPL-3.0-or-later
"""The job's last words, for the clipboard."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_copy_sentence(JobOperator, bpy.types.Operator):
    """Copy what the job says, with its name and backend, so that it can be sent to somebody"""

    bl_idname = "digidouble.job_copy_sentence"
    bl_label = "Copy Message"

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        return None if record.sentence else "The job says nothing"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        text = f"{record.name} ({record.job_id}, backend {record.backend_id}): {record.headline}. {record.sentence}"
        context.window_manager.clipboard = text


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_copy_sentence)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_copy_sentence)
