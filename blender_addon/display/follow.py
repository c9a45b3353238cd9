# SPDX-License-Identifier: GPL-3.0-or-later
"""A double that moves with its avatar: one modifier for each part of the avatar that splats hang on."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from .. import compat
from ..capture.avatar import STANDS_IN
from .attributes import Attributes, remove_attributes, write_attribute
from .binding import Binding, BoundPart
from .follow_nodes import COARSE, CORNERS, NEEDED, NUMBER, OBJECT, PART, REST, follow_group

REGION = "bind_region"
_PREFIX = "Follow "


def attach(item: Any, binding: Binding) -> None:
    """Write the binding on a splat object and have it follow."""
    detach(item)
    for name, (kind, values) in binding_attributes(binding).items():
        write_attribute(item.data, name, kind, values)
    hang(item, binding.parts)


def binding_attributes(binding: Binding) -> Attributes:
    """What a binding writes on the splats."""
    found: Attributes = {PART: ("INT", binding.part), REGION: ("INT", binding.region)}
    for number in range(3):
        found[CORNERS[number]] = ("INT", np.ascontiguousarray(binding.vertices[:, number]))
        found[REST[number]] = ("FLOAT_VECTOR", np.ascontiguousarray(binding.corners[:, number], np.float32))
    return found


def hang(item: Any, parts: list[BoundPart]) -> None:
    """Have a splat object whose splats know their triangles follow these objects."""
    for number, part in enumerate(parts):
        modifier = item.modifiers.new(f"{_PREFIX}{part.name}", "NODES")
        modifier.node_group = follow_group()
        for name, value in (
            (OBJECT, bpy.data.objects.get(part.name)), (NUMBER, number), (COARSE, part.coarse), (NEEDED, part.needed),
        ):  # fmt: skip
            compat.set_modifier_input(modifier, name, value)
        modifier.show_expanded = False


def detach(item: Any) -> None:
    """Leave the avatar; regions stay known."""
    for modifier in modifiers(item):
        item.modifiers.remove(modifier)
    remove_attributes(item.data, (PART, *CORNERS, *REST))


def modifiers(item: Any) -> list[Any]:
    """Those that follow, in the order of the parts."""
    return [m for m in item.modifiers if m.type == "NODES" and m.node_group == follow_group_of(m)]


def follow_group_of(modifier: Any) -> Any | None:
    """The modifier's node group if it is one that follows, of this or an older version."""
    group = modifier.node_group
    return group if group is not None and any(s.name == COARSE for s in group.interface.items_tree) else None


def is_bound(item: Any) -> bool:
    """Whether the splats know what they hang on."""
    return item.type == "POINTCLOUD" and PART in item.data.attributes and bool(modifiers(item))


def set_following(item: Any, follow: bool) -> None:
    """Follow the avatar, or stand as captured."""
    for modifier in modifiers(item):
        modifier.show_viewport = modifier.show_render = follow


def is_following(item: Any) -> bool:
    """Whether it follows now."""
    return any(modifier.show_viewport for modifier in modifiers(item))


def what_is_wrong(item: Any) -> str | None:
    """A sentence if a part that is followed is gone or has become another mesh; None if all is well."""
    for modifier in modifiers(item):
        name = modifier.name.removeprefix(_PREFIX)
        part = compat.modifier_input(modifier, OBJECT)
        if part is None:
            return f"The avatar's part {name!r} is gone from the file, so its splats stay where they are."
        if part.type != "MESH" or len(part.data.vertices) < compat.modifier_input(modifier, NEEDED) and not any(
            m.show_viewport for m in part.modifiers
        ):
            return f"The mesh {part.name!r} has changed since the capture, so its splats stay where they are."
    return None


def avatar_is_shown(item: Any) -> bool:
    """Whether renders show any mesh that the double follows."""
    parts = [compat.modifier_input(modifier, OBJECT) for modifier in modifiers(item)]
    return any(part is not None and not part.hide_render for part in parts)


def mark_stand_in(part: Any, stands_in: bool) -> None:
    """Note on a mesh that its double stands in its place, so that a later capture knows why it is hidden."""
    if stands_in:
        part[STANDS_IN] = True
    elif STANDS_IN in part:
        del part[STANDS_IN]


def show_avatar(item: Any, visible: bool) -> None:
    """Show or hide the meshes that a double follows, in the viewport and in renders; the armature is left alone."""
    for modifier in modifiers(item):
        part = compat.modifier_input(modifier, OBJECT)
        if part is not None and part.library is None:
            part.hide_render = not visible
            mark_stand_in(part, not visible)
            if bpy.context.view_layer.objects.get(part.name) == part:
                part.hide_set(not visible)
