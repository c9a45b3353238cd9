# SPDX-License-Identifier: GPL-3.0-or-later
"""Look for what may go wrong."""

from __future__ import annotations

from typing import Any

import bpy

from ..avatar_setup import checkup
from ..avatar_setup.state import no_head
from ._base import Operator


class DIGIDOUBLE_OT_avatar_check(Operator, bpy.types.Operator):
    """Look for what may go wrong with this character in a capture. Nothing is changed"""

    bl_idname = "digidouble.avatar_check"
    bl_label = "Check Avatar"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Keep the findings for the panel, and say how many there are."""
        found = checkup.check(context.scene.digidouble.avatar, context)
        grave = sum(finding.severity == "ERROR" for finding in found)
        others = sum(finding.severity == "WARNING" for finding in found)
        if grave or others:
            self.report({"WARNING"}, f"Must be fixed: {grave}. Should be fixed: {others}.")  # type: ignore[attr-defined]
        else:
            self.report({"INFO"}, "All is well with this character.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_check)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_check)
