# SPDX-License-Identifier: GPL-3.0-or-later
"""Which avatar is captured: its head, rig and parts, what is wrong with them, how landmarks are shown."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from ..capture.avatar import is_among
from ..redrawing import redraw

PARTS = (
    ("eyes", "Eyes", "Eyeballs; they keep their own look"),
    ("hair", "Hair", "Hair, beard and eyebrows that are meshes of their own"),
    ("mouth", "Mouth", "Teeth, gums and tongue"),
    ("lashes", "Lashes", "Eyelashes"),
    ("other", "Other", "Body, clothes, glasses and the like"),
)
REGIONS = (
    ("region_face", "Face", "What becomes the performer's: 1 is all theirs, 0 is all the character's"),
    ("region_lips", "Lips", "The red of the lips"),
    ("region_brows", "Eyebrows", "The eyebrows"),
)
SEVERITIES = (("ERROR", "Must be fixed", ""), ("WARNING", "Should be fixed", ""), ("INFO", "To know", ""))


def _part_changed(self: Any, _: Any) -> None:
    if self.item is not None and self.item.library is None and "digidouble_part" in self.item:
        self.item["digidouble_part"] = self.part


def _head_changed(self: Any, context: Any) -> None:
    from ..avatar_setup import choose

    choose.suggest(self, context)


def _region_changed(self: Any, context: Any) -> None:
    head = self.usable_head(context)
    if head is not None and head.mode == "WEIGHT_PAINT":
        from ..avatar_setup import regions

        head.vertex_groups.active_index = regions.ready_to_paint(head, self.region).index


def _is_mesh(_: Any, item: Any) -> bool:
    return item.type == "MESH"


def _is_armature(_: Any, item: Any) -> bool:
    return item.type == "ARMATURE"


class DigidoublePart(bpy.types.PropertyGroup):
    """One mesh that belongs to the avatar beside its head."""

    item: PointerProperty(type=bpy.types.Object, poll=_is_mesh)  # type: ignore[valid-type]
    part: EnumProperty(  # type: ignore[valid-type]
        name="Part", description="What this mesh is", items=PARTS, default="other", update=_part_changed
    )


class DigidoubleFinding(bpy.types.PropertyGroup):
    """One thing that the check of an avatar has found."""

    severity: EnumProperty(items=SEVERITIES, default="INFO")  # type: ignore[valid-type]
    sentence: StringProperty()  # type: ignore[valid-type]
    fixes: StringProperty(description="Keys of fixes.FIXES, separated by spaces")  # type: ignore[valid-type]
    item: PointerProperty(type=bpy.types.Object)  # type: ignore[valid-type]
    detail: StringProperty(description="Name of a UV map or modifier")  # type: ignore[valid-type]


class DigidoubleAvatar(bpy.types.PropertyGroup):
    """Which avatar is captured."""

    head: PointerProperty(  # type: ignore[valid-type]
        name="Head", description="The mesh that carries the face; it may be the whole body",
        type=bpy.types.Object, poll=_is_mesh, update=_head_changed,
    )  # fmt: skip
    armature: PointerProperty(  # type: ignore[valid-type]
        name="Armature", description="The rig that moves the head. Empty: the character does not move",
        type=bpy.types.Object, poll=_is_armature,
    )  # fmt: skip
    parts: CollectionProperty(type=DigidoublePart)  # type: ignore[valid-type]
    active_part: IntProperty(default=0, min=0)  # type: ignore[valid-type]
    collection: PointerProperty(  # type: ignore[valid-type]
        description="The marked collection of this character", type=bpy.types.Collection
    )
    findings: CollectionProperty(type=DigidoubleFinding)  # type: ignore[valid-type]
    checked: StringProperty(  # type: ignore[valid-type]
        description="What the character looked like when it was checked"
    )
    show_notes: BoolProperty(  # type: ignore[valid-type]
        name="Show Notes", description="Show also what is only good to know", default=False
    )
    show_landmarks: BoolProperty(  # type: ignore[valid-type]
        name="Show Landmarks", description="Draw the face landmarks on the head in the 3D view", default=True,
        update=redraw,
    )  # fmt: skip
    region: EnumProperty(  # type: ignore[valid-type]
        name="Region", description="Which region is painted", items=REGIONS, default="region_face",
        update=_region_changed,
    )  # fmt: skip

    def collection_name(self, context: Any) -> str | None:
        """What `find_avatar` is to look for: the collection of the chosen avatar; None if none has been chosen.

        For a head that is chosen but not set up it is the head's name, so that no other avatar is taken in its place.
        """
        collection = self.collection
        if collection is not None and any("digidouble_avatar" in item for item in collection.all_objects):
            return str(collection.name)
        return None if self.head is None else str(self.head.name)

    def usable_head(self, context: Any) -> Any | None:
        """The head if it is still in the scene; an object that was deleted lives on behind our pointer."""
        head = self.head
        return head if head is not None and is_among(head, context.scene.objects) else None


GROUPS = (DigidoublePart, DigidoubleFinding, DigidoubleAvatar)
