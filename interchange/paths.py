# SPDX-License-Identifier: Apache-2.0
"""Paths that came from somebody else: relative, normalised, inside their folder, on every operating system."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from .errors import InputError

MAX_PATH = 400
MAX_PART = 200
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?\Z", re.IGNORECASE)  # Windows devices
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f<>:"|?*\\]')


def check_relative_path(path: str) -> str:
    """Returns the path if it is relative and harmless on Windows too; InputError (INPUT_PATH) says why not."""
    if not path or len(path.encode("utf-8", "replace")) > MAX_PATH:
        raise _refusal(path, "is empty or too long")
    if path.startswith("/"):
        raise _refusal(path, "is absolute")
    if _FORBIDDEN.search(path):
        raise _refusal(path, "holds a character that file names cannot have everywhere")
    for part in path.split("/"):
        if part in ("", ".", ".."):
            raise _refusal(path, "is not normalised or leads out of its folder")
        if part[-1] in " ." or len(part.encode("utf-8", "replace")) > MAX_PART or _RESERVED.match(part):
            raise _refusal(path, f"has a part that Windows cannot store ({part[:40]})")
    return path


def check_distinct(paths: Iterable[str]) -> None:
    """InputError if two of these checked paths are one file, or one is the folder of another, on any system."""
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        key = path.casefold()
        parents = {key[: i] for i, letter in enumerate(key) if letter == "/"}
        if key in files or key in folders or parents & files:
            raise _refusal(path, "collides with another file of the job")
        files.add(key)
        folders |= parents


def join_inside(folder: Path, path: str) -> Path:
    """`folder / path`, refused if the path is unsafe or passes through a symbolic link. Touches nothing."""
    target = folder
    for part in check_relative_path(path).split("/"):
        target = target / part
        if target.is_symlink():
            raise _refusal(path, "passes through a symbolic link")
    return target


def scan_folder(folder: Path) -> dict[str, Path]:
    """All files below a folder by their relative path, sorted. InputError for symbolic links and unsafe names."""
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}.", "Check the path.")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise _refusal(name, "is a symbolic link")
        if path.is_file():
            found[check_relative_path(name)] = path
    return found


def _refusal(path: str, reason: str) -> InputError:
    shown = path if len(path) <= 120 else path[:117] + "..."
    return InputError(
        f"The file path {shown!r} {reason}.", "Rename the file or leave it out of the job.", code="INPUT_PATH"
    )
