# SPDX-License-Identifier: GPL-3.0-or-later
"""What is hidden goes."""

from __future__ import annotations

from typing import Any

import bpy

from ..display import edits, selection
from ..properties.double import look_of
from ._double import DoubleOperator, count_words


class DIGIDOUBLE_OT_double_keep_shown(DoubleOperator, bpy.types.Operator):
    """Delete the splats that crop box, opacity and size hide, for good"""

    bl_idname = "digidouble.double_keep_shown"
    bl_label = "Delete Hidden Splats"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        reason = super().why_not(context)
        if reason is None and not look_of(context.object).hides:
            return "No splat is hidden: add a crop box or raise a threshold first"
        return reason

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        item = context.object
        gone = ~selection.shown(item, look_of(item))
        edits.delete_splats(item, gone)
        said = item.digidouble
        said.use_crop, said.least_opacity, said.largest = False, 0.0, 0.0
        self.report({"INFO"}, f"Deleted {count_words(int(gone.sum()))}.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_keep_shown)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_keep_shown)
