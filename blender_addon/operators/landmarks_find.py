# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks of meshes that we know."""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from ..avatar_setup import checkup, known, regions, vertex_marks
from ..avatar_setup.state import head_of, no_head
from ._base import Operator


class DIGIDOUBLE_OT_landmarks_find(Operator, bpy.types.Operator):
    """Find all landmarks at once: works on MakeHuman and MPFB characters and on the sample heads"""

    bl_idname = "digidouble.landmarks_find"
    bl_label = "Find Automatically"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """By vertex count and topology. Where the head has no face region, it is drawn too."""
        head = head_of(context)
        found = known.recognise(head.data)
        if found is None:
            raise errors.InputError(
                f"The mesh {head.name!r} is none that Digidouble knows.", "Place landmarks: five clicks are enough."
            )
        vertex_marks.write(head, list(found.landmarks), set())
        regions.add_missing(head)
        self.report({"INFO"}, f"Recognised: {found.name}.")  # type: ignore[attr-defined]
        checkup.refresh(context.scene.digidouble.avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_landmarks_find)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_landmarks_find)
