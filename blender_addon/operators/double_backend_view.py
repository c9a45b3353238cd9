# SPDX-License-Identifier: GPL-3.0-or-later
"""The active camera through the real rasterizer."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty

from ..display.backend_view import BackendView
from ..jobs.machine import Machine
from ._base import MachineOperator
from ._double import DoubleOperator


class DIGIDOUBLE_OT_double_backend_view(DoubleOperator, MachineOperator, bpy.types.Operator):
    """Have the backend draw the double from the active camera, as splat viewers show it; the picture is an image"""

    bl_idname = "digidouble.double_backend_view"
    bl_label = "Backend View"
    bl_options = {"REGISTER"}
    stage = "render"

    behind_camera: BoolProperty(  # type: ignore[valid-type]
        name="In the Camera View", description="Also show it in the 3D view, when you look through the camera",
        default=False,
    )  # fmt: skip

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        reason = super().why_not(context)
        if reason is None and context.scene.camera is None:
            return "The scene has no camera"
        return reason

    def start(self, context: Any, *, waits: bool) -> Machine:
        """See MachineOperator."""
        return BackendView(context.object, context, waits=waits)

    def finish(self, context: Any, machine: Machine) -> None:
        """See MachineOperator."""
        image = machine.load()  # type: ignore[attr-defined]
        if self.behind_camera:
            _put_before_camera(context.scene.camera.data, image)
        for window in context.window_manager.windows:
            for area in window.screen.areas:
                if area.type == "IMAGE_EDITOR":
                    area.spaces.active.image = image
        self.report({"INFO"}, f"Open the image {image.name!r} in an Image Editor.")


def _put_before_camera(camera: Any, image: Any) -> None:
    """As the one background image of ours, in front of the scene."""
    ours = next((b for b in camera.background_images if b.image == image), None)
    background = ours if ours is not None else camera.background_images.new()
    background.image, background.display_depth, background.alpha = image, "FRONT", 1.0
    background.frame_method = "STRETCH"
    camera.show_background_images = True


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_backend_view)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_backend_view)
