# SPDX-License-Identifier: GPL-3.0-or-later
"""Ready-made camera rigs."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import EnumProperty

from ..capture.presets import PRESETS
from ._base import Operator


class DIGIDOUBLE_OT_cameras_preset(Operator, bpy.types.Operator):
    """Set the camera rig up for a common purpose"""

    bl_idname = "digidouble.cameras_preset"
    bl_label = "Camera Preset"

    preset: EnumProperty(  # type: ignore[valid-type]
        name="Preset",
        items=[(key, name, text) for key, (name, text, _) in PRESETS.items()],
        default="STANDARD",
        description="What the rig is for",
    )

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        for name, value in PRESETS[self.preset][2].items():
            setattr(context.scene.digidouble.cameras, name, value)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_cameras_preset)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_cameras_preset)
