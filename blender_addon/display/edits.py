# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a splat object's data: its place, its colours, which splats it has, and itself as it is posed."""

from __future__ import annotations

from typing import Any

import attrs
import bpy
import numpy as np

from .._interchange import cameras, errors, splats
from .attributes import keep_points, read_attribute, subset, write_attribute
from .follow import detach, is_following, modifiers
from .follow_nodes import TURN
from .modes import FILTER, SPLATS
from .pointcloud import BASE, SH, read_back, resting_matrix, write_cloud
from .recolour import recoloured
from .selection import Mask, repaint, selected


def apply_transform(item: Any) -> list[str]:
    """Move the object's transform into its splats: what is seen stays, the object stands at rest again.

    Returns notes for the artist. Raises InputError for a transform that flattens.
    """
    notes = []
    matrix = np.array(item.matrix_world, np.float64)
    if not splats.is_even(matrix[:3, :3]) and read_back(item).degree:
        notes.append("The scale is uneven: shapes are exact, but colours that change with the view are only turned.")
    own(item)
    into_splat_frame = np.eye(4)
    into_splat_frame[:3, :3] = cameras.SPLAT_FROM_BLENDER
    cloud = splats.transformed(read_back(item), into_splat_frame @ matrix)
    if modifiers(item):
        detach(item)
        notes.append("It follows the avatar no longer; bind it again where it stands now.")
    write_cloud(item.data, cloud)
    item.parent = None
    item.matrix_world = resting_matrix()
    repaint(item)
    return notes


def recolour(item: Any, exposure: float, tint: tuple[float, float, float], saturation: float) -> int:
    """Change the colours of the selected splats, or of all; how many that were."""
    own(item)
    cloud, mask = read_back(item), selected(item)
    chosen = np.ones(len(cloud), bool) if mask is None else mask
    sh = cloud.sh.copy()
    sh[chosen] = recoloured(cloud.sh[chosen], exposure, np.array(tint), saturation)
    base = read_attribute(item.data, BASE)
    base[:, :3] = sh[:, 0]
    write_attribute(item.data, BASE, "FLOAT_COLOR", base)
    for k in range(sh.shape[1] - 1):
        write_attribute(item.data, SH.format(k), "FLOAT_VECTOR", sh[:, k + 1])
    repaint(item)
    return int(chosen.sum())


def delete_splats(item: Any, mask: Mask) -> None:
    """Delete the splats of a mask. Raises InputError if none would be left."""
    if mask.all():
        raise errors.InputError("No splat would be left.", "Delete the object itself instead.")
    if not mask.any():
        return
    own(item)
    keep_points(item, ~mask)
    repaint(item)


def duplicate(item: Any, mask: Mask | None) -> Any:
    """A copy of the object with data of its own, of a mask's splats if one is given; it follows and looks alike."""
    copy = item.copy()
    copy.data = item.data.copy() if mask is None else subset(item.data, mask)
    for collection in item.users_collection or [bpy.context.scene.collection]:
        collection.objects.link(copy)
    repaint(copy)
    return copy


def own(item: Any) -> None:
    """Give the object data of its own if others share it. Raises InputError if it belongs to a linked file."""
    if item.library is not None or item.data.library is not None:
        raise errors.InputError(
            f"{item.name!r} belongs to another file.", "Make it local: Object > Relations > Make Local."
        )
    if item.data.users > 1:
        item.data = item.data.copy()


def posed_cloud(item: Any, context: Any) -> splats.SplatCloud:
    """The cloud as the avatar's present pose has it, hidden splats too: in the splat frame, placed in the world.

    Raises InputError for a double that follows an avatar and is hidden: Blender does not pose it then.
    """
    with _without(item, (FILTER, SPLATS)):
        depsgraph = context.evaluated_depsgraph_get()
        depsgraph.update()
        evaluated = item.evaluated_get(depsgraph)
        cloud = _read_evaluated(evaluated, item)
    into_splat_frame = np.eye(4)
    into_splat_frame[:3, :3] = cameras.SPLAT_FROM_BLENDER
    return splats.transformed(cloud, into_splat_frame @ np.array(item.matrix_world, np.float64))


def _read_evaluated(evaluated: Any, item: Any) -> splats.SplatCloud:
    cloud = read_back(item)
    data = evaluated.data
    if TURN not in data.attributes:
        if is_following(item):
            raise errors.InputError(
                f"{item.name!r} is hidden, so Blender does not know how it is posed.",
                "Show it and its collection in the viewport, then export again.",
            )
        return cloud
    from_quaternion = splats.axes.matrix_from_quaternion
    turns = read_attribute(data, TURN).astype(np.float64)
    turns[np.linalg.norm(turns, axis=1) < 0.5] = [1, 0, 0, 0]  # splats that hang on nothing
    return attrs.evolve(
        cloud, means=read_attribute(data, "position"), quats_wxyz=read_attribute(data, "rotation"),
        log_scales=np.log(np.maximum(read_attribute(data, "scale").astype(np.float64), 1e-30)),
        sh=splats.turned_each(cloud.sh, from_quaternion(turns)) if cloud.degree else cloud.sh,
    )  # fmt: skip


class _without:
    """Modifiers of these names do nothing for a while."""

    def __init__(self, item: Any, names: tuple[str, ...]) -> None:
        self._found = [(m, m.show_viewport) for m in item.modifiers if m.name in names and m.type == "NODES"]

    def __enter__(self) -> None:
        for modifier, _ in self._found:
            modifier.show_viewport = False

    def __exit__(self, *_: object) -> None:
        for modifier, shown in self._found:
            modifier.show_viewport = shown
