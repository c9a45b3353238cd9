# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source folder holds and what it still lacks. The folder is the truth: nothing of it is kept in the .blend
file, so undo, other programs and a second Blender cannot make the two disagree. No bpy.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import attrs

from .._interchange import consent, errors, landmarks
from .checks import problem_of, remark_of
from .photo_header import SUFFIXES, PhotoHeader, read_header

OPERATION = "swap"


@attrs.frozen
class PhotoFacts:
    """What follows from a photo's bytes: its header (None with a problem instead) and its SHA-256."""

    header: PhotoHeader | None
    problem: str | None
    digest: str


@attrs.frozen
class PhotoState:
    """A photo with its points. problem: why the backend would refuse it; remark: what looks odd; or None.
    found_by: the networks that found the points, as the landmark file names them."""

    path: Path
    facts: PhotoFacts
    points: landmarks.Points
    landmark_file: Path | None
    problem: str | None
    remark: str | None
    found_by: tuple[dict[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The photo's name in its folder."""
        return self.path.name


@attrs.frozen
class FolderState:
    """A source folder: its photos in the order in which the backend reads them, then those without landmarks.

    record: what consent.json says, None where there is none or it is damaged. file_problem: a landmark file that
    cannot be used. consent_problem: why the record does not do.
    """

    path: Path
    photos: tuple[PhotoState, ...]
    record: consent.ConsentRecord | None
    file_problem: str | None
    consent_problem: str | None

    @property
    def problem(self) -> str | None:
        """The first thing that is missing or wrong, or None for a source that can be sent."""
        if not self.photos:
            return "No photo yet."
        photo_problems = (photo.problem for photo in self.photos if photo.problem)
        return self.file_problem or next(photo_problems, None) or self.consent_problem

    def photo(self, name: str) -> PhotoState:
        """The photo called `name`. InputError lists what there is."""
        for photo in self.photos:
            if photo.name == name:
                return photo
        known = ", ".join(photo.name for photo in self.photos) or "none"
        raise errors.InputError(f"The performer has no photo called {name!r}.", f"Photos: {known}.")


def facts_of(path: Path) -> PhotoFacts:
    """Read a photo's header and digest."""
    try:
        header = read_header(path)
        landmarks.check_size(Path(path.name), header.width, header.height)
        return PhotoFacts(header, None, consent.sha256_of_file(path))
    except errors.InputError as error:
        return PhotoFacts(None, str(error), "")
    except OSError as error:
        return PhotoFacts(None, errors.describe_os_error(error), "")


def look(folder: Path, today: date, facts: Callable[[Path], PhotoFacts] = facts_of) -> FolderState:
    """Read a source folder. Whatever is wrong in it becomes a sentence of the result; nothing is raised."""
    try:
        files = sorted(p for p in folder.iterdir() if p.is_file())
    except FileNotFoundError:
        files = []
    except OSError as error:
        return FolderState(folder, (), None, errors.describe_os_error(error), None)
    photos = {p.name: p for p in files if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")}
    marked, file_problem = _landmark_files([p for p in files if p.match("landmarks*.json")], photos)
    names = [*marked, *(name for name in photos if name not in marked)]
    states = tuple(_state(photos[name], facts(photos[name]), marked.get(name)) for name in names)
    record, consent_problem = _consent(folder, states, today)
    return FolderState(folder, states, record, file_problem, consent_problem)


def _landmark_files(
    files: list[Path], photos: dict[str, Path]
) -> tuple[dict[str, tuple[Path, landmarks.LandmarkFile]], str | None]:
    """By photo its landmark file and points, in the order of the files; and the first file that is of no use."""
    marked: dict[str, tuple[Path, landmarks.LandmarkFile]] = {}
    problem = None
    for path in files:
        try:
            file = landmarks.read_landmark_file(path, fewest=0)
        except errors.InputError as error:
            problem = problem or str(error)
            continue
        photo = file.image
        if photo not in photos:
            problem = problem or f"{path.name} is about {photo}, which is not there: add that photo or delete the file."
        elif photo in marked:
            problem = problem or f"{marked[photo][0].name} and {path.name} are both about {photo}: delete one of them."
        else:
            marked[photo] = (path, file)
    return marked, problem


def _state(path: Path, facts: PhotoFacts, marked: tuple[Path, landmarks.LandmarkFile] | None) -> PhotoState:
    file, content = marked or (None, landmarks.LandmarkFile(path.name, {}))
    points, found_by = content.points, content.found_by
    if facts.header is None:
        return PhotoState(path, facts, points, file, facts.problem, None, found_by)
    problem = problem_of(path.name, points, facts.header.width, facts.header.height)
    remark = None if problem else remark_of(path.name, points)
    return PhotoState(path, facts, points, file, problem, remark, found_by)


def _consent(
    folder: Path, photos: tuple[PhotoState, ...], today: date
) -> tuple[consent.ConsentRecord | None, str | None]:
    if not (folder / consent.FILE_NAME).exists():
        return None, "There is no consent record yet."
    try:
        record = consent.load_consent(folder)
    except errors.InputError as error:
        return None, str(error)
    try:
        consent.check_terms(record, OPERATION, today)
    except errors.InputError as error:
        return record, str(error)
    missing = consent.uncovered(record, {photo.name: photo.facts.digest for photo in photos})
    if missing:
        return record, f"The consent record does not cover {', '.join(missing)}: confirm again."
    return record, None
