# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of performers in the file: new ones, their folders, the consent form beside the record on disk."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import attrs
import bpy

from .. import folders
from .._interchange import consent, errors
from ..properties.performer import OPERATIONS
from . import folder_of, state_of
from .store import Terms, terms_of


def add_performer(context: Any, name: str, folder: Path | None = None) -> Any:
    """A new performer at the end of the list, and chosen. Without `folder` it gets one in the work folder."""
    scene = context.scene.digidouble
    name = _free_name(scene, name.strip() or "Performer")
    path = folder or free_folder(context, name)
    performer = scene.performers.add()
    performer.name, performer.folder = name, _relative(path)
    scene.active_performer = len(scene.performers) - 1
    return performer


def remove_active(context: Any) -> None:
    """Take the chosen performer off the list; its folder stays."""
    scene = context.scene.digidouble
    scene.performers.remove(scene.active_performer)
    scene.active_performer = max(min(scene.active_performer, len(scene.performers) - 1), 0)


def read_terms(form: Any) -> Terms:
    """What the form says. InputError for a date that is none."""
    operations = tuple(item[0] for item in OPERATIONS if item[0] in form.operations)
    return Terms(form.kind, form.subject, form.granted_by, form.authority, form.use, _expiry(form), operations)


def fill_form(performer: Any) -> bool:
    """Show the record on disk in the form; False if there is none that can be read."""
    record = state_of(performer).record
    if record is None:
        return False
    show_terms(performer.consent, terms_of(record))
    return True


def show_terms(form: Any, terms: Terms) -> None:
    """Fill the form in."""
    form.kind, form.authority = terms.kind, terms.authority
    form.subject, form.granted_by, form.use = terms.subject, terms.granted_by, terms.use
    form.operations = {item[0] for item in OPERATIONS if item[0] in terms.operations}
    form.never_expires = terms.expires is None
    form.expires = "" if terms.expires is None else terms.expires.isoformat()
    form.confirmed = False


def form_differs(form: Any, record: consent.ConsentRecord) -> bool:
    """True if the form says something else than the record on disk."""
    try:
        terms = read_terms(form)
    except errors.InputError:
        return True
    return _stripped(terms) != _stripped(terms_of(record))


def _stripped(terms: Terms) -> Terms:
    return attrs.evolve(
        terms, subject=terms.subject.strip(), granted_by=terms.granted_by.strip(), use=terms.use.strip(),
        operations=tuple(sorted(terms.operations)),
    )  # fmt: skip


def _expiry(form: Any) -> date | None:
    if form.never_expires:
        return None
    text = form.expires.strip()
    if not text:
        raise errors.InputError("The consent record has no last day.", "Write a date, or tick Never Expires.")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise errors.InputError(f"{text} is not a date.", "Write it as year-month-day, such as 2027-12-31.") from None


def _free_name(scene: Any, name: str) -> str:
    taken = {performer.name for performer in scene.performers}
    names = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
    return next(candidate for candidate in names if candidate not in taken)


def free_folder(context: Any, name: str) -> Path:
    """A folder in the work folder that no performer has and that holds nothing yet."""
    parent = folders.work_folder(context) / "performers"
    taken = {folder_of(performer) for scene in bpy.data.scenes for performer in scene.digidouble.performers}
    stem, number = folders.safe_name(name), 1
    while True:
        path = parent / (stem if number == 1 else f"{stem}_{number}")
        if path not in taken and not _holds_something(path):
            return path
        number += 1


def _holds_something(path: Path) -> bool:
    try:
        return any(path.iterdir())
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _relative(path: Path) -> str:
    """Beside a saved file as "//...", so that the project can move; else as it is."""
    if bpy.data.filepath:
        try:
            near = bpy.path.relpath(str(path))
        except ValueError:  # another drive on Windows
            return str(path)
        return str(path) if near.startswith("//..") else near
    return str(path)
