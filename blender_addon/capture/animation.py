# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions and drivers of a data-block, put aside or exchanged while a pose is held, and given back exactly."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import bpy

from .. import compat
from .._interchange import errors
from .restore import Gone, Restore, finder


def stop_animation(restore: Restore, block: Any) -> None:
    """Let actions and drivers leave a data-block alone, or rendering would set their values again."""
    if block.animation_data is None:
        return
    _remember(restore, block)
    data = block.animation_data
    data.action, data.use_nla = None, False
    for driver in data.drivers:
        driver.mute = True


def play_action(restore: Restore, blocks: list[Any], name: str) -> None:
    """Put an action on those of the data-blocks (armature objects, shape keys) that it has something for.

    Raises InputError if there is no such action, or it moves none of them.
    """
    action = bpy.data.actions.get(name)
    if action is None:
        raise errors.InputError(f"There is no action {name!r} in this file.", "Choose another one.")
    taken = [block for block in blocks if compat.action_suits(action, block)]
    if not taken:
        raise errors.InputError(f"The action {name!r} moves nothing of the avatar.", "Choose another one.")
    for block in taken:
        if block.animation_data is None:
            block.animation_data_create()
            restore.later(functools.partial(_clear_animation, finder(block)))
        _remember(restore, block)
        block.animation_data.use_nla = False
        compat.assign_action(block, action)


def _clear_animation(find: Callable[[], Any]) -> None:
    find().animation_data_clear()


def _remember(restore: Restore, block: Any) -> None:
    """Give action, slot, NLA and drivers back later."""
    data = block.animation_data
    find, use_nla = finder(block), data.use_nla
    action = None if data.action is None else finder(data.action)
    slot = compat.action_slot_name(data)
    muted = [(d.data_path, d.array_index, d.mute) for d in data.drivers]

    def give_back() -> None:
        now = find().animation_data
        if now is None:
            raise Gone
        now.use_nla = use_nla
        now.action = None if action is None else action()
        compat.choose_slot(now, slot)
        for path, index, mute in muted:
            driver = now.drivers.find(path, index=index)
            if driver is not None:
                driver.mute = mute

    restore.later(give_back)


def action_ranges(names: list[str]) -> dict[str, tuple[float, float]]:
    """First and last frame of actions by name. Raises InputError for one that is not there."""
    ranges = {}
    for name in names:
        action = bpy.data.actions.get(name)
        if action is None:
            raise errors.InputError(f"There is no action {name!r} in this file.", "Choose another one.")
        first, last = action.frame_range
        ranges[name] = (float(first), float(last))
    return ranges


