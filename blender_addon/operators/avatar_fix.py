# SPDX-License-Identifier: GPL-3.0-or-later
"""Do what a check proposes."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors
from ..avatar_setup import checkup
from ..avatar_setup.fixes import FIXES
from ..avatar_setup.state import no_head
from ._base import Operator


class DIGIDOUBLE_OT_avatar_fix(Operator, bpy.types.Operator):
    """Fix this"""

    bl_idname = "digidouble.avatar_fix"
    bl_label = "Fix"

    fix: StringProperty(name="Fix", description="What to do, a key of avatar_setup.fixes.FIXES")  # type: ignore[valid-type]
    item: StringProperty(name="Object", description="The object to fix. Empty: the head")  # type: ignore[valid-type]
    detail: StringProperty(name="Detail", description="Name of the modifier or UV map")  # type: ignore[valid-type]

    @classmethod
    def description(cls, context: Any, properties: Any) -> str:
        """The tooltip of the fix that a button stands for."""
        fix = FIXES.get(properties.fix)
        return fix.tooltip if fix is not None else "Fix what a check has found"

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen."""
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Fix it, and check again."""
        avatar = context.scene.digidouble.avatar
        fix = FIXES.get(self.fix)
        members = [avatar.head, *(entry.item for entry in avatar.parts), avatar.armature]
        item = next((i for i in members if i is not None and i.name == (self.item or avatar.head.name)), None)
        if fix is None or item is None:
            raise errors.InputError("There is nothing to fix any more.", "Check the avatar again.")
        try:
            fix.run(context, item, self.detail)
        except RuntimeError as error:  # Blender's own operators say it in words
            text = str(error).removeprefix("Error: ").strip().splitlines()[0]
            raise errors.InputError(f"Blender could not do it: {text}", "Fix it by hand, then check again.") from error
        finally:
            context.view_layer.update()
            checkup.check(avatar, context)
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_avatar_fix)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_avatar_fix)
