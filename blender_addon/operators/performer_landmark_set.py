# SPDX-License-Identifier: GPL-3.0-or-later
"""One landmark, by number: for scripts."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import FloatProperty, IntProperty, StringProperty

from .._interchange import errors, landmarks, mesh
from ..performer import need_performer, state_of
from ..performer.gallery import GALLERY
from ..performer.store import save_points
from ._base import Operator


class DIGIDOUBLE_OT_performer_landmark_set(Operator, bpy.types.Operator):
    """Put one of the 68 points on a photo, or take it away; in pixels of the upright photo, y down"""

    bl_idname = "digidouble.performer_landmark_set"
    bl_label = "Set Landmark"
    bl_options = {"REGISTER"}

    photo: StringProperty(name="Photo", description="Name of the photo in the performer's folder")  # type: ignore[valid-type]
    index: IntProperty(name="Point", min=0, max=mesh.LANDMARK_COUNT - 1)  # type: ignore[valid-type]
    x: FloatProperty(name="X", description="From the left edge; the first pixel's middle is 0.5")  # type: ignore[valid-type]
    y: FloatProperty(name="Y", description="From the upper edge; the first pixel's middle is 0.5")  # type: ignore[valid-type]
    remove: bpy.props.BoolProperty(name="Remove", description="Take the point away", default=False)  # type: ignore[valid-type]

    def run(self, context: Any) -> set[str] | None:
        """See Operator."""
        state = state_of(need_performer(context))
        photo = state.photo(self.photo)
        points = dict(photo.points)
        if self.remove:
            points.pop(self.index, None)
        else:
            points[self.index] = (self.x, self.y)
            header = photo.facts.header
            if header is None:
                raise errors.InputError(photo.facts.problem or f"{photo.name} cannot be read.")
            landmarks.check_inside(photo.path, {self.index: points[self.index]}, header.width, header.height)
        save_points(state, photo, points)
        GALLERY.forget()
        return None


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_landmark_set)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_landmark_set)
