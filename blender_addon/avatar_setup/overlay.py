# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks drawn on the head in every 3D view, as long as the panel's tick is set.

The draw handler lives from register() to unregister(); it remembers nothing and reads everything from the scene that
is shown, so that opening another file needs no care.
"""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from mathutils import Vector

from . import drawing, vertex_marks

PLACED = (1.0, 0.62, 0.10, 1.0)
GUESSED = (0.35, 0.78, 1.0, 1.0)
RIM = (0.0, 0.0, 0.0, 0.7)

_FORWARD = Vector((0.0, 0.0, -1.0))
_handlers: list[Any] = []  # Blender calls back without arguments, so somebody has to remember


def register() -> None:
    """Draw from now on."""
    add(_draw)


def unregister() -> None:
    """No more, whatever else is still drawing."""
    while _handlers:
        remove(_handlers[-1])


def add(draw: Any) -> Any:
    """Have `draw()` called after each 3D view; returns what `remove` wants."""
    handler = bpy.types.SpaceView3D.draw_handler_add(draw, (), "WINDOW", "POST_PIXEL")
    _handlers.append(handler)
    return handler


def remove(handler: Any) -> None:
    """Take it away again; twice is harmless."""
    if handler in _handlers:
        _handlers.remove(handler)
        bpy.types.SpaceView3D.draw_handler_remove(handler, "WINDOW")


def is_placing() -> bool:
    """True while somebody else draws here too, that is while landmarks are being placed."""
    return len(_handlers) > 1


def _draw() -> None:
    context = bpy.context
    settings = getattr(context.scene, "digidouble", None)
    if settings is None or not settings.avatar.show_landmarks or not context.space_data.overlay.show_overlays:
        return
    head = settings.avatar.usable_head(context)
    if head is None or vertex_marks.IDS not in head or not head.visible_get() or head.mode == "WEIGHT_PAINT":
        return
    guessed = vertex_marks.guessed_of(head)
    spots = seen(context, head, dict(enumerate(vertex_marks.ids_of(head))))
    scale = context.preferences.system.ui_scale
    for chosen, colour in ((False, PLACED), (True, GUESSED)):
        points = [point for index, point in spots.items() if (index in guessed) == chosen]
        drawing.dots(points, 4.0 * scale, RIM)
        drawing.dots(points, 3.0 * scale, colour)


def seen(context: Any, head: Any, vertices: dict[int, int]) -> dict[int, tuple[float, float]]:
    """Pixel in the region for each vertex that is known, in front of the view and on the side that faces it."""
    data = head.evaluated_get(context.evaluated_depsgraph_get()).data
    if getattr(data, "vertices", None) is None:
        return {}
    view, result = context.region_data, {}
    matrix = head.matrix_world
    turned = np.linalg.pinv(np.array(matrix)[:3, :3])
    eye = view.view_matrix.inverted().translation
    ahead = view.view_rotation @ _FORWARD
    for key, vertex in vertices.items():
        if not 0 <= vertex < len(data.vertices):
            continue
        place = matrix @ data.vertices[vertex].co
        normal = np.array(data.vertices[vertex].normal) @ turned
        towards = (place - eye) if view.is_perspective else ahead
        if float(normal @ np.array(towards)) > 0:
            continue
        point = location_3d_to_region_2d(context.region, view, place)
        if point is not None:
            result[key] = (point.x, point.y)
    return result
