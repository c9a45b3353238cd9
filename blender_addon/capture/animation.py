# SPDX-License-Identifier: GPL-3.0-or-later
"""Actions and drivers of a data-block, put aside or exchanged while a pose is held, and given back exactly."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable
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
        _keep_values(restore, block, compat.action_paths(action))
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




def keep_animated(restore: Restore, scene: Any) -> None:
    """Remember all values that actions, NLA and drivers set in a scene's objects.

    A render of another scene that shares the objects writes the values of *its* frame into them, over those that the
    artist has set without a key as well.
    """
    for block in _animated_blocks(scene):
        _keep_values(restore, block, compat.animated_paths(block.animation_data))


def _keep_values(restore: Restore, block: Any, paths: list[str]) -> None:
    values = []
    for path in sorted(set(paths)):
        try:
            values.append((path, _plain(block.path_resolve(path))))
        except ValueError:
            continue  # a curve without its property, which Blender leaves alone too
    restore.later(functools.partial(_give_values, finder(block), values))


def settle(blocks: Iterable[Any], depsgraph: Any) -> None:
    """Write what animation gives at the graph's frame into the blocks themselves, as a render will.

    Otherwise unkeyed changes would be seen by whoever evaluates the blocks first, and not by the render.
    """
    for block in blocks:
        if block.animation_data is None:
            continue
        evaluated = block.evaluated_get(depsgraph)
        for path in set(compat.animated_paths(block.animation_data)):
            with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError):
                value = _plain(evaluated.path_resolve(path))
                if _plain(block.path_resolve(path)) != value:
                    _set_path(block, path, value)


def _animated_blocks(scene: Any) -> list[Any]:
    """Objects of the scene, what they are made of and the world, as far as they are animated."""
    found: dict[int, Any] = {}
    for item in scene.objects:
        materials = [slot.material for slot in item.material_slots if slot.material is not None]
        trees = [tree for owner in [item.data, *materials] if (tree := getattr(owner, "node_tree", None)) is not None]
        for block in (item, item.data, getattr(item.data, "shape_keys", None), *materials, *trees):
            if block is not None and getattr(block, "animation_data", None) is not None:
                found[block.as_pointer()] = block
    world = scene.world
    for block in () if world is None else (world, world.node_tree):
        if block is not None and block.animation_data is not None:
            found[block.as_pointer()] = block
    return list(found.values())


def _plain(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float, str)) or value is None else tuple(value)


def _give_values(find: Callable[[], Any], values: list[tuple[str, Any]]) -> None:
    block = find()
    for path, value in values:
        with contextlib.suppress(ValueError, AttributeError, KeyError, TypeError):  # deleted meanwhile, or read-only
            if _plain(block.path_resolve(path)) != value:
                _set_path(block, path, value)
    if block.id_type == "OBJECT":  # its place, and that of what hangs on it, is as last evaluated anywhere
        block.update_tag(refresh={"OBJECT", "DATA"})


def _set_path(block: Any, path: str, value: Any) -> None:
    """block.<path> = value; the last part is a name, or a key of a custom property."""
    if path.endswith('"]'):
        start = path.rindex('["')
        owner = block.path_resolve(path[:start]) if start else block
        owner[path[start + 2 : -2]] = value
    else:
        base, _, name = path.rpartition(".")
        setattr(block.path_resolve(base) if base else block, name, value)
