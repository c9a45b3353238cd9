# SPDX-License-Identifier: GPL-3.0-or-later
"""This computer's backend, on."""

from __future__ import annotations

import bpy

from ..jobs import inbox
from ..jobs.desk import Desk
from ._jobs import LocalBackendOperator


class DIGIDOUBLE_OT_backend_start(LocalBackendOperator, bpy.types.Operator):
    """Start the backend on this computer; it goes on when Blender is closed, until it is stopped"""

    bl_idname = "digidouble.backend_start"
    bl_label = "Start Backend"

    def begin(self, desk: Desk) -> None:
        """See LocalBackendOperator."""
        inbox.start_local(desk)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_backend_start)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_backend_start)
