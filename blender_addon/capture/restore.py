# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to the artist's file that are always taken back: after success, a cancel, an exception, and an undo.

An undo gives every data-block a new address, so nothing is remembered by reference: blocks are found again by their
session id, what lies in them by its path.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import bpy

from ..compat import changes_refused

MARK = "digidouble_temporary"
"""Custom property of data-blocks that a capture has made for itself."""

_BLOCKS = {
    "ACTION": "actions", "ARMATURE": "armatures", "CAMERA": "cameras", "IMAGE": "images", "KEY": "shape_keys",
    "LIGHT": "lights", "MATERIAL": "materials", "MESH": "meshes", "NODETREE": "node_groups", "OBJECT": "objects",
    "POINTCLOUD": "pointclouds", "SCENE": "scenes", "WORLD": "worlds",
}  # fmt: skip
_LOOK_AGAIN_S = 0.1
_TEMPORARY = ("scenes", "objects", "cameras", "lights", "worlds")


class Restore:
    """Remembers what it changes and undoes it in reverse order, all of it even if one step fails.

    Use as a context manager, or call `close()`; closing twice is harmless. What has been deleted meanwhile is left out.
    """

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def set(self, owner: Any, name: str, value: Any) -> None:
        """`owner.name = value`, to be taken back."""
        old = getattr(owner, name)
        if isinstance(old, bpy.types.ID):
            find_old = finder(old)
        else:
            plain = tuple(old) if type(old).__name__ in _ARRAYS else old

            def find_old() -> Any:
                return plain

        find = finder(owner)
        self.later(lambda: setattr(find(), name, find_old()))
        setattr(owner, name, value)

    def keep(self, owner: Any, *names: str) -> None:
        """Remember attributes that something else is about to change."""
        for name in names:
            self.set(owner, name, getattr(owner, name))

    def later(self, undo: Callable[[], object]) -> None:
        """Call `undo` when closing."""
        self._undo.append(undo)

    def new(self, blocks: Any, *args: Any) -> Any:
        """A new data-block of `bpy.data.<blocks>` that is removed when closing."""
        return self.adopt(blocks, blocks.new(*args))

    def adopt(self, blocks: Any, block: Any) -> Any:
        """Have a data-block that was just made removed when closing."""
        block[MARK] = True
        find = finder(block)
        self.later(lambda: blocks.remove(find()))
        return block

    def close(self) -> None:
        """Undo everything. Raises the first failure after having tried the rest; where Blender refuses changes for the
        moment (`compat.changes_refused`) at once, and closing again goes on from there.
        """
        failure: Exception | None = None
        while self._undo:
            undo = self._undo.pop()
            try:
                undo()
            except (Gone, ReferenceError):
                pass  # deleted or undone by the artist: there is nothing to give back
            except Exception as error:  # the rest of the scene must come back all the same
                if changes_refused(error):
                    self._undo.append(undo)
                    raise
                failure = failure or error
        if failure is not None:
            raise failure

    def __enter__(self) -> Restore:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def close_later(busy: Callable[[], bool], close: Callable[[], None]) -> None:
    """Have a timer call `close` as soon as nothing is busy any more and Blender takes changes."""

    def look() -> float | None:
        if busy():
            return _LOOK_AGAIN_S
        try:
            close()
        except Exception as error:
            if not changes_refused(error):
                raise
            return _LOOK_AGAIN_S
        return None

    bpy.app.timers.register(look, first_interval=_LOOK_AGAIN_S)


_ARRAYS = ("bpy_prop_array", "Vector", "Euler", "Quaternion", "Color")


class Gone(Exception):
    """A data-block, or something in it, is not there any more."""


def finder(owner: Any) -> Callable[[], Any]:
    """A function that finds `owner`, a data-block or something in one, again, also after an undo; it may raise Gone.

    What has no path of its own (nodes of a material's tree, say) is kept by reference.
    """
    block = owner.id_data
    if block is None:  # preferences, for one: no undo touches them
        return lambda: owner
    kind = _BLOCKS.get(block.id_type, "")
    blocks = getattr(bpy.data, kind, None)
    try:
        path = "" if owner == block else owner.path_from_id()
    except ValueError:
        return lambda: owner
    if blocks is None or not _is_listed(block, blocks):
        return lambda: owner
    name, uid = block.name, block.session_uid

    def find() -> Any:
        blocks = getattr(bpy.data, kind)  # anew: after another file was opened the list from before is freed memory
        found = blocks.get(name)
        if found is None or found.session_uid != uid:
            found = next((b for b in blocks if b.session_uid == uid), None)
        if found is None:
            raise Gone
        try:
            return found.path_resolve(path) if path else found
        except ValueError:
            raise Gone from None

    return find


def _is_listed(block: Any, blocks: Any) -> bool:
    """False for blocks that live inside others, such as the node tree of a material."""
    return bool(blocks.get(block.name) == block or any(b == block for b in blocks))


def sweep_leftovers() -> int:
    """Remove what a capture has made for itself and could not take back (an undo brought it again, Blender crashed and
    its rescue file was opened); returns how many data-blocks that were.
    """
    count = 0
    for name in _TEMPORARY:  # scenes first, so that what stood only in them is found to stand nowhere
        blocks = getattr(bpy.data, name)
        for block in [b for b in blocks if b.library is None and MARK in b and _is_left_over(b)]:
            blocks.remove(block)
            count += 1
    return count


def _is_left_over(block: Any) -> bool:
    """False for what somebody has put into a scene to stay."""
    if block.id_type == "SCENE":
        return len(bpy.data.scenes) > 1
    return not block.users_scene if block.id_type == "OBJECT" else block.users == 0
