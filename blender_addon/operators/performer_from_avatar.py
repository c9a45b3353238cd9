# SPDX-License-Identifier: GPL-3.0-or-later
"""Another avatar of the file as performer: a rendered portrait, its exact landmarks, a record that nobody is shown."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..capture.avatar import avatar_names
from ..capture.portrait import PortraitJob
from ..capture.settings import PoseSettings, RenderSettings
from ..performer import state_of
from ..performer.avatar_choice import choose_avatar, other_avatars
from ..performer.gallery import GALLERY
from ..performer.roster import add_performer, fill_form, free_folder
from ._rendering import RenderOperator


class DIGIDOUBLE_OT_performer_from_avatar(RenderOperator, bpy.types.Operator):
    """Render a portrait of another avatar in this file and use that as the performer"""

    bl_idname = "digidouble.performer_from_avatar"
    bl_label = "Take Another Avatar"
    bl_options = {"REGISTER"}
    stage = "portrait"

    avatar: StringProperty(  # type: ignore[valid-type]
        name="Avatar",
        description="Its collection; empty: the only other one than the avatar to be captured",
        search=lambda self, context, text: avatar_names(),
        options={"SKIP_SAVE"},
    )
    size: IntProperty(  # type: ignore[valid-type]
        name="Size", description="Edge of the portrait in pixels", default=640, min=128, max=4096, subtype="PIXEL"
    )
    samples: IntProperty(  # type: ignore[valid-type]
        name="Samples", description="Light paths a pixel: more are cleaner and slower", default=32, min=1, max=4096
    )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask only if there is something to choose."""
        others = other_avatars(context)
        if not self.avatar and len(others) > 1:
            self.avatar = others[0]
            return context.window_manager.invoke_props_dialog(self)
        return super().invoke(context, event)

    def execute(self, context: Any) -> set[str]:
        """From the dialog in a window: beside the artist's work, as from the button; else at once."""
        if self.options.is_invoke and not bpy.app.background:  # type: ignore[attr-defined]
            return super().invoke(context, None)
        return super().execute(context)

    def start(self, context: Any, *, waits: bool) -> PortraitJob:
        """See MachineOperator."""
        self._name = choose_avatar(context, self.avatar)
        self._folder = free_folder(context, self._name)
        render = RenderSettings(size=self.size, samples=self.samples)
        return PortraitJob(self._folder, self._name, render, PoseSettings(), context, waits=waits)

    def finish(self, context: Any, machine: Any) -> None:
        """The performer is listed once it has its portrait."""
        super().finish(context, machine)
        performer = add_performer(context, self._name, self._folder)
        fill_form(performer)
        GALLERY.forget()
        problem = state_of(performer).problem
        self.report({"INFO"}, f"{self._name} is the performer. {problem or 'All is there.'}")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_from_avatar)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_from_avatar)
