# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing landmarks by clicks, point by point; or moving those that are there."""

from __future__ import annotations

import contextlib
from typing import Any

import bpy
from bpy.props import EnumProperty

from .._interchange import errors
from ..avatar_setup import checkup, drawing, hint, landmarks, meshes, overlay, picking, placing, regions, vertex_marks
from ..avatar_setup.state import head_of, in_layer, no_head
from ..reporting import guarded
from ._base import Operator

_MODES = (
    ("QUICK", "5 Points", "Tip of the nose, corners of eyes and mouth; good enough for a first try"),
    ("NORMAL", "15 Points", "Fifteen points; the other 53 follow closely"),
    ("ALL", "All 68 Points", "Every point by hand"),
    ("MOVE", "Move Points", "Click a point, then its new place"),
)
_KEYS = "Click: place     Enter: take the green one     S: skip     H: hide hair     Backspace: back     Esc: done"
_MOVE_KEYS = "Click a point, then its new place     H: hide hair     Backspace: take back     Esc: done"
_GHOST = (0.25, 1.0, 0.35, 0.95)
_HOVER = (1.0, 1.0, 1.0, 0.9)
_OVER_THE_FACE = ("hair", "lashes", "other")
_GRAB_PIXELS = 18
_MOST_HOVERED = 300_000  # vertices; on denser meshes the dot under the mouse would make it stutter


