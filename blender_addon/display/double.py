# SPDX-License-Identifier: GPL-3.0-or-later
"""From a folder that the backend finished (docs/formats/double.md) to an object that follows its avatar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np

from .._interchange import capture, errors, splats
from .attributes import keep_points, read_attribute
from .binding import bind, find_part, read_birth
from .follow import attach
from .pointcloud import add_splats, read_back

SPLATS, BINDING, MANIFEST = "splats.ply", "binding.npz", "capture.json"


@attrs.frozen(eq=False)
class Shown:
    """The new object; sentences for the artist; whether it follows its avatar."""

    item: Any
    notes: list[str]
    follows: bool


def splats_in(path: Path) -> Path:
    """The splat file of a double's folder, of a folder of results that holds a double, or the file itself."""
    if not path.is_dir():
        return path
    inside = path / "double" / SPLATS
    return inside if inside.is_file() and not (path / SPLATS).is_file() else path / SPLATS


def show_double(path: Path, captured_in: Path | None, scene: Any) -> Shown:
    """Put a double into the scene where its avatar was captured.

    path: its folder, or a splat file. captured_in: the capture's folder, which says what the splats hang on; None shows
    the double without following. Raises InputError if the splats cannot be read; whatever hinders the following only
    is a note.
    """
    file = splats_in(path)
    cloud = splats.read_splats(file)
    finite = cloud.finite()
    notes = [] if finite.all() else [f"{int((~finite).sum())} splats with NaN or infinite numbers were left out."]
    item = add_splats(cloud, scene, name_for(file))
    follows = False
    if captured_in is not None:
        try:
            notes += follow_avatar(item, file.with_name(BINDING), captured_in)
            follows = True
        except errors.InputError as error:
            notes.append(f"The double does not follow the avatar: {error}")
    if not finite.all():
        keep_points(item, finite)
    return Shown(item, notes, follows)


def follow_avatar(item: Any, birth: Path, captured_in: Path) -> list[str]:
    """Bind a splat object to the avatar of a capture, looked up in the open file; notes for the artist.

    birth: binding.npz of its double. A missing one, or one of more splats than are left, is no hindrance: each splat
    then hangs on the nearest triangle. Raises InputError if the capture or the avatar is missing or has changed.
    """
    captured = capture.Capture.load(captured_in)
    if all(find_part(captured.name, part.name) is None for part in captured.objects):
        raise errors.InputError(
            f"the avatar {captured.name!r} is not in this file.", "Open the file that it was captured from."
        )
    cloud = read_back(item)
    notes: list[str] = []
    face, barycentric, pose = np.full(len(cloud), -1), np.zeros((len(cloud), 3)), ""
    if birth.is_file():
        try:
            face, barycentric, pose = read_birth(birth, len(cloud))
        except errors.InputError as error:
            notes.append(f"{error.message} Splats hang on the nearest surface.")
    found = bind(captured, face, barycentric, pose, cloud.means)
    attach(item, found)
    return notes + found.notes


def name_for(file: Path) -> str:
    """An object's name from a file's: where that is splats.ply its folder's, or that of the job that made it."""
    if file.name != SPLATS:
        return file.name.split(".")[0] or "double"
    folder = file.resolve().parent
    return next((name for name in (folder.name, folder.parent.name) if name not in ("", "outputs", "double")), "double")


def select_only(item: Any, context: Any) -> None:
    """Make an object the active and the only selected one."""
    context.view_layer.update()  # or a new object is not known to it yet
    for other in list(context.view_layer.objects.selected):
        other.select_set(False)
    if context.view_layer.objects.get(item.name) == item:
        item.select_set(True)
        context.view_layer.objects.active = item


def bounds(item: Any) -> tuple[Any, Any]:
    """(3,) middle and (3,) half size of the splats' middles in the object's own axes."""
    places = read_attribute(item.data, "position")
    low, high = places.min(axis=0), places.max(axis=0)
    return (low + high) / 2, np.maximum((high - low) / 2, 1e-4)


def collection_of(item: Any) -> Any:
    """The collection that an object lies in, for what is put beside it."""
    return item.users_collection[0] if item.users_collection else bpy.context.scene.collection
