# SPDX-License-Identifier: GPL-3.0-or-later
"""What lasts as long as Blender runs: the work in progress, the last problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty, PointerProperty, StringProperty

from .compute import DigidoubleCompute


def redraw(_: Any = None, context: Any = None) -> None:
    """Have every 3D view and image editor draw again, overlays too; an `update=` of properties."""
    for area in _areas(context):
        area.tag_redraw()


def redraw_sidebars(_: Any = None, context: Any = None) -> None:
    """The same for sidebars only: views may be slow to draw, and progress is told often."""
    for area in _areas(context):
        for region in area.regions:
            if region.type == "UI":
                region.tag_redraw()


def _areas(context: Any) -> Iterator[Any]:
    for window in (context or bpy.context).window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "IMAGE_EDITOR"):
                yield area


class DigidoubleActivity(bpy.types.PropertyGroup):
    """The one piece of work that runs inside Blender (a capture, a portrait); jobs of the backend are apart."""

    running: BoolProperty(default=False, update=redraw_sidebars)  # type: ignore[valid-type]
    stop_asked: BoolProperty(default=False)  # type: ignore[valid-type]
    title: StringProperty()  # type: ignore[valid-type]
    fraction: FloatProperty(default=0.0, min=0.0, max=1.0, subtype="FACTOR")  # type: ignore[valid-type]
    message: StringProperty(update=redraw_sidebars)  # type: ignore[valid-type]

    def begin(self, title: str) -> None:
        """Something starts."""
        self.title, self.fraction, self.message, self.stop_asked, self.running = title, 0.0, "", False, True

    def show(self, fraction: float, message: str) -> None:
        """It has come this far."""
        self.fraction, self.message = fraction, message

    def end(self) -> None:
        """It is over, one way or another."""
        self.running = self.stop_asked = False


class DigidoubleSession(bpy.types.PropertyGroup):
    """`WindowManager.digidouble`: never saved in a file."""

    activity: PointerProperty(type=DigidoubleActivity)  # type: ignore[valid-type]
    problem: StringProperty(update=redraw_sidebars)  # type: ignore[valid-type]
    error_report: StringProperty()  # type: ignore[valid-type]
    compute: PointerProperty(type=DigidoubleCompute)  # type: ignore[valid-type]


GROUPS = (DigidoubleActivity, DigidoubleSession)
