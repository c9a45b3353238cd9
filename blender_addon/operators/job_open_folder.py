# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the results are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .._interchange import errors
from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_open_folder(JobOperator, bpy.types.Operator):
    """Show the folder with the double, its report and its figures"""

    bl_idname = "digidouble.job_open_folder"
    bl_label = "Open Results"

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        return None if record.fetched else "Nothing has been fetched yet"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        if not Path(record.results).is_dir():
            raise errors.InputError(f"The folder {record.results} is gone.", "Retry fetches the results again.")
        if not bpy.app.background:
            bpy.ops.wm.path_open(filepath=record.results)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_open_folder)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_open_folder)
