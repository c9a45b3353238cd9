# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage: a copy of the artist's scene that shares its objects, for the render settings, camera, lights and frame of a
capture. The artist's own scene, and what the viewport shows of it, stay as they are.
"""

from __future__ import annotations

from typing import Any

import bpy

from .._interchange import errors
from .animation import keep_animated
from .restore import Gone, Restore, finder, sweep_leftovers

NAME = "digidouble capture"


class Stage:
    """The copied scene and its one view layer; removed when `restore` closes."""

    def __init__(self, restore: Restore, scene: Any, view_layer: Any) -> None:
        sweep_leftovers()
        find, layer_name = finder(scene), view_layer.name
        restore.later(lambda: find().view_layers[layer_name].update())  # the last thing: evaluate what came back
        keep_animated(restore, scene)
        stage = restore.adopt(bpy.data.scenes, scene.copy())
        stage.name = NAME
        stage.animation_data_clear()  # keyed render settings would come back while rendering
        self._find = finder(stage)
        for layer in [layer for layer in stage.view_layers if layer.name != view_layer.name]:
            stage.view_layers.remove(layer)
        for marker in stage.timeline_markers:
            marker.camera = None  # a marker would switch the camera while rendering
        restore.later(self._free)

    @property
    def scene(self) -> Any:
        """The copied scene. Raises InputError if somebody has removed it (an undo does)."""
        try:
            return self._find()
        except Gone:
            raise errors.InputError(
                "The scene was undone or exchanged during the capture.",
                "Start the capture again: the finished views are kept.",
            ) from None

    @property
    def view_layer(self) -> Any:
        """Its only view layer."""
        return self.scene.view_layers[0]

    def update(self) -> Any:
        """Evaluate what has changed; returns the dependency graph."""
        layer = self.view_layer
        layer.update()
        return layer.depsgraph

    def _free(self) -> None:
        """Let go of what the renderer keeps between views."""
        self._find().render.use_persistent_data = False


def check_nothing_renders() -> None:
    """Raises InputError while another render or bake is at work."""
    if bpy.app.is_job_running("RENDER") or bpy.app.is_job_running("OBJECT_BAKE"):
        raise errors.InputError("A render is running.", "Wait until it is done, or stop it with ESC.")
