# SPDX-License-Identifier: GPL-3.0-or-later
"""A new performer in the list."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..performer.roster import add_performer
from ._base import Operator


class DIGIDOUBLE_OT_performer_add(Operator, bpy.types.Operator):
    """Add somebody whom the double shall look like; photos and the consent record come next"""

    bl_idname = "digidouble.performer_add"
    bl_label = "Add Performer"

    name: StringProperty(name="Name", default="Performer")  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        add_performer(context, self.name)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_add)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_add)
