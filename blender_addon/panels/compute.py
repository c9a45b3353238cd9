# SPDX-License-Identifier: GPL-3.0-or-later
"""Where to compute, what to make, and the button."""

from __future__ import annotations

from typing import Any

import bpy

from ..jobs import inbox
from ..jobs.submission import what_is_missing
from ._base import Panel, order, sentence


class DIGIDOUBLE_UL_backends(bpy.types.UIList):
    """This computer and the paired ones"""

    def draw_item(  # noqa: PLR0913 (Blender's signature)
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active_data: Any, active_property: Any,
        index: int = 0, flt_flag: int = 0,
    ) -> None:  # fmt: skip
        """Called by Blender."""
        split = layout.split(factor=0.6)
        split.label(text=item.name, icon="DESKTOP" if item.is_local else "NETWORK_DRIVE")
        if item.busy:
            split.label(text=item.busy, icon="SORTTIME")
        elif item.waiting:
            split.label(text="Silent", icon="ERROR")
        else:
            split.label(text="Ready" if item.reached else "", icon="CHECKMARK" if item.reached else "BLANK1")


class DIGIDOUBLE_PT_compute(Panel, bpy.types.Panel):
    """Where the double is computed, how good it becomes, and the button that sends it there"""

    bl_idname = "DIGIDOUBLE_PT_compute"
    bl_label = "Compute"
    bl_order = order("compute")

    def draw(self, context: Any) -> None:
        """Called by Blender."""
        layout, width = self.layout, context.region.width
        compute = context.window_manager.digidouble.compute
        desk = inbox.desk_if_any()
        _draw_backends(layout, compute, width)
        settings = context.scene.digidouble.job
        layout.row().prop(settings, "kind", expand=True)
        layout.prop(settings, "quality")
        _draw_more(layout, settings)
        layout.prop(settings, "import_when_done")
        row = layout.row()
        row.scale_y = 1.6
        text = "Make Double" if settings.kind == "DOUBLE" else "Make Gaussians"
        row.operator("digidouble.job_submit", text=text, icon="PLAY")
        missing = what_is_missing(context, desk) if desk is not None else None
        if missing:
            sentence(layout, missing, width, "INFO")


def _draw_backends(layout: Any, compute: Any, width: int) -> None:
    row = layout.row()
    row.template_list(
        "DIGIDOUBLE_UL_backends", "", compute, "backends", compute, "active_backend", rows=2, maxrows=4
    )
    column = row.column(align=True)
    column.operator("digidouble.backend_add", text="", icon="ADD")
    column.operator("digidouble.backend_remove", text="", icon="REMOVE")
    chosen = compute.backend()
    if chosen is None:
        return
    row = layout.row(align=True)
    if chosen.is_local:
        if chosen.reached:
            row.operator("digidouble.backend_stop", text=chosen.busy or "Stop", icon="PAUSE")
        else:
            row.operator("digidouble.backend_start", text=chosen.busy or "Start", icon="PLAY")
    row.operator("digidouble.backend_test", icon="LINKED")
    if chosen.sentence:
        sentence(layout, chosen.sentence, width, "INFO" if chosen.is_local else "ERROR")
    for line in chosen.lines.splitlines():
        sentence(layout, line, width, "DOT")
    if chosen.fingerprint:
        sentence(layout, f"{chosen.endpoint}: {chosen.fingerprint}", width, "LOCKED")
    if compute.notice:
        sentence(layout, compute.notice, width, "INFO")


def _draw_more(layout: Any, settings: Any) -> None:
    header, body = layout.panel("DIGIDOUBLE_compute_more", default_closed=True)
    header.label(text="Show More")
    if body is None:
        return
    body.use_property_split, body.use_property_decorate = True, False
    column = body.column(align=True)
    for name in ("splats", "iterations", "sh_degree", "time_limit_s"):
        column.prop(settings, name)
    column = body.column(align=True)
    for name in ("densify", "detail", "seed"):
        column.prop(settings, name)
    if settings.kind == "DOUBLE":
        column = body.column(align=True)
        onnx = ("onnx_model", "onnx_recogniser") if settings.swapper == "ONNX" else ()
        eyes, shape = (("eye_colour",), ("shape",)) if settings.swapper == "UV" else ((), ())
        for name in ("swapper", *onnx, "photos", "tone", *eyes, "strength", *shape, "delight"):
            column.prop(settings, name)
        body.prop(settings, "fetch_views")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_UL_backends)
    bpy.utils.register_class(DIGIDOUBLE_PT_compute)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_PT_compute)
    bpy.utils.unregister_class(DIGIDOUBLE_UL_backends)
