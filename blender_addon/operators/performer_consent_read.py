# SPDX-License-Identifier: GPL-3.0-or-later
"""The form shows the record again."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..performer import need_performer
from ..performer.roster import fill_form
from ._base import Operator


class DIGIDOUBLE_OT_performer_consent_read(Operator, bpy.types.Operator):
    """Fill the form from the consent record in the folder, and drop what was typed"""

    bl_idname = "digidouble.performer_consent_read"
    bl_label = "Show the Written Record"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        if not fill_form(need_performer(context)):
            raise errors.InputError("The folder has no consent record that can be read.", "Fill in the form.")
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_consent_read)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_consent_read)
