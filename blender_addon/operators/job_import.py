# SPDX-License-Identifier: GPL-3.0-or-later
"""Into the scene, now."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import arrival
from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_import(JobOperator, bpy.types.Operator):
    """Put the fetched double into the open scene"""

    bl_idname = "digidouble.job_import"
    bl_label = "Import"

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        return None if record.fetched else "Nothing has been fetched yet"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        arrival.put_into_scene(context, record)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_import)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_import)
