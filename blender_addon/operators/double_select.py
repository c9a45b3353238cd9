# SPDX-License-Identifier: GPL-3.0-or-later
"""Which splats the edits change."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy.props import EnumProperty, FloatProperty, StringProperty

from .._interchange import errors
from ..display import edits, selection
from ..display.binding import REGIONS
from ._double import DoubleOperator, count_words


class DIGIDOUBLE_OT_double_select(DoubleOperator, bpy.types.Operator):
    """Choose the splats that recolouring, deleting and duplicating change; chosen points are orange"""

    bl_idname = "digidouble.double_select"
    bl_label = "Select Splats"

    by: EnumProperty(  # type: ignore[valid-type]
        name="By",
        items=[
            ("BOX", "Box", "Inside the box (an empty's or mesh object's own cube)"),
            ("BALL", "Ball", "Inside the ball (an empty's or mesh object's own unit ball)"),
            ("REGION", "Part of the Avatar", "Born on a part of the avatar, such as the hair or the lips"),
            ("FAINT", "Faint", "Less opaque than this"),
            ("LARGE", "Large", "Larger than this"),
            ("INVERT", "Invert", "What was not selected"),
            ("NONE", "Nothing", "Forget the selection"),
        ],
    )
    how: EnumProperty(  # type: ignore[valid-type]
        name="How",
        items=[
            ("SET", "New", "Only these"),
            ("ADD", "Add", "These too"),
            ("TAKE", "Take Away", "All but these"),
        ],
    )
    region: EnumProperty(  # type: ignore[valid-type]
        name="Part", items=[(name.upper(), name.capitalize(), f"Splats of: {name}") for name in REGIONS], default="FACE"
    )
    within: StringProperty(name="Object", description="The box or ball. Empty: the crop box")  # type: ignore[valid-type]
    limit: FloatProperty(name="Limit", description="Opacity, or size in metres", default=0.1, min=0.0)  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        item = context.object
        edits.own(item)
        before = selection.selected(item)
        before = np.zeros(len(item.data.points), bool) if before is None else before
        if self.by == "NONE":
            mask = np.zeros_like(before)
        elif self.by == "INVERT":
            mask = ~before
        else:
            found = self._find(item)
            mask = {"SET": found, "ADD": before | found, "TAKE": before & ~found}[self.how]
        selection.select(item, mask)
        self.report({"INFO"}, f"Selected {count_words(int(mask.sum()))}.")  # type: ignore[attr-defined]
        return None

    def _find(self, item: Any) -> Any:
        if self.by == "REGION":
            return selection.in_region(item, self.region.lower())
        if self.by == "FAINT":
            return selection.faint(item, self.limit)
        if self.by == "LARGE":
            return selection.large(item, self.limit)
        around = bpy.data.objects.get(self.within) if self.within else item.digidouble.crop_box
        if around is None:
            raise errors.InputError("There is no box to select with.", "Add a crop box, or name an object.")
        return selection.in_box(item, around) if self.by == "BOX" else selection.in_ball(item, around)

    def draw(self, context: Any) -> None:
        """The settings after the fact: only those that count."""
        self.layout.use_property_split = True
        self.layout.prop(self, "by")
        if self.by not in ("INVERT", "NONE"):
            self.layout.prop(self, "how")
        if self.by in ("BOX", "BALL"):
            self.layout.prop_search(self, "within", bpy.data, "objects")
        elif self.by == "REGION":
            self.layout.prop(self, "region")
        elif self.by in ("FAINT", "LARGE"):
            self.layout.prop(self, "limit")


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_double_select)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_double_select)
