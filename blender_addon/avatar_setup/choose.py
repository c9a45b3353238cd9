# SPDX-License-Identifier: GPL-3.0-or-later
"""Which objects belong to a head, and what they are: guessed from rig, parents, collections, names and places."""

from __future__ import annotations

from typing import Any

from mathutils import Vector

from ..capture.avatar import PARTS, STANDS_IN, Avatar, part_of

_WORDS = (  # the first that fits; lashes and brows come before the eyes whose name they hold
    ("lashes", ("lash", "wimper", "cils")),
    ("hair", ("hair", "brow", "beard", "moustache", "mustache", "scalp", "fringe", "braid", "ponytail", "haar")),
    ("mouth", ("teeth", "tooth", "tongue", "gum", "mouth", "denture", "jaw")),
    ("eyes", ("eye", "iris", "cornea", "pupil", "sclera")),
)
_MOST = 64  # parts; a scene with more meshes around the head is not one character


def armature_of(item: Any) -> Any | None:
    """The armature that moves a mesh: of its modifier, else among its parents. None: it does not move."""
    for modifier in item.modifiers:
        if modifier.type == "ARMATURE" and modifier.object is not None:
            return modifier.object
    parent = item.parent
    while parent is not None and parent.type != "ARMATURE":
        parent = parent.parent
    return parent


def suggest(avatar: Any, context: Any) -> None:
    """Fill in armature and parts for a newly chosen head (DigidoubleAvatar)."""
    head = avatar.head
    avatar.parts.clear()
    avatar.findings.clear()
    avatar.checked, avatar.collection = "", None
    avatar.armature = armature_of(head) if head is not None else None
    if head is not None:
        set_parts(avatar, companions(head, avatar.armature, context.scene))


def set_parts(avatar: Any, items: list[Any]) -> None:
    """Make these meshes the parts, each with its mark or a guess of what it is."""
    avatar.parts.clear()
    for item in items:
        entry = avatar.parts.add()
        entry.item, entry.part = item, guess_part(item, avatar.head)
    avatar.active_part = 0


def companions(head: Any, armature: Any | None, scene: Any) -> list[Any]:
    """Meshes that come with a head: on the same rig or below the same parents, or beside it in its collection and
    touching the box around it. Hidden ones are left out.
    """
    family = {item for item in (head, armature, head.parent) if item is not None}
    beside = {item for collection in head.users_collection if collection != scene.collection
              for item in collection.objects}  # fmt: skip
    low, high = bounds(head)
    found = []
    for item in scene.objects:
        if item == head or item.type != "MESH" or not item.data.polygons:
            continue
        if item.hide_render and STANDS_IN not in item:
            continue
        related = armature is not None and armature_of(item) == armature
        related = related or any(parent in family for parent in _parents(item))
        if related or (item in beside and _touch(bounds(item), (low, high))):
            found.append(item)
    return sorted(found, key=lambda item: item.name)[:_MOST]


def guess_part(item: Any, head: Any) -> str:
    """eyes, hair, mouth, lashes or other: its mark, else words in its names, else two small things before the face."""
    if item.get("digidouble_part") in (*PARTS, "other") and part_of(item) != "head":
        return part_of(item)
    materials = " ".join(slot.material.name for slot in item.material_slots if slot.material)
    for text in (item.name, item.data.name, item.parent_bone, materials):
        for part, words in _WORDS:
            if any(word in text.lower() for word in words):
                return part
    return "eyes" if _lies_like_eyes(bounds(item), bounds(head)) else "other"


def use_avatar(settings: Any, avatar: Avatar, collection: Any) -> None:
    """Take over an avatar that is marked in the file."""
    settings.head = avatar.head  # its update suggests parts, which the marks then correct
    settings.armature = avatar.armature
    set_parts(settings, avatar.parts[1:])
    settings.collection = collection


def bounds(item: Any) -> tuple[Vector, Vector]:
    """Lowest and highest corner of an object's box in the world."""
    corners = [item.matrix_world @ Vector(corner) for corner in item.bound_box]
    return (
        Vector([min(c[i] for c in corners) for i in range(3)]),
        Vector([max(c[i] for c in corners) for i in range(3)]),
    )


def _parents(item: Any) -> list[Any]:
    result = []
    while item.parent is not None:
        item = item.parent
        result.append(item)
    return result


def _touch(a: tuple[Vector, Vector], b: tuple[Vector, Vector]) -> bool:
    return all(a[0][i] <= b[1][i] and b[0][i] <= a[1][i] for i in range(3))


def _lies_like_eyes(box: tuple[Vector, Vector], head: tuple[Vector, Vector]) -> bool:
    """Low, deep as it is high, in the front half and the middle of the head's height."""
    size, room = box[1] - box[0], head[1] - head[0]
    if min(room) <= 0 or min(size) <= 0:
        return False
    middle = [((box[0][i] + box[1][i]) / 2 - head[0][i]) / room[i] for i in range(3)]
    round_ = 0.6 < size[1] / size[2] < 1.7 and size[2] < 0.2 * room[2]
    return round_ and middle[1] < 0.5 and 0.4 < middle[2] < 0.8 and size[0] < 0.8 * room[0]
