# SPDX-License-Identifier: GPL-3.0-or-later
"""A performer goes from the list."""

from __future__ import annotations

from typing import Any

import bpy

from ..performer import active_performer
from ..performer.roster import remove_active
from ._base import Operator


class DIGIDOUBLE_OT_performer_remove(Operator, bpy.types.Operator):
    """Take the chosen performer off the list; the folder with the photos stays where it is"""

    bl_idname = "digidouble.performer_remove"
    bl_label = "Remove Performer"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return None if active_performer(context) else "No performer is chosen"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        remove_active(context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_remove)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_remove)
