# SPDX-License-Identifier: GPL-3.0-or-later
"""The rig's cameras drawn in the 3D view while the artist changes it. Nothing is added to the scene."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, errors
from .avatar import Avatar, find_avatar
from .place import chosen_avatar
from .planning import preview_cameras
from .request import render_from_panel, rig_from_panel
from .rig_cameras import COLOURS
from .rigs import SceneCameras

_SIDES = np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]])
_SHARE = 0.12
"""Length of a drawn camera, in its distance from what it looks at."""

_MOST = 400
"""Cameras drawn; of more, every so many."""


def frustum_lines(views: list[cameras.Camera], length: float) -> npt.NDArray[np.float32]:
    """(N * 16, 3) world points, two for each of the 8 lines of a camera's pyramid of this length in metres."""
    if not views:
        return np.zeros((0, 3), np.float32)
    lines = []
    for camera in views:
        width, height = camera.width, camera.height
        corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
        far = camera.unproject(corners, np.full(4, length))
        points = np.concatenate([camera.position[None], far])
        lines.append(points[_SIDES].reshape(-1, 3))
    return np.concatenate(lines).astype(np.float32)


class Preview:
    """Draws while `Scene.digidouble.cameras.preview` is on. Cameras are placed again only when something changed."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._key: tuple[Any, ...] = ()
        self._lines: dict[str, npt.NDArray[np.float32]] = {}

    def begin(self) -> None:
        """Have Blender call us when it draws a 3D view; stays over the loading of other files."""
        self._handle = bpy.types.SpaceView3D.draw_handler_add(self._draw, (), "WINDOW", "POST_VIEW")

    def end(self) -> None:
        """Draw no more."""
        if self._handle is not None:
            bpy.types.SpaceView3D.draw_handler_remove(self._handle, "WINDOW")
            self._handle = None

    def lines(self, context: Any) -> dict[str, npt.NDArray[np.float32]]:
        """Lines by split; empty where there is no avatar or the rig is impossible: the panel says why."""
        try:
            avatar = find_avatar(context.scene, context.view_layer, chosen_avatar(context))
            key = _key(context, avatar)
            if key != self._key:
                self._key, self._lines = key, {}
                self._lines = _place(context, avatar)
        except errors.InputError:
            return {}
        return self._lines

    def _draw(self) -> None:
        context = bpy.context
        chosen = context.scene.digidouble.cameras
        if not chosen.preview or chosen.rig == "SCENE" or not context.space_data.overlay.show_overlays:
            return
        import gpu
        from gpu_extras.batch import batch_for_shader

        shader = gpu.shader.from_builtin("UNIFORM_COLOR")
        gpu.state.blend_set("ALPHA")
        gpu.state.depth_test_set("LESS_EQUAL")
        for split, lines in self.lines(context).items():
            batch = batch_for_shader(shader, "LINES", {"pos": lines})
            shader.bind()
            shader.uniform_float("color", (*COLOURS[split][:3], 0.8))
            batch.draw(shader)
        gpu.state.depth_test_set("NONE")
        gpu.state.blend_set("NONE")


def _place(context: Any, avatar: Avatar) -> dict[str, npt.NDArray[np.float32]]:
    rig = rig_from_panel(context)
    assert not isinstance(rig, SceneCameras)
    chosen = context.scene.digidouble.cameras
    distance = chosen.distance if chosen.framing == "FIXED" else None
    depsgraph = context.evaluated_depsgraph_get()
    train, held_out = preview_cameras(avatar, depsgraph, rig, render_from_panel(context).lens, distance)
    middle = np.mean([camera.position for camera in train], axis=0)
    length = _SHARE * float(np.mean([np.linalg.norm(camera.position - middle) for camera in train])) or 0.1
    thinned = train[:: 1 + len(train) // _MOST]
    return {"train": frustum_lines(thinned, length), "held_out": frustum_lines(held_out, length)}


def _key(context: Any, avatar: Avatar) -> tuple[Any, ...]:
    """Everything that the cameras depend on, cheap enough for every redraw."""
    chosen = context.scene.digidouble.cameras
    properties = (p for p in chosen.bl_rna.properties if p.type in ("INT", "FLOAT", "ENUM"))
    values = tuple(getattr(chosen, p.identifier) for p in properties)
    parts = tuple(
        (part.name, tuple(np.round(part.matrix_world, 4).ravel()), tuple(np.round(part.bound_box, 3).ravel()))
        for part in avatar.parts
    )
    return (*values, *parts)
