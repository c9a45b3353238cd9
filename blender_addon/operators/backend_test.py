# SPDX-License-Identifier: GPL-3.0-or-later
"""Does it answer, and if not, why?"""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..jobs import inbox
from ..jobs.words import with_advice
from ._base import Operator
from ._jobs import active_backend

ANSWER_S = 15.0


class DIGIDOUBLE_OT_backend_test(Operator, bpy.types.Operator):
    """Ask the chosen backend how it is, and say in words what is wrong if it does not answer"""

    bl_idname = "digidouble.backend_test"
    bl_label = "Test Connection"
    bl_options = {"INTERNAL"}

    def run(self, context: Any) -> set[str] | None:
        """See Operator. Without a window it returns with the answer: what is wrong is an error, the rest a report."""
        desk, backend = inbox.desk(), active_backend()
        state = desk.state_of(backend.backend_id)
        state.reached, state.sentence, state.lines = None, "", ()
        question = desk.ask_status(backend)
        inbox.tick()
        if not bpy.app.background:
            return None
        if not inbox.wait_for(lambda: state.answered == question, ANSWER_S):
            raise errors.InputError(f"{backend.name} did not answer within {ANSWER_S:.0f} s.", "Try again.")
        if not state.reached:
            raise errors.InputError(with_advice(state.sentence, is_local=backend.is_local, is_starting=False))
        self.report({"INFO"}, f"{backend.name} answers. {'. '.join(state.lines)}")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_backend_test)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_backend_test)
