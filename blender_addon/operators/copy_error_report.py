# SPDX-License-Identifier: GPL-3.0-or-later
"""The last surprise, for the clipboard."""

from __future__ import annotations

from typing import Any

import bpy

from ._base import Operator


class DIGIDOUBLE_OT_copy_error_report(Operator, bpy.types.Operator):
    """Copy what went wrong, with versions, to the clipboard, so that it can be pasted into a bug report"""

    bl_idname = "digidouble.copy_error_report"
    bl_label = "Copy Error Report"
    bl_options = {"INTERNAL"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return None if context.window_manager.digidouble.error_report else "There is nothing to report"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        context.window_manager.clipboard = context.window_manager.digidouble.error_report
        self.report({"INFO"}, "The error report is in the clipboard.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_copy_error_report)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_copy_error_report)
