# SPDX-License-Identifier: GPL-3.0-or-later
"""Real camera objects for the rig."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..capture.avatar import avatar_names
from ..capture.planning import plan_views
from ..capture.request import settings_from_panel
from ..capture.rig_cameras import add_cameras, remove_cameras
from ._base import Operator


class DIGIDOUBLE_OT_cameras_make(Operator, bpy.types.Operator):
    """Make the rig's cameras as real objects, to be looked through, moved and used as My Cameras"""

    bl_idname = "digidouble.cameras_make"
    bl_label = "Make Cameras"

    set_resolution: BoolProperty(  # type: ignore[valid-type]
        name="Set Resolution", default=False, description="Also give the scene the capture's resolution"
    )

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        if context.scene.digidouble.cameras.rig == "SCENE":
            return "These cameras are in the scene already"
        return None if avatar_names() else "Set up an avatar first"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        plan = plan_views(context, settings_from_panel(context))
        seen: set[str] = set()
        views = []
        for view in plan.views:  # several poses share the cameras
            name = view.name.removesuffix(f"_{view.pose}")
            if name not in seen:
                seen.add(name)
                views.append((name, view.split, view.camera))
        remove_cameras(context.scene)
        add_cameras(context.scene, views)
        if self.set_resolution:
            render, lens = context.scene.render, context.scene.digidouble.cameras
            render.resolution_x, render.resolution_y, render.resolution_percentage = lens.width, lens.height, 100
            render.pixel_aspect_x = render.pixel_aspect_y = 1.0
        self.report({"INFO"}, f"{len(views)} cameras made.")
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_cameras_make)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_cameras_make)
