# SPDX-License-Identifier: GPL-3.0-or-later
"""This computer's backend, off."""

from __future__ import annotations

import bpy

from ..jobs import inbox
from ..jobs.desk import Desk
from ._jobs import LocalBackendOperator


class DIGIDOUBLE_OT_backend_stop(LocalBackendOperator, bpy.types.Operator):
    """Stop the backend on this computer; its jobs wait, and go on where they were when it is started again"""

    bl_idname = "digidouble.backend_stop"
    bl_label = "Stop Backend"

    def begin(self, desk: Desk) -> None:
        """See LocalBackendOperator."""
        inbox.stop_local(desk)


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_backend_stop)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_backend_stop)
