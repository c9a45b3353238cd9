# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to the artist and the machine, not to a scene: where backend and networks are, where work is kept."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty


class DigidoublePreferences(bpy.types.AddonPreferences):
    """Shown in Preferences > Add-ons > Digidouble."""

    bl_idname = __package__

    backend_home: StringProperty(  # type: ignore[valid-type]
        name="Backend Folder",
        description="Folder where Digidouble's backend is installed (it holds install.py). Empty: found by itself",
        subtype="DIR_PATH",
    )
    models_folder: StringProperty(  # type: ignore[valid-type]
        name="Models Folder",
        description="Your own networks (.onnx): for finding points on photos, and for swaps on this computer from the "
        "backend's next start on. Empty: as DIGIDOUBLE_MODELS says",
        subtype="DIR_PATH",
    )
    work_folder: StringProperty(  # type: ignore[valid-type]
        name="Work Folder",
        description="Where captures and results go until the .blend file is saved. Empty: Blender's own place",
        subtype="DIR_PATH",
    )

    def draw(self, context: Any) -> None:
        """The folders."""
        self.layout.use_property_split = True
        self.layout.prop(self, "backend_home")
        self.layout.prop(self, "models_folder")
        self.layout.prop(self, "work_folder")


def preferences(context: Any) -> Any | None:
    """Our preferences; None when the package runs without being installed as an extension (bpy module, tests)."""
    addon = context.preferences.addons.get(__package__)
    return None if addon is None else addon.preferences


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DigidoublePreferences)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DigidoublePreferences)
