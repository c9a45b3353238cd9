# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels share."""

from __future__ import annotations

from typing import Any

from ..redrawing import CATEGORY

STEPS = ("avatar", "cameras", "capture", "performer", "compute", "jobs", "double")
"""The order of the work, and of the panels."""


class Panel:
    """Mix in before bpy.types.Panel for a step of the work; set `bl_idname`, `bl_label` and `bl_order`."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = CATEGORY


def order(step: str) -> int:
    """`bl_order` of a step; 0 is the status panel."""
    return STEPS.index(step) + 1


def sentence(layout: Any, text: str, width: int, icon: str = "NONE", *, alert: bool = False) -> None:
    """A sentence over as many lines as a panel of `width` pixels needs; labels do not wrap by themselves."""
    column = layout.column(align=True)
    column.alert = alert
    for number, line in enumerate(wrapped(text, width)):
        column.label(text=line, icon=icon if number == 0 else ("BLANK1" if icon != "NONE" else "NONE"))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of words for a region of `width` pixels: about 7 pixels a letter at the usual size, 60 for the margins."""
    room, lines = max((width - 60) // 7, 12), [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