class DIGIDOUBLE_OT_landmarks_place(Operator, bpy.types.Operator):
    """Place landmarks on the head by clicking, one after another. Esc leaves, and keeps what is placed"""

    bl_idname = "digidouble.landmarks_place"
    bl_label = "Place Landmarks"
    bl_options = {"UNDO"}  # no REGISTER: adjusting the last operation would take the clicks back

    mode: EnumProperty(name="Points", items=_MODES, default="NORMAL")  # type: ignore[valid-type]

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """A head must be chosen, and nobody be placing already."""
        if overlay.is_placing():
            return "Landmarks are being placed already. Esc ends that."
        return no_head(context)

    def run(self, context: Any) -> set[str] | None:
        """Without a window nobody can click."""
        raise errors.InputError(
            "Landmarks are clicked in a 3D view.", "From a script, call digidouble.landmark_set for each."
        )

    def invoke(self, context: Any, event: Any) -> set[str]:
        """From a button."""
        if bpy.app.background or context.area is None or context.area.type != "VIEW_3D":
            return self.execute(context)
        context.window_manager.digidouble.problem = ""
        return guarded(self, context, self._begin)

    def modal(self, context: Any, event: Any) -> set[str]:
        """Called by Blender for each event."""
        lost = context.area is None or no_head(context) is not None  # the view was closed, or the head deleted
        if lost or context.mode != "OBJECT":  # the artist has gone on to something else
            return self._finish(context)
        result = guarded(self, context, lambda c: self._handle(c, event))
        return self._finish(context) if result in ({"CANCELLED"}, {"FINISHED"}) else result

    def cancel(self, context: Any) -> None:
        """Called by Blender when it closes its window under us."""
        self._end(context)

    # --- the work ---------------------------------------------------------------------------------------------------

    def _begin(self, context: Any) -> set[str]:
        head = head_of(context)
        if not in_layer(head, context.view_layer) or not head.visible_get():
            raise errors.InputError(f"{head.name!r} is hidden.", "Show it in the outliner, then place landmarks.")
        if context.mode != "OBJECT":
            bpy.ops.object.mode_set(mode="OBJECT")
        meshes.shown(head, context.evaluated_depsgraph_get())  # says so if a modifier takes vertices away
        self._hover: int | None = None
        self._grabbed: int | None = None
        self._veiled: list[tuple[Any, bool]] = []  # parts that H has hidden, and whether they were selected
        self._before: list[tuple[list[int], set[int]]] = []  # landmarks before each move
        known = vertex_marks.placed_of(head)
        if self.mode == "MOVE":
            if all(v < 0 for v in vertex_marks.ids_of(head)):
                raise errors.InputError("There are no landmarks to move.", "Place some first.")
            sequence: tuple[int, ...] = ()
        else:
            sequence = placing.SEQUENCES[self.mode]
            missing = tuple(i for i in sequence if i not in known)
            sequence = missing or sequence  # all are there: ask for them again
        self._placing = placing.Placing(sequence, meshes.get(head.data.vertices, "co", 3), known)
        context.scene.digidouble.avatar.show_landmarks = True
        self._area = context.area
        self._handler = overlay.add(self._draw)
        context.window.cursor_modal_set("CROSSHAIR")
        context.window_manager.modal_handler_add(self)
        self._tell(context)
        return {"RUNNING_MODAL"}

    def _handle(self, context: Any, event: Any) -> set[str]:
        inside = self._pixel(context, event)
        if event.type == "MOUSEMOVE":
            light = len(context.scene.digidouble.avatar.head.data.vertices) <= _MOST_HOVERED
            self._hover = self._under(context, inside) if light else None
            context.area.tag_redraw()
            return {"PASS_THROUGH"}
        if event.value != "PRESS":
            return {"PASS_THROUGH"}
        if event.type == "ESC":
            return {"FINISHED"}
        if event.type in _NAVIGATION or (event.type == "LEFTMOUSE" and (inside is None or event.alt)):
            return {"PASS_THROUGH"}
        if event.type == "H":
            self._toggle_parts(context)
        elif self.mode == "MOVE":
            self._move(context, event, inside)
        else:
            self._place(context, event, inside)
            if self._placing.current is None:
                self._fill_in(context)
                return {"FINISHED"}
        self._tell(context)
        return {"RUNNING_MODAL"}

    def _place(self, context: Any, event: Any, pixel: tuple[float, float] | None) -> None:
        if event.type == "LEFTMOUSE":
            vertex = self._under(context, pixel)
            if vertex is not None:
                self._placing.place(vertex)
        elif event.type in ("RET", "NUMPAD_ENTER"):
            self._placing.accept()
        elif event.type == "S" and not (event.ctrl or event.alt):
            self._placing.skip()
        elif _is_back(event):
            self._placing.undo()
        head = context.scene.digidouble.avatar.head
        ids, guessed = vertex_marks.ids_of(head), vertex_marks.guessed_of(head) - set(self._placing.placed)
        for index in range(landmarks.COUNT):
            if index not in guessed:
                ids[index] = self._placing.placed.get(index, -1)
        vertex_marks.write(head, ids, guessed)

    def _move(self, context: Any, event: Any, pixel: tuple[float, float] | None) -> None:
        head = context.scene.digidouble.avatar.head
        if event.type == "LEFTMOUSE" and self._grabbed is None:
            self._grabbed = self._landmark_near(context, pixel)
        elif event.type == "LEFTMOUSE" and self._grabbed is not None:
            vertex = self._under(context, pixel)
            if vertex is not None:
                self._before.append((vertex_marks.ids_of(head), vertex_marks.guessed_of(head)))
                vertex_marks.put(head, self._grabbed, vertex)
                self._grabbed = None
        elif _is_back(event) and self._grabbed is not None:
            self._grabbed = None
        elif _is_back(event) and self._before:
            vertex_marks.write(head, *self._before.pop())

    def _fill_in(self, context: Any) -> None:
        """After the last point: the other landmarks, and regions where there are none. Esc leaves that out."""
        head = context.scene.digidouble.avatar.head
        vertex_marks.complete(head)
        regions.add_missing(head)

    def _toggle_parts(self, context: Any) -> None:
        """Hide what may lie over the face, or show it again."""
        if self._veiled:
            self._show_parts()
            return
        parts = [entry.item for entry in context.scene.digidouble.avatar.parts if entry.part in _OVER_THE_FACE]
        self._veiled = [(item, item.select_get()) for item in parts if item is not None and item.visible_get()]
        for item, _ in self._veiled:
            item.hide_set(True)

    def _show_parts(self) -> None:
        while self._veiled:
            item, selected = self._veiled.pop()
            with contextlib.suppress(ReferenceError, RuntimeError):  # deleted, or another file was opened
                item.hide_set(False)
                item.select_set(selected)

    def _landmark_near(self, context: Any, pixel: Any) -> int | None:
        head = context.scene.digidouble.avatar.head
        spots = overlay.seen(context, head, dict(enumerate(vertex_marks.ids_of(head))))
        reach = _GRAB_PIXELS * context.preferences.system.ui_scale
        near = [((x - pixel[0]) ** 2 + (y - pixel[1]) ** 2, index) for index, (x, y) in spots.items()]
        best = min(near, default=(reach**2 + 1, -1))
        if best[0] > reach**2:
            self.report({"INFO"}, "There is no landmark so near.")  # type: ignore[attr-defined]
            return None
        return int(best[1])

    # --- the window -------------------------------------------------------------------------------------------------

    def _pixel(self, context: Any, event: Any) -> tuple[float, float] | None:
        """The mouse in the main region; None over the sidebar, the header, or another editor."""
        for region in context.area.regions:
            inside = (region.x <= event.mouse_x < region.x + region.width
                      and region.y <= event.mouse_y < region.y + region.height)  # fmt: skip
            if region.type not in ("WINDOW", "HUD") and region.width > 1 and region.height > 1 and inside:
                return None
        region = self._region(context)
        x, y = event.mouse_x - region.x, event.mouse_y - region.y
        return (x, y) if 0 <= x < region.width and 0 <= y < region.height else None

    def _region(self, context: Any) -> Any:
        return next(region for region in context.area.regions if region.type == "WINDOW")

    def _under(self, context: Any, pixel: tuple[float, float] | None) -> int | None:
        if pixel is None:
            return None
        with context.temp_override(region=self._region(context)):
            return picking.vertex_under(context, context.scene.digidouble.avatar.head, pixel)

    def _tell(self, context: Any) -> None:
        count, name = self._words()
        keys = _MOVE_KEYS if self.mode == "MOVE" else _KEYS
        context.area.header_text_set(f"{count}:  {name}      {keys}")
        context.area.tag_redraw()

    def _words(self) -> tuple[str, str]:
        if self.mode != "MOVE":
            return self._placing.count, self._placing.prompt
        if self._grabbed is None:
            return "Move", "Click a landmark"
        return "New place of", landmarks.name_of(self._grabbed)

    def _draw(self) -> None:
        context = bpy.context
        if context.area != self._area or no_head(context) is not None:
            return
        head, scale = context.scene.digidouble.avatar.head, context.preferences.system.ui_scale
        ghost = self._placing.suggestion
        spots = overlay.seen(context, head, {0: -1 if ghost is None else ghost,
                                             1: -1 if self._hover is None else self._hover})  # fmt: skip
        for key, radius, colour in ((1, 3.5, _HOVER), (0, 6.0, _GHOST)):
            if key in spots:
                drawing.dots([spots[key]], (radius + 1.5) * scale, overlay.RIM)
                drawing.dots([spots[key]], radius * scale, colour)
        wanted = self._grabbed if self.mode == "MOVE" else self._placing.current
        hint.draw(context, *self._words(), wanted, set(vertex_marks.placed_of(head)))

    def _finish(self, context: Any) -> set[str]:
        self._end(context)
        if no_head(context) is None:
            checkup.refresh(context.scene.digidouble.avatar, context)
        return {"FINISHED"}

    def _end(self, context: Any) -> None:
        overlay.remove(self._handler)
        self._show_parts()
        if context.window is not None:
            context.window.cursor_modal_restore()
        try:
            self._area.header_text_set(None)
            self._area.tag_redraw()
        except ReferenceError:  # the area was closed meanwhile
            pass


def _is_back(event: Any) -> bool:
    return event.type == "BACK_SPACE" or (event.type == "Z" and event.ctrl)


_NAVIGATION = {
    "MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "TRACKPADPAN", "TRACKPADZOOM", "MOUSEROTATE", "NDOF_MOTION",
    "NUMPAD_0", "NUMPAD_1", "NUMPAD_2", "NUMPAD_3", "NUMPAD_4", "NUMPAD_5", "NUMPAD_6", "NUMPAD_7", "NUMPAD_8",
    "NUMPAD_9", "NUMPAD_PERIOD", "NUMPAD_PLUS", "NUMPAD_MINUS", "HOME", "N", "ACCENT_GRAVE", "TIMER",
}  # fmt: skip


def register() -> None:
    """Called by registration."""
    bpy.utils.register_class(DIGIDOUBLE_OT_landmarks_place)


def unregister() -> None:
    """Called by registration."""
    bpy.utils.unregister_class(DIGIDOUBLE_OT_landmarks_place)
