# SPDX-License-Identifier: GPL-3.0-or-later
"""The cameras of a capture: those of a rig around the avatar, or those that stand in the scene."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, errors
from .framing import surround
from .rigs import SceneCameras, directions_of, evenly
from .scene import set_blender_camera
from .settings import CaptureSettings
from .stage import Stage

COLLECTION = "Digidouble Cameras"
MADE = "digidouble_rig"
"""Custom property of camera objects (their split) and of the collection that `add_cameras` has made."""

COLOURS = {"train": (0.15, 0.55, 1.0, 1.0), "held_out": (1.0, 0.5, 0.1, 1.0)}
"""Of the cameras in the viewport, linear RGBA."""

SplitCamera = tuple[str, cameras.Camera]
"""train or held_out, and the camera."""


def rig_cameras(
    stage: Stage, settings: CaptureSettings, points: npt.NDArray, frame: npt.NDArray
) -> list[SplitCamera]:
    """All cameras, training ones first. points (N, 3): world, what is to be framed; frame (4, 4): avatar to world."""
    if isinstance(settings.rig, SceneCameras):
        return scene_cameras(stage, settings.rig, *settings.render.pixels)
    train, held_out = directions_of(settings.rig)
    directions = np.concatenate([train, held_out]) @ frame[:3, :3].T
    placed = surround(points, directions, settings.render.lens, settings.distance)
    return [("train" if i < len(train) else "held_out", camera) for i, camera in enumerate(placed)]


def scene_cameras(stage: Stage, rig: SceneCameras, width: int, height: int) -> list[SplitCamera]:
    """Cameras of the scene by name, at each of the rig's frames; the stage's frame is as before afterwards.

    Raises InputError if one is missing, no perspective camera, or cannot be written as a pinhole.
    """
    scene, before = stage.scene, stage.scene.frame_current
    found = []
    for frame in rig.frames or (before,):
        scene.frame_set(frame)
        depsgraph = stage.update()
        for name in rig.names:
            item = scene.objects.get(name)
            if item is None:
                raise errors.InputError(
                    f"The camera {name!r} is not in the scene any more.", "Choose the cameras again."
                )
            found.append(read_camera(item.evaluated_get(depsgraph), width, height))
    scene.frame_set(before)
    chosen = evenly(len(found), rig.held_out)
    train = [("train", camera) for camera, held_out in zip(found, chosen, strict=True) if not held_out]
    return train + [("held_out", camera) for camera, held_out in zip(found, chosen, strict=True) if held_out]


def read_camera(
    item: Any, width: int, height: int, pixel_aspect_x: float = 1.0, pixel_aspect_y: float = 1.0
) -> cameras.Camera:
    """The pinhole camera of a camera object (evaluated, if it is animated) for a picture of this size.

    Raises InputError for a panoramic or orthographic camera, and for one that is mirrored or sheared by its parents.
    """
    data = item.data
    if item.type != "CAMERA" or data.type != "PERSP":
        raise errors.InputError(
            f"{item.name!r} is no perspective camera.", "Set its type to Perspective, or leave it out."
        )
    K = cameras.intrinsics_from_blender(
        data.lens, data.sensor_width, data.sensor_height, data.sensor_fit, data.shift_x, data.shift_y, width, height,
        pixel_aspect_x, pixel_aspect_y,
    )  # fmt: skip
    world_to_camera = cameras.world_to_camera_from_blender(np.array(item.matrix_world))
    turn = world_to_camera[:3, :3]
    if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-5):
        raise errors.InputError(
            f"The camera {item.name!r} is sheared by the scale of its parents.", "Clear their scale, or its parent."
        )
    if np.linalg.det(turn) < 0:
        raise errors.InputError(f"The camera {item.name!r} is mirrored (negative scale).", "Make its scale positive.")
    return cameras.Camera(K, world_to_camera, width, height)


def camera_names(collection: Any | None, view_layer: Any) -> tuple[str, ...]:
    """The cameras in a collection, or without one those that are selected, by name."""
    items = collection.all_objects if collection is not None else view_layer.objects.selected
    return tuple(sorted(item.name for item in items if item.type == "CAMERA"))


def add_cameras(scene: Any, views: Iterable[tuple[str, str, cameras.Camera]]) -> Any:
    """Real camera objects in a new collection of the scene, held-out ones in another colour; returns the collection.

    views: name, split, camera. At the cameras' resolution Blender shows exactly the capture's pictures.
    """
    collection = bpy.data.collections.new(COLLECTION)
    collection[MADE] = True
    scene.collection.children.link(collection)
    for name, split, camera in views:
        item = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        collection.objects.link(item)
        item[MADE], item.color = split, COLOURS[split]
        set_blender_camera(item, camera)
    return collection


def made_collection(scene: Any) -> Any | None:
    """The scene's collection of cameras that `add_cameras` has made."""
    return next((c for c in scene.collection.children_recursive if MADE in c), None)


def remove_cameras(scene: Any) -> int:
    """Remove what `add_cameras` has made in this scene; what the artist has put beside it stays. How many that were."""
    count = 0
    while (collection := made_collection(scene)) is not None:
        for item in [item for item in collection.objects if MADE in item]:
            data = item.data
            bpy.data.objects.remove(item)
            count += 1
            if data.users == 0:
                bpy.data.cameras.remove(data)
        if collection.all_objects:
            del collection[MADE]
        else:
            bpy.data.collections.remove(collection)
    return count
