# SPDX-License-Identifier: GPL-3.0-or-later
"""The marks that make objects an avatar: custom properties and a collection, as docs/avatars.md describes them.

Objects are only ever linked to one collection more; where the artist keeps them stays as it is.
"""

from __future__ import annotations

import json
from typing import Any

import bpy

from .._interchange import errors

MADE = "digidouble_made"
"""Set on collections that `make` made; their contents follow the panel."""


def make(avatar: Any, scene: Any) -> Any:
    """Mark head, parts and armature of a DigidoubleAvatar and collect them; returns the collection.

    Raises InputError if a part is linked from another file or twice in the list.
    """
    head = avatar.head
    parts = {entry.item: entry.part for entry in avatar.parts if entry.item is not None and entry.item != head}
    for item in (head, *parts):
        refuse_linked(item)
    everything = [head, *parts, *([avatar.armature] if avatar.armature is not None else [])]
    collection = _collection(avatar.collection, head, everything)
    if collection not in set(scene.collection.children_recursive):
        scene.collection.children.link(collection)
    head["digidouble_part"] = "head"
    for item, part in parts.items():
        item["digidouble_part"] = part
    _describe(collection, avatar.armature, head)
    avatar.collection = collection
    return collection


def _collection(present: Any | None, head: Any, items: list[Any]) -> Any:
    """Ours, made to hold just these; or one of the artist's that does already."""
    candidates = [c for c in (present, *head.users_collection) if c is not None]
    collection = next((c for c in candidates if c.get(MADE) and c.library is None), None)
    if collection is None:
        fitting = next((c for c in candidates if _fits(c, items)), None)
        if fitting is not None:
            return fitting
        collection = bpy.data.collections.new(head.name)
        collection[MADE] = True
    for item in set(collection.objects) - set(items):
        collection.objects.unlink(item)
        if "digidouble_part" in item and item.library is None:
            del item["digidouble_part"]
    for item in set(items) - set(collection.objects):
        collection.objects.link(item)
    return collection


def _fits(collection: Any, items: list[Any]) -> bool:
    """True if a collection of this file has these objects, and no other meshes."""
    if collection.library is not None or bpy.data.collections.get(collection.name) != collection:
        return False  # a scene's own collection is in no list of collections
    present = set(collection.all_objects)
    return set(items) <= present and {i for i in present if i.type == "MESH"} == {i for i in items if i.type == "MESH"}


def _describe(collection: Any, armature: Any | None, head: Any) -> None:
    """The note on what the avatar is: on its armature, on the head where there is none or where it is linked."""
    bearer = armature if armature is not None and armature.library is None else head
    for item in collection.all_objects:
        if "digidouble_avatar" in item and item != bearer and item.library is None:
            bearer["digidouble_avatar"] = item["digidouble_avatar"]
            del item["digidouble_avatar"]
    if "digidouble_avatar" not in bearer:
        bearer["digidouble_avatar"] = json.dumps({"name": collection.name, "kind": "artist"}, ensure_ascii=False)


def is_made(avatar: Any) -> bool:
    """True if the marks in the file say what the settings (DigidoubleAvatar) say."""
    collection = avatar.collection
    if collection is None or avatar.head is None or avatar.head.get("digidouble_part") != "head":
        return False
    wanted = {entry.item: entry.part for entry in avatar.parts if entry.item is not None}
    members = {item for item in collection.all_objects if item.type == "MESH"} - {avatar.head}
    return members == set(wanted) and all(item.get("digidouble_part") == part for item, part in wanted.items())


def refuse_linked(item: Any) -> None:
    """Raises InputError if an object's marks could not be saved."""
    if item.library is not None:
        raise errors.InputError(
            f"{item.name!r} is linked from another file, so nothing can be marked on it.",
            "Make it local: the button is in the list of checks.",
        )
