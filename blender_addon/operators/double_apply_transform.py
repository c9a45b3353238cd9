# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply Transform that is right for splats."""

from __future__ import annotations

from typing import Any

import bpy

from ..display import edits
from ._double import DoubleOperator


class DIGIDOUBLE_OT_double_apply_transform(DoubleOperator, bpy.types.Operator):
    """Move the object's place, turn and size into its splats, sizes and highlights too; the picture stays the same"""

    bl_idname = "digidouble.double_apply_transform"
    bl_label = "Apply Transform"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        for note in edits.apply_transform(context.object):
            self.report({"WARNING"}, note)  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_apply_transform)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_apply_transform)
