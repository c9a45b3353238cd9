# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is set in the scene to a job: what is still missing, and the record of a new one."""

from __future__ import annotations

import importlib
import uuid
from pathlib import Path
from typing import Any

import bpy

from .._interchange import errors
from ..folders import safe_name, work_folder
from . import results_folder
from .desk import Desk
from .parameters import parameters
from .records import JobRecord

_PACKAGE = __package__.rpartition(".")[0]


def what_is_missing(context: Any, desk: Desk) -> str | None:
    """The sentence for the grey button: no capture, no performer, no backend; None if a job can be sent."""
    try:
        _inputs(context, anew=False)
        _check_network(context.scene.digidouble.job)
        desk.switchboard.check(desk.backends.find(desk.backends.active))
    except errors.InputError as error:
        return str(error)
    return None


def new_record(context: Any, desk: Desk) -> JobRecord:
    """A job out of the scene's settings. Raises InputError saying what is missing."""
    capture, source = _inputs(context, anew=True)
    settings = context.scene.digidouble.job
    _check_network(settings)
    choices = settings.choices()
    record = JobRecord(
        job_id=uuid.uuid4().hex,
        name=_free_name(context, desk),
        kind=choices.kind,
        backend_id=desk.backends.active,
        parameters=parameters(choices),
        capture=str(capture),
        source=str(source) if source else "",
        results="",
        file=bpy.data.filepath,
        import_when_done=settings.import_when_done,
        fetch_views=settings.fetch_views,
    )
    record.results = str(results_folder(context, record))
    return record


def avatar_name(context: Any) -> str:
    """The chosen avatar's collection, or the only one in the file; else "avatar"."""
    from ..capture.avatar import avatar_names

    ask, known = getattr(context.scene.digidouble.avatar, "collection_name", None), avatar_names()
    return (ask(context) if ask else None) or (known[0] if len(known) == 1 else "avatar")


def _inputs(context: Any, *, anew: bool) -> tuple[Path, Path | None]:
    """Capture and source folder; no source for a job without a swap. anew: see active_source_folder. Raises InputError.
    """
    place = _room("capture.place", "A capture")
    folder = Path(place.capture_folder(context))
    if not place.is_complete(folder):
        raise errors.InputError(
            "There is no finished capture of this avatar.", "Capture it first, in the panel Capture."
        )
    if context.scene.digidouble.job.kind != "DOUBLE":
        return folder, None
    return folder, Path(_room("performer", "A performer").active_source_folder(context, anew=anew))


def _check_network(settings: Any) -> None:
    if settings.kind == "DOUBLE" and settings.swapper == "ONNX" and not settings.onnx_model.strip():
        raise errors.InputError(
            "No swap network is named.", "Show More: type its file name in the backend's models folder."
        )


def _room(name: str, what: str) -> Any:
    """A room of the add-on that another part of it provides. InputError where this build lacks it."""
    try:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    except ImportError as error:
        raise errors.InputError(f"{what} cannot be set up in this build ({name} is missing).", "Update it.") from error


def _free_name(context: Any, desk: Desk) -> str:
    """ "Ada 3": the avatar and a number that neither the list nor the disk has yet."""
    avatar, taken = avatar_name(context), {record.name for record in desk.records.values()}
    folder = work_folder(context) / safe_name(avatar) / "doubles"
    number = 1
    while (name := f"{avatar} {number}") in taken or (folder / safe_name(name)).exists():
        number += 1
    return name
