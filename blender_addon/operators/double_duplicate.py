# SPDX-License-Identifier: GPL-3.0-or-later
"""A copy of a double, or of the selected splats."""

from __future__ import annotations

from typing import Any

import bpy

from ..display import edits, selection
from ..display.double import select_only
from ._double import DoubleOperator, count_words


class DIGIDOUBLE_OT_double_duplicate(DoubleOperator, bpy.types.Operator):
    """Copy the selected splats, or all of them, into a double of their own"""

    bl_idname = "digidouble.double_duplicate"
    bl_label = "Duplicate"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        copy = edits.duplicate(context.object, selection.selected(context.object))
        select_only(copy, context)
        self.report({"INFO"}, f"{copy.name} has {count_words(len(copy.data.points))}.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_duplicate)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_duplicate)
