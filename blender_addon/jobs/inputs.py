# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files of a job travel to the backend. No bpy."""

from __future__ import annotations

from pathlib import Path

from .._interchange import errors, landmarks

LEFT_OUT = ("previews", "resume.json")
"""Of a capture: nothing is computed from them."""


def files_to_send(capture: str, source: str) -> dict[str, Path]:
    """The inputs by the path that they have at the backend: capture/..., and source/... unless `source` is "".

    Raises InputError if a folder is gone or empty.
    """
    found: dict[str, Path] = {}
    for name, folder in (("capture", capture), ("source", source)):
        if folder:
            found |= _files_of(name, Path(folder))
    return found


def _files_of(name: str, folder: Path) -> dict[str, Path]:
    paths = sorted(folder.rglob("*")) if name == "capture" else landmarks.files_of_source(folder)
    files = {
        f"{name}/{path.relative_to(folder).as_posix()}": path
        for path in paths
        if path.is_file() and path.suffix != ".part" and path.relative_to(folder).parts[0] not in LEFT_OUT
    }
    if not files:
        action = "Capture the avatar again." if name == "capture" else "Set the performer up again."
        raise errors.InputError(f"The {name} folder {folder} is gone or empty.", action)
    return files
