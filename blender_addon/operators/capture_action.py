# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of actions that poses are taken from."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from .._interchange import errors
from ._base import Operator


class DIGIDOUBLE_OT_capture_action_add(Operator, bpy.types.Operator):
    """Add an action to the list that poses are taken from"""

    bl_idname = "digidouble.capture_action_add"
    bl_label = "Add Action"

    action: StringProperty(  # type: ignore[valid-type]
        name="Action", options={"SKIP_SAVE"}, description="Its name. Empty: to be chosen in the list"
    )

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        found = bpy.data.actions.get(self.action) if self.action else None
        if self.action and found is None:
            raise errors.InputError(f"There is no action {self.action!r} in this file.", "Choose another one.")
        context.scene.digidouble.capture.actions.add().action = found
        return None


class DIGIDOUBLE_OT_capture_action_remove(Operator, bpy.types.Operator):
    """Take an action out of the list; the action itself stays in the file"""

    bl_idname = "digidouble.capture_action_remove"
    bl_label = "Remove Action"

    index: IntProperty(default=0, min=0, options={"SKIP_SAVE"}, description="Its place in the list")  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        context.scene.digidouble.capture.actions.remove(self.index)
        return None


_CLASSES = (DIGIDOUBLE_OT_capture_action_add, DIGIDOUBLE_OT_capture_action_remove)


def register() -> None:
    """Called by registration."""
    for item in _CLASSES:
        bpy.utils.register_class(item)


def unregister() -> None:
    """Called by registration."""
    for item in reversed(_CLASSES):
        bpy.utils.unregister_class(item)
