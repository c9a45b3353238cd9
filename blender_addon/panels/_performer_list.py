# SPDX-License-Identifier: GPL-3.0-or-later
"""One line for each performer."""

from __future__ import annotations

from typing import Any

import bpy

from ..performer import folder_of
from ..performer.gallery import GALLERY


class DIGIDOUBLE_UL_performers(bpy.types.UIList):
    """The performers in this file"""

    def draw_item(
        self, context: Any, layout: Any, data: Any, item: Any, icon: Any, active_data: Any, active_property: Any
    ) -> None:
        """Called by Blender for each one."""
        problem = GALLERY.state(folder_of(item)).problem
        layout.prop(item, "name", text="", emboss=False, icon="USER")
        layout.label(text="", icon="ERROR" if problem else "CHECKMARK")
