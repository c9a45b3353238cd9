# SPDX-License-Identifier: GPL-3.0-or-later
"""Render an avatar's portrait as a source for swaps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import bpy
from bpy.props import IntProperty, StringProperty

from ..capture.avatar import avatar_names
from ..capture.place import chosen_avatar, portrait_folder
from ..capture.portrait import PortraitJob
from ..capture.request import render_from_panel
from ..capture.settings import PoseSettings
from ._rendering import RenderOperator


class DIGIDOUBLE_OT_portrait(RenderOperator, bpy.types.Operator):
    """Render a portrait of the avatar as a performer: picture, exact landmarks and a record that nobody is depicted"""

    bl_idname = "digidouble.portrait"
    bl_label = "Render Portrait"
    bl_options = {"REGISTER"}
    stage = "portrait"

    folder: StringProperty(  # type: ignore[valid-type]
        name="Folder", subtype="DIR_PATH", options={"SKIP_SAVE"},
        description="The source folder to write. Empty: beside the .blend file",
    )  # fmt: skip
    avatar: StringProperty(  # type: ignore[valid-type]
        name="Avatar", options={"SKIP_SAVE"}, description="The avatar's collection. Empty: as the panel says"
    )
    size: IntProperty(name="Size", default=640, min=16, max=8192, description="Pixels a side")  # type: ignore[valid-type]
    samples: IntProperty(name="Samples", default=32, min=1, max=65536, description="Samples a pixel")  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        if context.mode != "OBJECT":
            return "Go to object mode first (Tab)"
        if context.window_manager.digidouble.activity.running:
            return "Wait until the work in progress is done"
        return None if avatar_names() else "Set up an avatar first"

    def start(self, context: Any, *, waits: bool) -> PortraitJob:
        """See MachineOperator."""
        name = self.avatar or chosen_avatar(context)
        folder = Path(bpy.path.abspath(self.folder)) if self.folder else portrait_folder(context, name)
        render = attrs.evolve(
            render_from_panel(context), size=self.size, height=self.size, samples=self.samples, engine="CYCLES"
        )
        return PortraitJob(folder, name, render, PoseSettings(), context, waits=waits)

    def finish(self, context: Any, machine: Any) -> None:
        """See MachineOperator."""
        super().finish(context, machine)
        self.report({"INFO"}, f"Portrait written to {machine.picture.parent}.")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_portrait)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_portrait)
