# SPDX-License-Identifier: GPL-3.0-or-later
"""One render after another of a stage's camera, and the passes of each: tapped from Cycles (see passes.py), or from
EEVEE, which has no such place, by way of a multilayer EXR.

In a window a render runs beside the artist's work, in a thread of Blender's. EEVEE's before 5.0 does not: the window
then stands still while a view is drawn.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Protocol

import bpy

from .. import compat
from .._interchange import errors
from .multilayer import read_multilayer
from .passes import CyclesTap, Image
from .restore import Restore
from .stage import Stage, check_nothing_renders


class _Source(Protocol):
    """Where the passes of a finished render come from."""

    writes_file: bool

    def clear(self) -> None:
        """Forget the last render."""

    def take(self) -> dict[str, Image]:
        """The passes of the last render by Blender's own names, rows top-down; empty if there was none."""

    def close(self) -> None:
        """Leave Blender as it was."""


class Renderer:
    """Renders the camera of a stage. waits: `start` returns when the picture is there; else ask `running`."""

    def __init__(self, stage: Stage, restore: Restore, engine: str, *, waits: bool) -> None:
        self._stage, self._name = stage, stage.scene.name
        self._waits = waits or (engine == "EEVEE" and not compat.eevee_beside_window())
        self._source: _Source = CyclesTap(stage.scene.name) if engine == "CYCLES" else _EeveeFile(stage)
        self._cancelled = False
        if not self._waits:
            view = bpy.context.preferences.view
            restore.set(view, "render_display_type", "NONE")  # no window pops up for each view
            bpy.app.handlers.render_cancel.append(self._on_cancel)
            if engine == "CYCLES" and compat.hide_cycles_display(True):
                restore.later(lambda: compat.hide_cycles_display(False))

    @property
    def running(self) -> bool:
        """A render is not over: the one that `start` has begun, or one that the artist has begun beside it."""
        return not self._waits and bool(bpy.app.is_job_running("RENDER"))

    def start(self) -> None:
        """Render. Raises InputError if Blender cannot, or another render is running."""
        check_nothing_renders()
        self._source.clear()
        self._cancelled = False
        how = () if self._waits else ("INVOKE_DEFAULT",)
        try:
            # by override, not by the operator's own argument: that would render at the frame of the artist's scene
            with bpy.context.temp_override(scene=self._stage.scene):
                bpy.ops.render.render(*how, write_still=self._source.writes_file)
        except RuntimeError as error:
            raise errors.InputError(f"Blender could not render ({str(error).strip()}).", "Try it with F12.") from error

    def passes(self) -> dict[str, Image]:
        """The passes of the render that is over. Raises Cancelled if ESC ended it, InputError if nothing came."""
        if self._cancelled:
            raise errors.Cancelled
        grabbed = self._source.take()
        if not grabbed:
            raise errors.InputError("Blender delivered no picture.", "Is another render running? Try it with F12.")
        return grabbed

    def close(self) -> None:
        """Leave Blender's callbacks as they were."""
        self._source.close()
        if self._on_cancel in bpy.app.handlers.render_cancel:
            bpy.app.handlers.render_cancel.remove(self._on_cancel)

    def _on_cancel(self, scene: Any, *_: Any) -> None:  # from the thread of the render
        if scene.name == self._name:
            self._cancelled = True


class _EeveeFile:
    """EEVEE's passes by way of a multilayer EXR in a temporary folder."""

    writes_file = True

    def __init__(self, stage: Stage) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="digidouble-")
        self._path = Path(self._folder.name) / "view.exr"
        render = stage.scene.render
        render.filepath = str(self._path)
        compat.use_multilayer_exr(render.image_settings)
        render.image_settings.color_depth, render.image_settings.exr_codec = "32", "NONE"

    def clear(self) -> None:
        """See _Source."""
        for path in self._path.parent.glob("*.exr"):
            path.unlink()

    def take(self) -> dict[str, Image]:
        """See _Source."""
        written = next(self._path.parent.glob("*.exr"), None)  # 4.x and 5.x name it differently
        return {} if written is None else read_multilayer(written)

    def close(self) -> None:
        """See _Source."""
        self._folder.cleanup()
