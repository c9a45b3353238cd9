# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the rig's camera objects away again."""

from __future__ import annotations

from typing import Any

import bpy

from ..capture.rig_cameras import made_collection, remove_cameras
from ._base import Operator


class DIGIDOUBLE_OT_cameras_remove(Operator, bpy.types.Operator):
    """Remove the cameras that Make Cameras has made; cameras of your own stay"""

    bl_idname = "digidouble.cameras_remove"
    bl_label = "Remove Cameras"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return None if made_collection(context.scene) is not None else "No cameras were made"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        self.report({"INFO"}, f"{remove_cameras(context.scene)} cameras removed.")
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_cameras_remove)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_cameras_remove)
