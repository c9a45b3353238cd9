# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes a source folder: photos come and go, points are saved, consent is recorded. No bpy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs

from .._interchange import capture, consent, errors, landmarks, whole_files
from .folder import OPERATION, FolderState, PhotoState, facts_of

FIRST = "landmarks.json"
_LONGEST_STEM = 80


@attrs.frozen
class Terms:
    """What a consent record says, apart from the photos. expires: the last day, None for never."""

    kind: str
    subject: str
    granted_by: str
    authority: str
    use: str
    expires: date | None
    operations: tuple[str, ...] = (OPERATION,)


def add_photo(state: FolderState, photo: Path, clean: Callable[[str], str]) -> str | None:
    """Copy a photo into the folder as it is; returns its name there, or None if the folder has the same bytes already.

    clean: makes a file name out of any text. Raises InputError for a file that is no usable photo, OSError.
    """
    facts = facts_of(photo)
    if facts.header is None:
        raise errors.InputError(facts.problem or f"{photo.name} is no photo.")
    if any(facts.digest == there.facts.digest for there in state.photos):
        return None
    state.path.mkdir(parents=True, exist_ok=True)
    name = _free_name(state.path, clean(photo.stem)[:_LONGEST_STEM], photo.suffix.lower())
    with open(photo, "rb") as original, whole_files.whole_file(state.path / name) as copy:
        shutil.copyfileobj(original, copy)
    return name


def remove_photo(photo: PhotoState) -> None:
    """Delete a photo and its landmark file. Raises OSError."""
    if photo.landmark_file is not None:
        photo.landmark_file.unlink(missing_ok=True)
    photo.path.unlink(missing_ok=True)


def save_points(
    state: FolderState, photo: PhotoState, points: landmarks.Points, found_by: Sequence[dict[str, str]] | None = None
) -> Path:
    """Write a photo's points into its landmark file, a new one if it has none; without points the file goes.

    found_by: the networks that found them; None: those that the file names already (points are corrected by hand).

    Returns the file. Raises OSError.
    """
    path = photo.landmark_file or state.path / landmark_file_for(state, photo)
    if points:
        landmarks.write_landmarks(path, photo.name, points, photo.found_by if found_by is None else found_by)
    else:
        path.unlink(missing_ok=True)
    return path


def make_first(state: FolderState, photo: PhotoState) -> None:
    """Let a photo settle tone and exposure: its points go to the landmark file that is read first. Whatever interrupts
    it, no points are lost. Raises InputError for a photo without points, OSError."""
    if photo.landmark_file is None:
        raise errors.InputError(f"{photo.name} has no landmarks yet.", "Place them first.")
    if photo.landmark_file.name == FIRST:
        return
    for there in state.photos:
        if there.landmark_file is not None and there.landmark_file.name == FIRST:
            path = state.path / landmark_file_for(state, there)
            landmarks.write_landmarks(path, there.name, there.points, there.found_by)
    landmarks.write_landmarks(state.path / FIRST, photo.name, photo.points, photo.found_by)
    photo.landmark_file.unlink()


def landmark_file_for(state: FolderState, photo: PhotoState) -> str:
    """The name of a new landmark file. The backend takes tone and exposure from the first by name: `landmarks.json`,
    which goes to the photo that is marked first."""
    taken = {there.landmark_file.name.casefold() for there in state.photos if there.landmark_file}
    if not any(there.landmark_file for there in state.photos):
        return FIRST
    stem = f"landmarks_{photo.path.stem}"
    names = (f"{stem}{'' if number == 1 else f'_{number}'}.json" for number in range(1, 1000))
    return next(name for name in names if name.casefold() not in taken)


def write_consent(state: FolderState, terms: Terms) -> None:
    """Write consent.json over all photos of the folder. Fields of an earlier record that we do not know stay, but not
    its signature, which was given to other words. Raises InputError for terms that say too little, OSError."""
    for name, text in (("who is depicted", terms.subject), ("who gave it", terms.granted_by), ("the use", terms.use)):
        if not text.strip():
            raise errors.InputError(f"The consent record does not say {name}.", "Fill in that line.")
    broken = [photo for photo in state.photos if photo.facts.header is None]
    if broken or not state.photos:
        raise errors.InputError(broken[0].problem or "" if broken else "There is no photo that consent could cover.")
    content = consent.consent_content(
        kind=terms.kind,
        subject=terms.subject.strip(),
        granted_by=terms.granted_by.strip(),
        authority=terms.authority,
        use=terms.use.strip(),
        operations=terms.operations,
        expires=terms.expires,
        source_sha256={photo.name: photo.facts.digest for photo in state.photos},
    )
    capture.write_json(state.path / consent.FILE_NAME, _extra_fields(state.path, content) | content)


def terms_of(record: consent.ConsentRecord) -> Terms:
    """The terms that a record states."""
    return Terms(
        record.kind, record.subject, record.granted_by, record.authority, record.use, record.expires, record.operations
    )


def _extra_fields(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    try:
        before = json.loads((folder / consent.FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    known: Sequence[str] = (*content, "signature")
    return {key: value for key, value in before.items() if key not in known} if isinstance(before, dict) else {}


def _free_name(folder: Path, stem: str, suffix: str) -> str:
    taken = {path.name.casefold() for path in folder.iterdir()}
    names = (f"{stem}{'' if number == 1 else f'_{number}'}{suffix}" for number in range(1, 10_000))
    return next(name for name in names if name.casefold() not in taken)
