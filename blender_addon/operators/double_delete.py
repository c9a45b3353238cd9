# SPDX-License-Identifier: GPL-3.0-or-later
"""The selected splats go."""

from __future__ import annotations

from typing import Any

import bpy

from ..display import edits, selection
from ._double import DoubleOperator, count_words


class DIGIDOUBLE_OT_double_delete(DoubleOperator, bpy.types.Operator):
    """Delete the selected splats"""

    bl_idname = "digidouble.double_delete"
    bl_label = "Delete Splats"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        reason = super().why_not(context)
        if reason is None and selection.SELECTED not in context.object.data.attributes:
            return "No splat is selected: use Select Splats first"
        return reason

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        item = context.object
        mask = selection.selected(item)
        count = 0 if mask is None else int(mask.sum())
        if mask is not None:
            edits.delete_splats(item, mask)
        self.report({"INFO"}, f"Deleted {count_words(count)}.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_delete)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_delete)
