# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks by clicking on the photo."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors
from ..performer import need_performer
from ..performer.placing import Placing
from ..reporting import guarded
from ._base import Operator

_TICK_S = 0.1


class DIGIDOUBLE_OT_performer_landmarks_place(Operator, bpy.types.Operator):
    """Show the photo large and click the points of the face, one by one; Enter or Done goes back"""

    bl_idname = "digidouble.performer_landmarks_place"
    bl_label = "Place Landmarks"
    bl_options = {"REGISTER"}

    photo: StringProperty(name="Photo", description="Name of the photo in the performer's folder")  # type: ignore[valid-type]

    at_work = False
    """Of the class: one photo at a time."""
    _placing: Placing | None = None
    _timer: Any = None

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        return "Finish the photo whose points are being placed: press Enter over it" if cls.at_work else None

    def run(self, context: Any) -> set[str] | None:
        """There is nothing to click on without a window."""
        raise errors.InputError(
            "Points can only be clicked in a window.", "Scripts use performer_landmark_set or performer_landmarks_load."
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From the button."""
        if bpy.app.background:
            return self.execute(context)
        context.window_manager.digidouble.problem = ""
        return guarded(self, context, self._begin)

    def modal(self, context: Any, event: Any) -> set[str]:
        """Called by Blender for each event."""
        result = guarded(self, context, lambda _: self._handle(event))
        if result in ({"FINISHED"}, {"CANCELLED"}):
            self._end(context)
        return result

    def cancel(self, context: Any) -> None:
        """Called by Blender when it closes its window or opens another file."""
        self._end(context)

    def _begin(self, context: Any) -> set[str]:
        self._placing = Placing(context, need_performer(context), self.photo)
        type(self).at_work = True
        self._timer = context.window_manager.event_timer_add(_TICK_S, window=context.window)
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def _handle(self, event: Any) -> set[str]:
        assert self._placing is not None
        verdict = self._placing.handle(event)
        return {"FINISHED"} if verdict == "over" else {"RUNNING_MODAL"} if verdict == "mine" else {"PASS_THROUGH"}

    def _end(self, context: Any) -> None:
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        placing, self._placing = self._placing, None
        if placing is not None:
            type(self).at_work = False
            placing.close()


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_landmarks_place)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_landmarks_place)
