# SPDX-License-Identifier: GPL-3.0-or-later
"""All jobs, newest first, and the one that is chosen: how far, how it looks, what can be done."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import inbox
from ..jobs.records import AT_THE_BACKEND, DONE, ENDED, FAILED, ON_ITS_WAY
from ._base import Panel, order, sentence

ICONS = {
    "PREPARING": "FILE_REFRESH", "UPLOADING": "EXPORT", "QUEUED": "SORTTIME", "RUNNING": "MOD_PARTICLES",
    "FETCHING": "IMPORT", "IMPORTING": "IMPORT", "DONE": "CHECKMARK", "FAILED": "ERROR", "CANCELLED": "CANCEL",
}  # fmt: skip
PREVIEW_SCALE = 8.0


class DIGIDOUBLE_UL_jobs(bpy.types.UIList):
    """Jobs with their state"""

    def draw_item(  # noqa: PLR0913 (Blender's signature)
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active_data: Any, active_property: Any,
        index: int = 0, flt_flag: int = 0,
    ) -> None:  # fmt: skip
        """Called by Blender."""
        split = layout.split(factor=0.35)
        split.label(text=item.name, icon="TIME" if item.waiting else ICONS[item.state])
        split.label(text="Waiting" if item.waiting else item.headline)


class DIGIDOUBLE_PT_jobs(Panel, bpy.types.Panel):
    """Everything that was sent to a backend, also before Blender was closed the last time"""

    bl_idname = "DIGIDOUBLE_PT_jobs"
    bl_label = "Jobs"
    bl_order = order("jobs")

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, width = self.layout, context.region.width
        compute = context.window_manager.digidouble.compute
        inbox.desk_if_any()
        job = compute.job()
        if job is None:
            layout.label(text="No jobs yet", icon="INFO")
            return
        layout.template_list("DIGIDOUBLE_UL_jobs", "", compute, "jobs", compute, "active_job", rows=3, maxrows=8)
        _draw_progress(layout, job, width)
        icon = inbox.picture_of(job)
        if icon and job.state.lower() not in ENDED:
            layout.template_icon(icon_value=icon, scale=PREVIEW_SCALE)
        _draw_words(layout, job, width)
        _draw_buttons(layout, job)


def _draw_progress(layout: Any, job: Any, width: int) -> None:
    state = job.state.lower()
    if state in ENDED:
        return
    row = layout.row(align=True)
    row.progress(factor=job.fraction, text=job.headline)
    row.operator("digidouble.job_cancel", text="", icon="X")
    if job.waiting:
        sentence(layout, f"Waiting for the backend: {job.waiting}", width, "ERROR", alert=True)
        if job.backend_id == "local" and state in (*AT_THE_BACKEND, *ON_ITS_WAY, "fetching"):
            layout.operator("digidouble.backend_start", icon="PLAY")
    if not job.is_ours:
        sentence(layout, "Another Blender looks after this job.", width, "INFO")


def _draw_words(layout: Any, job: Any, width: int) -> None:
    if job.is_problem:
        row = layout.row(align=True)
        sentence(row.column(), job.sentence, width - 30, "ERROR", alert=True)
        row.operator("digidouble.job_copy_sentence", text="", icon="COPYDOWN")
    elif job.sentence:
        sentence(layout, job.sentence, width, "BLANK1")


def _draw_buttons(layout: Any, job: Any) -> None:
    state = job.state.lower()
    if state not in ENDED:
        return
    row = layout.row(align=True)
    if state == DONE:
        row.operator("digidouble.job_import", icon="IMPORT")
        row.operator("digidouble.job_mesh_double", text="", icon="MESH_DATA")
        row.operator("digidouble.job_open_folder", text="Folder", icon="FILE_FOLDER")
    else:
        text = "Retry" if state == FAILED else "Resume"
        row.operator("digidouble.job_retry", text=text, icon="FILE_REFRESH")
    row.operator("digidouble.job_remove", text="", icon="TRASH")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_UL_jobs)
    bpy.utils.register_class(DIGIDOUBLE_PT_jobs)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_PT_jobs)
    bpy.utils.unregister_class(DIGIDOUBLE_UL_jobs)
