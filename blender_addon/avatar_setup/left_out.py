# SPDX-License-Identifier: GPL-3.0-or-later
"""What belongs to a character and would show in a render, but is no mesh: a capture leaves it out."""

from __future__ import annotations

from typing import Any

from .choose import armature_of

KINDS = {"CURVES": "hair curves", "CURVE": "a curve", "SURFACE": "a surface", "META": "a metaball"}


def left_out(head: Any, armature: Any | None, scene: Any) -> list[tuple[Any, str]]:
    """Objects that hang on the head or its rig, or are hair that grows on it, and render without being meshes; each
    with a word for what it is.
    """
    family = {item for item in (head, armature, head.parent) if item is not None}
    return [
        (item, KINDS[item.type])
        for item in scene.objects
        if item.type in KINDS and not item.hide_render and _has_surface(item) and _belongs(item, head, family)
    ]


def _belongs(item: Any, head: Any, family: set[Any]) -> bool:
    if item.type == "CURVES" and item.data.surface == head:
        return True
    above = item.parent
    while above is not None and above not in family:
        above = above.parent
    return above is not None or armature_of(item) in family


def _has_surface(item: Any) -> bool:
    """False for the bare lines that riggers draw bones and paths with."""
    if item.type != "CURVE" or item.modifiers:
        return True
    data = item.data
    return bool(data.bevel_depth or data.extrude or data.bevel_object or data.dimensions == "2D")
