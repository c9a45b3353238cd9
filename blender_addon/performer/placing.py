# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing points by mouse: one photo, one Image Editor, from the first event to the last."""

from __future__ import annotations

from typing import Any

import attrs
import bpy

from . import state_of
from .drawing import draw
from .gallery import GALLERY
from .image_view import ImageView, PixelMap
from .marking import Marking
from .overlay import Overlay, Rect, header, lay_out
from .photo_image import PhotoImage
from .store import save_points

_REACH = 8.0  # pixels at a resolution scale of 1

# what the editor itself does with an event: zoom and pan
_ITS_OWN = {
    "WHEELUPMOUSE", "WHEELDOWNMOUSE", "WHEELINMOUSE", "WHEELOUTMOUSE", "MIDDLEMOUSE", "TRACKPADPAN", "TRACKPADZOOM",
    "MOUSEROTATE", "MOUSESMARTZOOM", "HOME", "NUMPAD_PLUS", "NUMPAD_MINUS", "NUMPAD_1", "NUMPAD_2", "NUMPAD_4",
    "NUMPAD_8", "NDOF_MOTION",
}  # fmt: skip


class Placing:
    """The points are saved after each change, so that nothing is lost whatever ends it. `handle` takes events until it
    says that it is over; `close` gives everything back.

    Raises InputError if the photo cannot be shown, OSError if the points cannot be saved.
    """

    def __init__(self, context: Any, performer: Any, photo: str) -> None:
        self._state = state_of(performer)
        self._photo = self._state.photo(photo)
        self._picture = PhotoImage(self._photo.path)
        self.marking = Marking(self._photo.points, self._picture.width, self._picture.height)
        self._drawn: Any = None
        self._pressed: str | None = None  # the button that goes down
        self._scale = context.preferences.system.ui_scale
        try:
            self._view = ImageView(context.window, context.area, self._picture.image)
        except BaseException:
            self._picture.close()
            raise
        self._drawn = bpy.types.SpaceImageEditor.draw_handler_add(self._draw, (), "WINDOW", "POST_PIXEL")
        self._tell()

    def handle(self, event: Any) -> str:
        """What becomes of an event: "over", "mine" (nobody else shall see the event) or "pass"."""
        if not self._view.is_there or self._picture.image is None:
            return "over"
        if not self._view.is_shown:
            return "pass"
        if event.type == "TIMER":
            board = self._overlay().box
            self._view.fit(board.left + board.width)
        if event.type in _ITS_OWN or event.type.startswith("TIMER"):
            return "pass"
        inside = self._view.contains(event)
        holding = self.marking.holding or self._pressed is not None
        if not inside and not (event.type in ("LEFTMOUSE", "MOUSEMOVE") and holding):
            return "pass"
        result = self._mouse(event) if event.type in ("LEFTMOUSE", "MOUSEMOVE") else self._key(event)
        self._tell()
        return result

    def close(self) -> None:
        """Give the editor back, take the photo out of the file."""
        if self._drawn is not None:
            bpy.types.SpaceImageEditor.draw_handler_remove(self._drawn, "WINDOW")
            self._drawn = None
        self._view.close()
        self._picture.close()
        GALLERY.forget()

    def _mouse(self, event: Any) -> str:
        position = self._view.position(event)
        pixels = self._map()
        at, reach = pixels.to_photo(position), pixels.reach(_REACH * self._scale)
        if event.type == "MOUSEMOVE":
            self.marking.move(at, reach)
        elif event.value in ("PRESS", "DOUBLE_CLICK"):
            overlay = self._overlay()
            self._pressed = overlay.button_at(position)
            if not overlay.box.holds(position):
                self.marking.press(at, reach)
            elif (index := overlay.chart_at(position)) is not None:
                self.marking.current = index
        elif event.value == "RELEASE":
            pressed, self._pressed = self._pressed, None
            if self.marking.release():
                self._save()
            elif pressed and pressed == self._overlay().button_at(position):
                return self._act(pressed)
        return "mine"

    def _key(self, event: Any) -> str:
        if event.value != "PRESS":
            return "mine"
        actions = {
            "ESC": "done", "RET": "done", "NUMPAD_ENTER": "done", "X": "delete", "DEL": "delete", "BACK_SPACE": "undo",
            "TAB": "back" if event.shift else "skip", "G": "guess",
        }  # fmt: skip
        action = "undo" if event.type == "Z" and (event.ctrl or event.oskey) else actions.get(event.type, "")
        if action == "delete":
            pixels = self._map()
            reach = pixels.reach(_REACH * self._scale)
            if self.marking.delete(pixels.to_photo(self._view.position(event)), reach):
                self._save()
            return "mine"
        return self._act(action)

    def _act(self, action: str) -> str:
        marking = self.marking
        if action == "done":
            return "over"
        if action in ("skip", "back"):
            marking.skip(1 if action == "skip" else -1)
        elif (action == "undo" and marking.undo()) or (action == "guess" and marking.accept_guesses()):
            self._save()
        return "mine"

    def _save(self) -> None:
        file = save_points(self._state, self._photo, self.marking.points)
        if self._photo.landmark_file is None:  # from now on it is this one
            self._photo = attrs.evolve(self._photo, landmark_file=file)
        if not self.marking.points:  # what comes now is the artist's own
            self._photo = attrs.evolve(self._photo, found_by=())
        GALLERY.forget()

    def _map(self) -> PixelMap:
        return PixelMap.of(self._view.region, self._picture.width, self._picture.height)

    def _overlay(self) -> Overlay:
        left, right, top = self._view.free_sides()
        return lay_out(self.marking, Rect(left, 0.0, right - left, top), self._scale)

    def _tell(self) -> None:
        self._view.area.header_text_set(header(self.marking, self._photo.name))
        self._view.redraw()

    def _draw(self) -> None:
        if bpy.context.area != self._view.area:
            return
        pixels = self._map()
        at = {i: pixels.to_region(p) for i, p in self.marking.points.items()}
        guesses = {i: pixels.to_region(p) for i, p in self.marking.guesses.items()}
        draw(self.marking, at, guesses, self._overlay())
