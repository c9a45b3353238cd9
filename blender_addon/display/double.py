# SPDX-License-Identifier: GPL-3.0-or-later
"""From a folder that the backend finished (docs/formats/double.md) to an object that follows its avatar."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np

from .._interchange import capture, errors, splats
from ..capture.restore import finder
from ..steps import Steps, at_once
from .attributes import Array, Attributes, read_attribute
from .binding import Binding, binding, find_part, read_birth
from .follow import attach, binding_attributes, hang
from .follow_nodes import follow_group
from .pointcloud import new_data, new_object, read_back, splat_attributes

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


def beside(path: Path) -> Path | None:
    """The capture that a demo or a job leaves beside the double."""
    folder = splats_in(path).parent
    return next((c for c in (folder.parent / "capture", folder / "capture") if (c / MANIFEST).is_file()), None)


def show_double(path: Path, captured_in: Path | None, scene: Any) -> Shown:
    """Put a double into the scene where its avatar was captured.

    path: its folder, or a splat file. captured_in: the capture's folder, which says what the splats hang on; None shows
    the double without following. Raises InputError if the splats cannot be read; whatever hinders the following only
    is a note.
    """
    return at_once(showing(path, captured_in, scene))


def showing(path: Path, captured_in: Path | None, scene: Any) -> Steps[Shown]:
    """The steps of `show_double`. The scene gets the object in the last one, whole; until then the file holds nothing
    that would be saved. Raises Gone if what a step needs has been deleted meanwhile.
    """
    file = splats_in(path)
    name, find_scene = name_for(file), finder(scene)
    cloud, finite, attributes = yield partial(_read, file)
    notes = [] if finite.all() else [f"{int((~finite).sum())} splats with NaN or infinite numbers were left out."]
    hangs = None
    if captured_in is not None:
        try:
            hangs, said = yield from hanging(cloud.means, finite, file.with_name(BINDING), captured_in)
            notes += said
        except errors.InputError as error:
            notes.append(f"The double does not follow the avatar: {error}")
    if hangs is not None:
        attributes = yield partial(_with_binding, attributes, hangs)
        yield None
        follow_group()
    find_data = yield from new_data(name, attributes)
    data = find_data()
    try:
        item = new_object(data, name, cloud)
        if hangs is not None:
            hang(item, hangs.parts)
        find_scene().collection.objects.link(item)
    except BaseException:
        bpy.data.pointclouds.remove(data)  # and with it the object that shows it
        raise
    return Shown(item, notes, hangs is not None)


def _read(file: Path) -> tuple[splats.SplatCloud, Array, Attributes]:
    """The cloud in a file, (N,) which of its splats are finite, and attributes of those. No bpy."""
    cloud = splats.read_splats(file)
    finite, attributes = cloud.finite(), splat_attributes(cloud)
    if not finite.all():
        attributes = {name: (kind, values[finite]) for name, (kind, values) in attributes.items()}
    return cloud, finite, attributes


def _with_binding(attributes: Attributes, hangs: Binding) -> Attributes:
    return attributes | binding_attributes(hangs)


def follow_avatar(item: Any, birth: Path, captured_in: Path) -> list[str]:
    """Bind a splat object to the avatar of a capture, looked up in the open file; notes for the artist.

    birth: binding.npz of its double. A missing one, or one of more splats than are left, is no hindrance: each splat
    then hangs on the nearest triangle. Raises InputError if the capture or the avatar is missing or has changed.
    """
    means = read_back(item).means
    found, notes = at_once(hanging(means, np.ones(len(means), bool), birth, captured_in))
    attach(item, found)
    return notes


def hanging(means: Array, keep: Array, birth: Path, captured_in: Path) -> Steps[tuple[Binding, list[str]]]:
    """The steps to the binding of the splats of a mask (N,), and notes for the artist: see `follow_avatar`."""
    captured = yield partial(capture.Capture.load, captured_in)
    if all(find_part(captured.name, part.name) is None for part in captured.objects):
        raise errors.InputError(
            f"the avatar {captured.name!r} is not in this file.", "Open the file that it was captured from."
        )
    notes: list[str] = []
    face, barycentric, pose = np.full(len(means), -1), np.zeros((len(means), 3)), ""
    if birth.is_file():
        try:
            face, barycentric, pose = yield partial(read_birth, birth, len(means))
        except errors.InputError as error:
            notes.append(f"{error.message} Splats hang on the nearest surface.")
    found = yield from binding(captured, face[keep], barycentric[keep], pose, means[keep])
    return found, notes + found.notes


def settle(shown: Shown, captured: Path | None, mode: str, hide_avatar: bool, context: Any) -> None:
    """What the artist asked for: how a double that has just come is shown, and whether in the avatar's place."""
    said = shown.item.digidouble
    said.mode = mode
    if shown.follows:
        said.capture, said.follow = str(captured), True
        said.show_avatar = not hide_avatar
    select_only(shown.item, context)


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
