# SPDX-License-Identifier: GPL-3.0-or-later
"""Another avatar of the file as performer: a rendered portrait, its exact landmarks, a record that nobody is shown."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty

from ..capture.avatar import avatar_names
from ..capture.portrait import take_portrait
from ..capture.settings import PoseSettings, RenderSettings
from ..performer import folder_of, state_of
from ..performer.avatar_choice import choose_avatar, other_avatars
from ..performer.gallery import GALLERY
from ..performer.roster import add_performer, fill_form, remove_active
from ._base import Operator


class DIGIDOUBLE_OT_performer_from_avatar(Operator, bpy.types.Operator):
    """Render a portrait of another avatar in this file and use that as the performer; Blender waits meanwhile"""

    bl_idname = "digidouble.performer_from_avatar"
    bl_label = "Take an Avatar"

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
        context.window.cursor_set("WAIT")
        try:
            return self.execute(context)
        finally:
            context.window.cursor_set("DEFAULT")

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        name = choose_avatar(context, self.avatar)
        performer = add_performer(context, name)
        try:
            render = RenderSettings(size=self.size, samples=self.samples)
            take_portrait(folder_of(performer), name, render, PoseSettings(), context=context)
        except BaseException:
            remove_active(context)  # it would be a performer without anything
            raise
        fill_form(performer)
        GALLERY.forget()
        problem = state_of(performer).problem
        self.report({"INFO"}, f"{name} is the performer. {problem or 'All is there.'}")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_from_avatar)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_from_avatar)
