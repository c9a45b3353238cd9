# SPDX-License-Identifier: GPL-3.0-or-later
"""Exposure, tint, saturation."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import FloatProperty, FloatVectorProperty

from ..display import edits
from ._double import DoubleOperator, count_words


class DIGIDOUBLE_OT_double_recolour(DoubleOperator, bpy.types.Operator):
    """Brighten, tint or saturate the selected splats, or all of them; highlights change along"""

    bl_idname = "digidouble.double_recolour"
    bl_label = "Recolour"

    exposure: FloatProperty(name="Exposure", description="In stops", default=0.0, soft_min=-4, soft_max=4)  # type: ignore[valid-type]
    tint: FloatVectorProperty(  # type: ignore[valid-type]
        name="Tint", description="Multiplies the colours", subtype="COLOR", size=3, default=(1, 1, 1), min=0, max=1
    )
    saturation: FloatProperty(  # type: ignore[valid-type]
        name="Saturation", description="0 is grey, 1 as it is", default=1.0, min=0.0, soft_max=2.0
    )

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        count = edits.recolour(context.object, self.exposure, tuple(self.tint), self.saturation)
        self.report({"INFO"}, f"Recoloured {count_words(count)}.")  # type: ignore[attr-defined]
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_recolour)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_recolour)
