# SPDX-License-Identifier: GPL-3.0-or-later
"""What the main thread does while it is away: runs inside Blender, from hands.py, when a test asks for it.

Pieces of work are spans: functions of the installed add-on, wrapped where they are called, and what Blender tells of
its own work through handlers (evaluating the scene, drawing a 3D view). A gap between two beats is explained by the
time that each piece had in it, without that of pieces inside it. The rest is Blender's own, where no handler looks:
drawing its other regions, saving an undo step, and swapping the window's buffers.
"""

from __future__ import annotations

import functools
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import bpy

REST = "Blender"
_KEPT = 4000


class Trace:
    """Spans of the last minutes: (name, begin, end, seconds of its own)."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._spans: deque[tuple[str, float, float, float]] = deque(maxlen=_KEPT)
        self._open: list[list[Any]] = []  # name, begin, seconds inside

    def begin(self, name: str) -> None:
        """A piece of work begins."""
        self._open.append([name, self._clock(), 0.0])

    def end(self, name: str) -> None:
        """It is over, and so is whatever began inside it without an end."""
        while any(opened[0] == name for opened in self._open):
            opened, begun, inside = self._open.pop()
            now = self._clock()
            self._spans.append((opened, begun, now, now - begun - inside))
            if self._open:
                self._open[-1][2] += now - begun
            if opened == name:
                return

    def explained(self, begun: float, ended: float) -> dict[str, float]:
        """Milliseconds of each piece between two moments, most first; `REST` is what nothing explains."""
        found: dict[str, float] = {}
        for name, begin, end, own in reversed(self._spans):
            if end <= begun:
                break
            share = (min(end, ended) - max(begin, begun)) / max(end - begin, 1e-9)
            if share > 0:
                found[name] = found.get(name, 0.0) + 1e3 * own * min(share, 1.0)
        found[REST] = 1e3 * (ended - begun) - sum(found.values())
        return {name: round(ms, 1) for name, ms in sorted(found.items(), key=lambda item: -item[1]) if ms >= 0.5}

    def wrap(self, package: str, *names: str) -> list[str]:
        """Trace functions ("jobs.inbox.tick") or methods ("a.b.Class.method") of a package, wherever they are called.

        Returns those that are not there.
        """
        return [name for name in names if not self._wrap_one(package, name)]

    def _wrap_one(self, package: str, name: str) -> bool:
        path = name.split(".")
        for cut in range(len(path) - 1, 0, -1):
            module = sys.modules.get(".".join([package, *path[:cut]]))
            if module is not None:
                break
        else:
            return False
        owner: Any = module
        for part in path[cut:-1]:
            owner = getattr(owner, part, None)
        before = getattr(owner, path[-1], None)
        if before is None:
            return False
        after = self._traced(name, before)
        if owner is not module:
            setattr(owner, path[-1], after)
            return True
        for other in [m for key, m in sys.modules.items() if key.startswith(package)]:
            for attribute in [key for key, value in vars(other).items() if value is before]:
                setattr(other, attribute, after)
        return True

    def _traced(self, name: str, before: Any) -> Any:
        @functools.wraps(before)
        def after(*arguments: Any, **options: Any) -> Any:
            self.begin(name)
            try:
                return before(*arguments, **options)
            finally:
                self.end(name)

        if not name.endswith(".draw"):
            return after

        def draw(panel: Any, context: Any) -> Any:  # Blender counts the arguments that are written here
            return after(panel, context)

        return draw

    def watch_blender(self) -> None:
        """Handlers around what Blender does itself; they see no other region than the 3D view's."""
        handlers, view = bpy.app.handlers, bpy.types.SpaceView3D
        handlers.depsgraph_update_pre.append(lambda *_: self.begin("Blender: evaluate"))
        handlers.depsgraph_update_post.append(lambda *_: self.end("Blender: evaluate"))
        view.draw_handler_add(lambda: self.begin("Blender: draw 3D view"), (), "WINDOW", "PRE_VIEW")
        view.draw_handler_add(lambda: self.end("Blender: draw 3D view"), (), "WINDOW", "POST_PIXEL")


def package() -> str:
    """The name under which the extension is loaded."""
    return next(name for name in sys.modules if name.startswith("bl_ext.") and name.endswith(".digidouble"))
