# SPDX-License-Identifier: GPL-3.0-or-later
"""The button beside the progress bar."""

from __future__ import annotations

from typing import Any

import bpy

from ._base import Operator


class DIGIDOUBLE_OT_stop(Operator, bpy.types.Operator):
    """Stop the work in progress after the current step; what is finished stays"""

    bl_idname = "digidouble.stop"
    bl_label = "Stop"
    bl_options = {"INTERNAL"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return None if context.window_manager.digidouble.activity.running else "Nothing is at work"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        context.window_manager.digidouble.activity.stop_asked = True
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_stop)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_stop)
