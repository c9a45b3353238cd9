# SPDX-License-Identifier: GPL-3.0-or-later
"""What lasts as long as Blender runs: the work in progress, the last problem."""

from __future__ import annotations

import bpy
from bpy.props import BoolProperty, FloatProperty, PointerProperty, StringProperty

from ..redrawing import redraw_sidebars
from .compute import DigidoubleCompute

_VISIBLE = 0.005  # of a progress bar some 200 pixels wide


class DigidoubleActivity(bpy.types.PropertyGroup):
    """The one piece of work that runs inside Blender (a capture, a portrait); jobs of the backend are apart.

    None of these properties has an `update=`: with one, Blender would draw its whole window after each write.
    """

    running: BoolProperty(default=False)  # type: ignore[valid-type]
    stop_asked: BoolProperty(default=False)  # type: ignore[valid-type]
    title: StringProperty()  # type: ignore[valid-type]
    fraction: FloatProperty(default=0.0, min=0.0, max=1.0, subtype="FACTOR")  # type: ignore[valid-type]
    message: StringProperty()  # type: ignore[valid-type]

    def begin(self, title: str) -> None:
        """Something starts."""
        self.title, self.fraction, self.message, self.stop_asked, self.running = title, 0.0, "", False, True
        redraw_sidebars()

    def show(self, fraction: float, message: str) -> None:
        """It has come this far."""
        if message != self.message or abs(fraction - self.fraction) >= _VISIBLE:
            self.fraction, self.message = fraction, message
            redraw_sidebars()

    def end(self) -> None:
        """It is over, one way or another."""
        self.running = self.stop_asked = False
        redraw_sidebars()


class DigidoubleSession(bpy.types.PropertyGroup):
    """`WindowManager.digidouble`: never saved in a file."""

    activity: PointerProperty(type=DigidoubleActivity)  # type: ignore[valid-type]
    problem: StringProperty(update=redraw_sidebars)  # type: ignore[valid-type]
    error_report: StringProperty()  # type: ignore[valid-type]
    compute: PointerProperty(type=DigidoubleCompute)  # type: ignore[valid-type]


GROUPS = (DigidoubleActivity, DigidoubleSession)
