# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks by a network that the artist has."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty

from .._interchange import errors, landmarks
from ..jobs import inbox
from ..performer import active_performer, folder_of, need_performer, state_of
from ..performer.finding import Finding
from ..performer.folder import FolderState, PhotoState, look
from ..performer.gallery import GALLERY
from ..performer.store import save_points
from ._base import MachineOperator
from .performer_landmarks_place import DIGIDOUBLE_OT_performer_landmarks_place


class DIGIDOUBLE_OT_performer_landmarks_find(MachineOperator, bpy.types.Operator):
    """Have your own network find the points on this photo, on this computer, and show them. ESC stops"""

    bl_idname = "digidouble.performer_landmarks_find"
    bl_label = "Find Points"
    bl_options = {"REGISTER"}
    stage = "points"

    photo: StringProperty(  # type: ignore[valid-type]
        name="Photo", description="Name of the photo in the performer's folder", options={"SKIP_SAVE"}
    )

    _folder: Path | None = None
    _shows = False

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        if context.window_manager.digidouble.activity.running:
            return "Wait until the work in progress is done"
        try:
            inbox.installation()
            inbox.models_folder()
        except errors.InputError as error:
            return str(error)
        return DIGIDOUBLE_OT_performer_landmarks_place.why_not(context)

    def start(self, context: Any, *, waits: bool) -> Finding:
        """See MachineOperator."""
        state = state_of(need_performer(context))
        photo = _without_points(state, self.photo)
        self._folder, self._shows = state.path, not waits
        return Finding(inbox.installation(), inbox.models_folder(), photo.path, time.monotonic, waits=waits)

    def finish(self, context: Any, machine: Any) -> None:
        """See MachineOperator. The folder is read again: the artist may have gone on meanwhile."""
        assert self._folder is not None
        state = look(self._folder, date.today())
        photo = _without_points(state, self.photo)
        header, found = photo.facts.header, machine.found
        assert header is not None
        landmarks.check_inside(photo.path, found.points, header.width, header.height)
        save_points(state, photo, found.points, found.found_by)
        GALLERY.forget()
        network = next((entry["file"] for entry in found.found_by), "the network")
        self.report({"INFO"}, f"{len(found.points)} points on {photo.name} by {network}: look whether they are right.")
        for note in machine.notes:
            self.report({"WARNING"}, note)
        performer = active_performer(context)
        if self._shows and performer is not None and folder_of(performer) == self._folder:
            bpy.ops.digidouble.performer_landmarks_place("INVOKE_DEFAULT", photo=photo.name)


def _without_points(state: FolderState, name: str) -> PhotoState:
    """A photo that can be looked at and has no points that would be lost. InputError says what keeps it from that."""
    photo = state.photo(name)
    if photo.facts.header is None:
        raise errors.InputError(photo.facts.problem or f"{photo.name} cannot be read.")
    if photo.points:
        raise errors.InputError(
            f"{photo.name} has {len(photo.points)} points already.", "Correct them, or clear them first."
        )
    return photo


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_performer_landmarks_find)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_performer_landmarks_find)
