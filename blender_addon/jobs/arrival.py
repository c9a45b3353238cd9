# SPDX-License-Identifier: GPL-3.0-or-later
"""A double has arrived: put it into the scene that it belongs to, when the artist's hands are free."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .._interchange import errors
from .desk import Desk
from .records import IMPORTING, RESULT, JobRecord


def import_arrived(context: Any, desk: Desk) -> None:
    """Import one arrived double, if there is one and it may be done now."""
    for record in desk.records.values():
        if record.state == IMPORTING and desk.is_ours(record):
            _import(context, desk, record)
            return


def put_into_scene(context: Any, record: JobRecord) -> None:
    """Show a job's double. Raises InputError if it is not there or cannot be shown."""
    path = Path(record.results) / RESULT
    if not path.is_file():
        raise errors.InputError(f"{path} is not there any more.", "Press Retry: what is missing is fetched again.")
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


def _import(context: Any, desk: Desk, record: JobRecord) -> None:
    if not belongs_here(desk, record):
        name = Path(record.file).name if record.file else "its scene"
        desk.imported(record, note=f"Fetched. Open {name} and press Import.")
        return
    reason = _why_later(context)
    if reason is not None:
        desk.changed |= record.message != reason
        record.message = reason
        return
    try:
        put_into_scene(context, record)
    except errors.InputError as error:
        desk.imported(record, problem=error.message, hint=error.hint)
    else:
        desk.imported(record, note="In the scene.")


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
