# SPDX-License-Identifier: GPL-3.0-or-later
"""From a click in the 3D view to a vertex of the head's own mesh, posed and subdivided as it is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from bpy_extras.view3d_utils import region_2d_to_origin_3d, region_2d_to_vector_3d
from mathutils import Vector

from . import meshes

Array = npt.NDArray[Any]


def vertex_under(context: Any, head: Any, pixel: tuple[float, float]) -> int | None:
    """The base mesh's vertex nearest to where the ray through a pixel of the region meets the head; None beside it."""
    origin = region_2d_to_origin_3d(context.region, context.region_data, pixel)
    direction = region_2d_to_vector_3d(context.region, context.region_data, pixel)
    return vertex_on_ray(head, context.evaluated_depsgraph_get(), origin, direction)


def vertex_on_ray(head: Any, depsgraph: Any, origin: Vector, direction: Vector) -> int | None:
    """The same for a ray in the world."""
    to_own = head.matrix_world.inverted_safe()
    start = to_own @ origin
    along = to_own.to_3x3() @ direction
    hit, place, _, _ = head.evaluated_get(depsgraph).ray_cast(start, along.normalized())
    if not hit:
        return None
    return nearest(meshes.shown(head, depsgraph), place)


def nearest(points: Array, place: Any) -> int:  # (V, 3), (3,)
    """Index of the nearest point."""
    return int(np.argmin(((points - np.array(place, np.float32)) ** 2).sum(axis=1)))
