# SPDX-License-Identifier: GPL-3.0-or-later
"""Holding an avatar in one pose after another on a stage, and seeing whether somebody else moves it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .._interchange import errors
from .animation import settle
from .avatar import STANDS_IN, Avatar
from .restore import Restore, finder
from .scene import apply_pose
from .settings import PoseSettings
from .stage import Stage

_SAME = 1e-5  # metres, and of sliders


def _bring_out(parts: Iterable[Any], stage: Stage, restore: Restore) -> None:
    """Show parts that are hidden because their double stands in their place."""
    for part in parts:
        if STANDS_IN in part:
            restore.set(part, "hide_render", False)
            part.hide_set(False, view_layer=stage.view_layer)


class Holder:
    """Takes poses by name; given back by `restore`. Frames change on the stage alone, not in the artist's scene."""

    def __init__(self, stage: Stage, avatar: Avatar, poses: Iterable[PoseSettings], restore: Restore) -> None:
        self._stage, self._avatar = stage, avatar
        self._poses = {pose.name: pose for pose in poses}
        self._frame = stage.scene.frame_current
        self._taken = Restore()
        self._name: str | None = None
        self._state: list[np.ndarray] = []
        whole = [*avatar.parts, *([] if avatar.armature is None else [avatar.armature])]
        self._finders = [finder(item) for item in whole]
        restore.later(self._release)
        _bring_out(avatar.parts, stage, restore)

    def take(self, name: str) -> Any:
        """Hold a pose instead of the last one; returns the stage's dependency graph. Raises InputError if it cannot
        be taken.
        """
        if name == self._name:
            return self._stage.update()
        self._taken.close()
        self._name, pose = name, self._poses[name]
        apply_pose(self._taken, self._avatar.parts, self._avatar.armature, pose)
        self._stage.scene.frame_set(self._frame if pose.frame is None else pose.frame)
        settle(self._blocks(), self._stage.update())
        self._state = self._present()
        return self._stage.update()

    def _blocks(self) -> list[Any]:
        """What an avatar's animation may move: objects and shape keys."""
        parts, armature = self._avatar.parts, self._avatar.armature
        keys = [part.data.shape_keys for part in parts if part.data.shape_keys is not None]
        return [*parts, *keys, *([] if armature is None else [armature])]

    def _release(self) -> None:
        """Give the artist's pose back, and have it evaluated again: Blender shows bones as last evaluated anywhere."""
        self._taken.close()
        for find in self._finders:
            find().update_tag(refresh={"OBJECT", "DATA"})  # not its animation, or unkeyed changes were lost

    def check(self) -> None:
        """Raises InputError if the avatar does not stand as it did when the pose was taken."""
        present = self._present()
        same = len(present) == len(self._state) and all(
            a.shape == b.shape and np.allclose(a, b, atol=_SAME) for a, b in zip(present, self._state, strict=True)
        )
        if not same:
            raise errors.InputError(
                "The avatar was moved or changed during the capture.",
                "Undo the change and capture again: the finished views are kept.",
            )

    def _present(self) -> list[np.ndarray]:
        """Numbers that tell whether the avatar is still the same: places, bones, sliders, sizes of meshes."""
        depsgraph = self._stage.update()
        numbers = [np.array([self._stage.scene.frame_current_final])]
        for part in self._avatar.parts:
            numbers.append(np.array(part.evaluated_get(depsgraph).matrix_world))
            numbers.append(np.array([len(part.data.vertices), len(part.data.polygons), part.hide_render]))
            numbers.append(np.array([[m.show_render, hash(m.type) % 9973] for m in part.modifiers]))
            if part.data.shape_keys is not None:
                keys = part.data.shape_keys.evaluated_get(depsgraph).key_blocks
                numbers.append(np.array([[key.value, key.mute] for key in keys]))
        if self._avatar.armature is not None:
            bones = self._avatar.armature.evaluated_get(depsgraph).pose.bones
            numbers.append(np.array([bone.matrix for bone in bones]))
        return numbers
