# SPDX-License-Identifier: GPL-3.0-or-later
"""A double has arrived: put it into the scene that it belongs to, when the artist's hands are free.

In a window this is done in steps of a few milliseconds, and what needs no bpy in a thread (steps.py). The object comes
into the scene in the last step, with an undo step of its own. An undo, a cancellation or another file in between end
the work, and nothing of it is left; if the double still belongs here it begins again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .._interchange import errors
from ..capture.restore import Gone
from ..compat import changes_refused
from ..display.double import Shown, beside, settle, showing
from ..display.modes import POINTS_MODE
from ..steps import BUDGET_S, Stepped
from .desk import Desk
from .messages import Surprise
from .records import IMPORTING, RESULT, JobRecord
from .words import problem_and_hint


class Arrivals:
    """Doubles that come in, one after the other."""

    def __init__(self, *, waits: bool, budget_s: float = BUDGET_S) -> None:
        """waits: bring a double in at once, whatever time that takes, since there is no window to keep alive."""
        self._waits, self._budget_s = waits, budget_s
        self._at_work: tuple[str, Stepped[Shown]] | None = None

    def step(self, context: Any, desk: Desk) -> bool:
        """Go on with the double that is coming in, or begin with one. True if there is more to do soon."""
        record = self._next(desk)
        if record is None or self._at_work is not None and self._at_work[0] != record.job_id:
            self.drop()  # it was cancelled
        if record is None:
            return False
        if not _may_come(context, desk, record):
            self.drop()  # nothing half done lies about while the artist works
            return False
        try:
            if self._waits:
                put_into_scene(context, record)
                desk.imported(record, note="In the scene.")
                return False
            return self._go_on(context, desk, record)
        except (Gone, ReferenceError):
            self.drop()  # deleted under our hands: once more
        except (errors.InputError, OSError) as error:
            self.drop()
            problem, hint = problem_and_hint(error)
            desk.imported(record, problem=problem, hint=hint)
        except Exception as error:
            if changes_refused(error):
                if self._at_work is not None and not self._at_work[1].is_over:
                    self.drop()  # it has ended the steps
                return True
            self.drop()
            desk.surprises.append(Surprise(f"import of {record.name}", error))
            problem = "Something went wrong inside Digidouble."
            desk.imported(record, problem=problem, hint="Copy the error report from the panel.")
        return False

    def drop(self) -> None:
        """Give up what is half done, because data-blocks are about to change or have changed; it begins again."""
        if self._at_work is not None:
            steps, self._at_work = self._at_work[1], None
            steps.close()

    def _next(self, desk: Desk) -> JobRecord | None:
        waiting = [r for r in desk.records.values() if r.state == IMPORTING and desk.is_ours(r)]
        begun = [r for r in waiting if self._at_work is not None and r.job_id == self._at_work[0]]
        return next(iter(begun or waiting), None)

    def _go_on(self, context: Any, desk: Desk, record: JobRecord) -> bool:
        with _in_a_view(context):
            if self._at_work is None:
                work = showing(_file_of(record), _capture_of(record), context.scene)
                self._at_work = record.job_id, Stepped(work, self._budget_s)
            steps = self._at_work[1]
            if steps.step():
                return True
            shown = steps.result
            settle(shown, _capture_of(record), POINTS_MODE, True, context)
            bpy.ops.ed.undo_push(message="Show Double")
        self._at_work = None
        desk.imported(record, note=" ".join(["In the scene.", *shown.notes]))
        return False


def put_into_scene(context: Any, record: JobRecord) -> None:
    """Show a job's double. Raises InputError if it is not there or cannot be shown."""
    path = _file_of(record)
    if not hasattr(bpy.types, "DIGIDOUBLE_OT_show_double"):
        raise errors.InputError("This build cannot show doubles.", f"Use File > Import > Gaussian Splats on {path}.")
    try:
        with _in_a_view(context):
            result = bpy.ops.digidouble.show_double("EXEC_DEFAULT", True, filepath=str(path), capture=record.capture)
    except RuntimeError as error:  # the operator's own report
        raise errors.InputError(str(error).removeprefix("Error: ").strip()) from error
    if "FINISHED" not in result:
        raise errors.InputError("The double could not be shown.", "The message above says why.")


def belongs_here(desk: Desk, record: JobRecord) -> bool:
    """True if the open file is the one that the job was sent from."""
    return record.visit == desk.visit or (bool(record.file) and record.file == bpy.data.filepath)


def _may_come(context: Any, desk: Desk, record: JobRecord) -> bool:
    """Whether the double may come in now; if it may not, the record says why, or that it has ended."""
    if not belongs_here(desk, record):
        name = Path(record.file).name if record.file else "its scene"
        desk.imported(record, note=f"Fetched. Open {name} and press Import.")
        return False
    reason = _why_later(context)
    desk.changed |= record.message != (reason or "")
    record.message = reason or ""
    return reason is None


def _file_of(record: JobRecord) -> Path:
    path = Path(record.results) / RESULT
    if not path.is_file():
        raise errors.InputError(f"{path} is not there any more.", "Press Retry: what is missing is fetched again.")
    return path


def _capture_of(record: JobRecord) -> Path | None:
    return Path(record.capture) if record.capture.strip() else beside(_file_of(record))


def _why_later(context: Any) -> str | None:
    """Adding an object now would disturb the artist, or Blender."""
    if context.window_manager.digidouble.activity.running:
        return f"Imports when {context.window_manager.digidouble.activity.title} has ended."
    if bpy.app.is_job_running("RENDER"):
        return "Imports when the render has ended."
    if context.mode != "OBJECT":
        return "Imports when you are back in Object Mode."
    return None


def _in_a_view(context: Any) -> Any:
    """Timers have no window of their own: use the first, and its 3D view. Without a window none is to be used: those
    that a file brings along are not drawn, and an operator that is run in one crashes Blender (4.5, a saved layout).
    """
    if bpy.app.background:
        return context.temp_override()
    windows = context.window_manager.windows
    window = context.window or (windows[0] if windows else None)
    if window is None or window.screen is None:
        return context.temp_override()
    for area in window.screen.areas:
        if area.type == "VIEW_3D":
            region = next((region for region in area.regions if region.type == "WINDOW"), None)
            return context.temp_override(window=window, area=area, region=region)
    return context.temp_override(window=window)
