# SPDX-License-Identifier: GPL-3.0-or-later
"""Forget a paired box."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..jobs import inbox
from ._base import Operator
from ._jobs import active_backend


class DIGIDOUBLE_OT_backend_remove(Operator, bpy.types.Operator):
    """Forget the chosen remote backend and its keys; to use it again it must be paired again"""

    bl_idname = "digidouble.backend_remove"
    bl_label = "Remove Backend"
    bl_options = {"INTERNAL"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        chosen = context.window_manager.digidouble.compute.backend()
        return "This computer stays in the list" if chosen is None or chosen.is_local else None

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first: there is no way back but pairing."""
        return context.window_manager.invoke_confirm(self, event)

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        backend = active_backend()
        if backend.is_local:
            raise errors.InputError("This computer stays in the list.")
        inbox.desk().forget_backend(backend)
        inbox.tick()
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_backend_remove)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_backend_remove)
