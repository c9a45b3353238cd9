# SPDX-License-Identifier: GPL-3.0-or-later
"""The consent record is written."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..performer import active_performer, need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.roster import read_terms
from ..performer.store import write_consent
from ._base import Operator


class DIGIDOUBLE_OT_performer_consent_write(Operator, bpy.types.Operator):
    """Write the consent record over all photos in the folder, as the form says; tick the confirmation first"""

    bl_idname = "digidouble.performer_consent_write"
    bl_label = "Write Consent Record"
    bl_options = {"REGISTER"}

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        performer = active_performer(context)
        if performer is None:
            return "No performer is chosen"
        return None if performer.consent.confirmed else "Tick that the permission was given, if it was"

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        performer = need_performer(context)
        if not performer.consent.confirmed:
            raise errors.InputError("The permission is not confirmed.", "Tick that it was given, if it was.")
        write_consent(state_of(performer), read_terms(performer.consent))
        performer.consent.confirmed = False
        GALLERY.forget()
        self.report({"INFO"}, "The consent record is written.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_consent_write)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_consent_write)
