# SPDX-License-Identifier: GPL-3.0-or-later
"""This computer's backend, off."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..jobs import inbox
from ..jobs.backends import LOCAL_ID
from ._base import Operator


class DIGIDOUBLE_OT_backend_stop(Operator, bpy.types.Operator):
    """Stop the backend on this computer; its jobs wait, and go on where they were when it is started again"""

    bl_idname = "digidouble.backend_stop"
    bl_label = "Stop Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        try:
            inbox.installation()
        except errors.InputError as error:
            return str(error)
        desk = inbox.desk_if_any()
        return "It is starting or stopping" if desk is not None and desk.state_of(LOCAL_ID).busy else None

    def run(self, context: Any) -> set[str] | None:
        """See Operator. Without a window it returns when the backend has stopped."""
        desk = inbox.desk()
        inbox.stop_local(desk)
        inbox.tick()
        if bpy.app.background:
            inbox.finish_errand(desk, LOCAL_ID)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_backend_stop)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_backend_stop)
