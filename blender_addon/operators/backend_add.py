# SPDX-License-Identifier: GPL-3.0-or-later
"""Pair with a box by the line that `digidouble pair` prints there."""

from __future__ import annotations

import platform
from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors
from ..jobs import inbox, pairing
from ._base import Operator


class DIGIDOUBLE_OT_backend_add(Operator, bpy.types.Operator):
    """Add a remote backend: run "digidouble pair" on that computer and paste the line that it prints"""

    bl_idname = "digidouble.backend_add"
    bl_label = "Add Backend"
    bl_options = {"INTERNAL"}

    pairing_line: StringProperty(  # type: ignore[valid-type]
        name="Pairing Line",
        description='What "digidouble pair" printed on the other computer; it is good for five minutes, once',
        options={"SKIP_SAVE"},
    )
    label: StringProperty(  # type: ignore[valid-type]
        name="Name", description="What you call that computer; empty: its address", options={"SKIP_SAVE"}
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """A dialog, filled in from the clipboard if the line is there."""
        text = context.window_manager.clipboard.strip()
        if not self.pairing_line and text.startswith(pairing.PREFIX) and len(text) < 1000:
            self.pairing_line = text
        return context.window_manager.invoke_props_dialog(self, width=520)

    def draw(self, context: Any) -> None:
        """The dialog."""
        layout = self.layout  # type: ignore[attr-defined]
        layout.label(text='On the other computer run "digidouble pair" and paste its line here.')
        layout.prop(self, "pairing_line")
        layout.prop(self, "label")
        if not bpy.app.online_access:
            layout.label(text="Blender's online access is off: only backends on this computer.", icon="ERROR")
            layout.label(text="Preferences > System > Network > Allow Online Access", icon="BLANK1")

    def run(self, context: Any) -> set[str] | None:
        """See Operator. Without a window it returns when the pairing has worked, or says why not."""
        if not self.pairing_line.strip():
            raise errors.InputError("The pairing line is empty.", 'Paste what "digidouble pair" printed.')
        desk = inbox.desk()
        offer = pairing.parse(self.pairing_line)
        pairing.begin(desk, offer, self.label.strip(), platform.node() or "Blender")
        inbox.tick()
        if bpy.app.background:
            inbox.finish_errand(desk, pairing.ERRAND)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_backend_add)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_backend_add)
