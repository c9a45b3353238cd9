# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's shape and skin on the avatar's own mesh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ..display.mesh_double import take_over
from ..jobs.records import JobRecord
from ._jobs import JobOperator


class DIGIDOUBLE_OT_job_mesh_double(JobOperator, bpy.types.Operator):
    """Give the avatar's mesh the performer's skin, and the shape as a shape key if the job changed it"""

    bl_idname = "digidouble.job_mesh_double"
    bl_label = "Take Over to Mesh"
    bl_options = {"REGISTER", "UNDO"}

    @classmethod
    def refuse(cls, record: JobRecord) -> str | None:
        """See JobOperator."""
        if not record.fetched:
            return "Nothing has been fetched yet"
        return None if (Path(record.results) / "swapped").is_dir() else "This job made Gaussians only"

    def act(self, context: Any, record: JobRecord) -> None:
        """See JobOperator."""
        taken = take_over(Path(record.results) / "swapped", context)
        shape = f"shape on {', '.join(taken.parts)}" if taken.parts else "no new shape"
        eyes = ", new eye colour" if taken.eyes else ""
        self.report({"INFO"}, f"{'New skin' if taken.skin else 'No new skin'}{eyes}, {shape}.")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_job_mesh_double)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_job_mesh_double)
