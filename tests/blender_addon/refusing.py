# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender as it is while it draws: it refuses changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy


def while_drawing(action: Callable[[], Any]) -> Any:
    """Do something where Blender asks whether a button is grey, which it does with the same mark set as for drawing;
    what that returns or raises.
    """
    found: list[Any] = []
    raised: list[Exception] = []

    class TESTS_OT_drawing(bpy.types.Operator):  # noqa: N801 (Blender's way of naming)
        """Acts when it is asked"""

        bl_idname = "tests.drawing"
        bl_label = "Drawing"

        @classmethod
        def poll(cls, context: Any) -> bool:
            """Called by Blender."""
            try:
                found.append(action())
            except Exception as error:
                raised.append(error)
            return True

    bpy.utils.register_class(TESTS_OT_drawing)
    try:
        bpy.ops.tests.drawing.poll()
    finally:
        bpy.utils.unregister_class(TESTS_OT_drawing)
    if raised:
        raise raised[0]
    return found[0]
