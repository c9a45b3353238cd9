# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender (`blender --python hands.py -- FOLDER`): answers questions that the test asks through files.

`ask.json` {"id": n, "code": "..."} is executed on a timer, as an add-on's own timer would be; the value of `answer`
goes into `answer.json`. Buttons are pressed by the real mouse; only looking is done from here. A second timer measures
how long the main thread is ever away, and tracing.py, if the test asks for it, what it did meanwhile.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import bpy

sys.path.insert(0, str(Path(__file__).parent))
import tracing  # noqa: E402 (beside this file, which Blender runs as a script)

FOLDER = Path(sys.argv[sys.argv.index("--") + 1])
LONG_S = 0.05
_state: dict[str, Any] = {"id": 0, "beat": time.perf_counter(), "gaps": [], "long": [], "trace": None}


def button_under_mouse() -> str:
    """The Python command or property path of the button that the mouse is on, "" on none.

    Blender copies it itself (Ctrl-C and Ctrl-Alt-Shift-C over a button do the same), so nothing here depends on where
    a version draws what.
    """
    window = bpy.context.window_manager.windows[0]
    for area in window.screen.areas:
        for region in area.regions:
            if region.type not in ("UI", "WINDOW", "HEADER"):
                continue
            with bpy.context.temp_override(window=window, area=area, region=region):
                for operator, options in (
                    (bpy.ops.ui.copy_python_command_button, {}),
                    (bpy.ops.ui.copy_data_path_button, {"full_path": True}),
                ):
                    bpy.context.window_manager.clipboard = ""
                    if operator.poll():
                        operator(**options)
                        if bpy.context.window_manager.clipboard:
                            return bpy.context.window_manager.clipboard
    return ""


class Scan:
    """Moves the mouse down the sidebar, a step a tick, and notes which buttons it meets. found: name -> (x, y) window
    pixels from the bottom left."""

    def __init__(self, columns: list[int], rows: list[int]) -> None:
        self.found: dict[str, tuple[int, int]] = {}
        self.done = False
        self._points = [(x, y) for x in columns for y in rows]
        self._at: tuple[int, int] | None = None
        bpy.app.timers.register(self._step)

    def _step(self) -> float | None:
        if self._at is not None:
            try:
                name = button_under_mouse()
            except RuntimeError as error:
                if "modify blend data in this state" not in str(error):
                    raise
                return 0.03  # a mark that Blender leaves set now and then until it next calls Python: see compat.py
            if name:
                self.found.setdefault(name, self._at)
        if not self._points:
            self.done = True
            return None
        self._at = self._points.pop(0)
        bpy.context.window_manager.windows[0].cursor_warp(*self._at)
        return 0.03


def scan(columns: list[int], rows: list[int]) -> None:
    """Begin a scan."""
    _state["scan"] = Scan(columns, rows)


def scanned() -> dict[str, tuple[int, int]] | None:
    """What the scan has found, once it is through."""
    return _state["scan"].found if _state["scan"].done else None


def sidebar() -> dict[str, int]:
    """Where the sidebar of the first 3D view lies, in window pixels from the bottom left."""
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            region = next(r for r in area.regions if r.type == "UI")
            return {"x": region.x, "y": region.y, "width": region.width, "height": region.height}
    return {}


def open_tab(name: str) -> None:
    """Show the sidebar and bring a tab to the front."""
    for area in bpy.context.window_manager.windows[0].screen.areas:
        if area.type == "VIEW_3D":
            area.spaces.active.show_region_ui = True
            region = next(r for r in area.regions if r.type == "UI")
            with contextlib.suppress(AttributeError, TypeError):  # not drawn yet: ask again
                region.active_panel_category = name
            area.tag_redraw()


def redraw_sidebar() -> None:
    """Have the sidebar of the first 3D view drawn again, and nothing else."""
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    next(region for region in area.regions if region.type == "UI").tag_redraw()


def gaps() -> list[float]:
    """Seconds that the main thread was away between two beats, since the last call; what is below a beat counts 0."""
    found, _state["gaps"], _state["beat"] = _state["gaps"], [], time.perf_counter()
    return found


def trace(*names: str) -> list[str]:
    """From now on explain gaps by these functions of the add-on, and by Blender's own work; those that are missing."""
    if _state["trace"] is None:
        _state["trace"] = tracing.Trace()
        _state["trace"].watch_blender()
    return _state["trace"].wrap(tracing.package(), *names)  # type: ignore[no-any-return]


def long_gaps() -> list[tuple[float, dict[str, float]]]:
    """Gaps above 50 ms since the last call: milliseconds, and of what."""
    found, _state["long"] = _state["long"], []
    return found


def _beat() -> float:
    now = time.perf_counter()
    gap = max(0.0, now - _state["beat"] - 0.01)
    _state["gaps"].append(gap)
    if gap > LONG_S and _state["trace"] is not None:
        _state["long"].append((round(1e3 * gap, 1), _state["trace"].explained(_state["beat"] + 0.01, now)))
    _state["beat"] = now
    return 0.01


def _listen() -> float:
    try:
        asked = json.loads((FOLDER / "ask.json").read_text())
    except (OSError, ValueError):
        return 0.05
    if asked["id"] == _state["id"]:
        return 0.05
    _state["id"] = asked["id"]
    tools = (button_under_mouse, sidebar, open_tab, redraw_sidebar, gaps, long_gaps, trace, scan, scanned)
    names: dict[str, Any] = {"bpy": bpy, **{tool.__name__: tool for tool in tools}}
    reply: dict[str, Any] = {"id": asked["id"]}
    try:
        exec(asked["code"], names)
        reply["answer"] = names.get("answer")
    except Exception:
        reply["error"] = traceback.format_exc()
    (FOLDER / "answer.part").write_text(json.dumps(reply))
    (FOLDER / "answer.part").replace(FOLDER / "answer.json")
    return 0.05


if __name__ == "__main__":
    bpy.context.preferences.view.show_splash = False
    bpy.context.preferences.view.show_developer_ui = True
    bpy.app.timers.register(_listen, persistent=True, first_interval=0.2)
    bpy.app.timers.register(_beat, persistent=True, first_interval=0.2)
