# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the add-on keeps its files: beside the .blend file, or in the artist's own place while that is not saved."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import bpy

from ._interchange import errors
from .preferences import preferences


def work_folder(context: Any) -> Path:
    """`digidouble/` beside the saved .blend file; else the folder of the preferences, else Blender's user folder.

    The folder need not exist yet.
    """
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / "digidouble"
    chosen = preferences(context)
    if chosen is not None and chosen.work_folder:
        return Path(bpy.path.abspath(chosen.work_folder))
    return user_folder() / "work"


def user_folder() -> Path:
    """The place for what belongs to the artist and not to one file (keys, job history); made if it is not there.

    Raises InputError if it cannot be made.
    """
    try:
        # an extension has a folder of its own; the package run from a checkout uses the user's data folder
        if __package__.startswith("bl_ext."):
            return Path(bpy.utils.extension_path_user(__package__, create=True))
        folder = Path(bpy.utils.user_resource("DATAFILES")) / "digidouble"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    except OSError as error:
        raise errors.InputError(
            f"Blender's user folder cannot be written ({error.strerror}).", "Set a work folder in the preferences."
        ) from error


def from_property(text: str, fallback: Path) -> Path:
    """The folder that a path property names ("//" is beside the .blend file), or `fallback` when it is empty."""
    return Path(bpy.path.abspath(text)) if text.strip() else fallback


def shown(path: Path) -> str:
    """A path as it is told in the panel: short ("//...") where it lies beside the .blend file."""
    if bpy.data.filepath and path.is_relative_to(Path(bpy.data.filepath).parent):
        return f"//{path.relative_to(Path(bpy.data.filepath).parent).as_posix()}"
    return str(path)


def safe_name(text: str) -> str:
    """A file name out of a data-block's name, which may hold anything. Letters of all scripts stay, accents with them
    (bpy.path.clean_name keeps Greek and drops an umlaut, so that Müller and Möller would share a folder).
    """
    letters = unicodedata.normalize("NFC", text)
    kept = "".join(c if c == "-" or unicodedata.category(c)[0] in "LMN" else "_" for c in letters)
    return kept.strip("_") or "unnamed"
