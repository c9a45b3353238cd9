# SPDX-License-Identifier: GPL-3.0-or-later
"""One .blend file with the avatar, the capture's cameras and the double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from .._interchange import capture, errors
from ..capture.avatar import find_avatar
from ..capture.capture import extent, settings_of
from ..capture.scene import Restore, apply_pose, has_lights, light_studio, set_blender_camera
from .double import BINDING, follow_avatar
from .follow import mark_stand_in
from .pointcloud import import_splats


def add_cameras(captured: capture.Capture, scene: Any, name: str = "digidouble cameras") -> Any:
    """A collection with a camera for each view of a capture, held-out ones in a collection of their own inside."""
    collection = bpy.data.collections.new(name)
    held_out = bpy.data.collections.new(f"{name}, held out")
    scene.collection.children.link(collection)
    collection.children.link(held_out)
    for view in captured.views:
        item = bpy.data.objects.new(view.name, bpy.data.cameras.new(view.name))
        set_blender_camera(item, view.camera)
        item.data.display_size = 0.05
        (held_out if view.split == "held_out" else collection).objects.link(item)
    return collection


def build_demo(ply: Path, out: Path, context: Any, captured: capture.Capture | None) -> dict[str, int]:
    """Add the double and the cameras to the open file and save it as `out`.

    The captured avatar, if the file has it, is put into the captured pose and light, and the double follows it. Its
    meshes are hidden, since the double stands in the same place; its armature is there to be posed. Returns counts for
    the progress line, and whether the double follows (not where the avatar has changed since the capture).
    Raises InputError if the file cannot be read or written.
    """
    scene = context.scene
    double, follows = import_splats(ply, scene), False
    if captured is not None and captured.views:
        cameras_collection = add_cameras(captured, scene)
        _look_from(scene, captured, cameras_collection)
        if captured.name in bpy.data.collections:
            _set_up_avatar(context, captured)
            follows = _follow(double, Path(ply).with_name(BINDING), captured)
    scene.render.engine = "CYCLES"
    scene.view_settings.view_transform = "Standard"  # splat colours are display colours already
    _save(out)
    return {"splats": len(double.data.points), "cameras": len(captured.views) if captured else 0, "follows": follows}


def _follow(double: Any, birth: Path, captured: capture.Capture) -> bool:
    """Bind the double to the avatar; False where the avatar is no longer as it was captured."""
    try:
        follow_avatar(double, birth, captured.folder)
    except errors.InputError:
        return False
    return True


def _set_up_avatar(context: Any, captured: capture.Capture) -> None:
    kept = Restore()  # never closed: these changes are to stay in the saved file
    avatar = find_avatar(context.scene, context.view_layer, captured.name)
    apply_pose(kept, avatar.parts, avatar.armature, settings_of(captured).pose)
    if not has_lights(context.scene):
        centre, radius = extent(captured.load_mesh().vertices)
        light_studio(kept, context.scene, centre, radius, avatar.frame[:3, :3])
    for part in avatar.parts:
        part.hide_render = True
        mark_stand_in(part, True)
        part.hide_set(True)


def _look_from(scene: Any, captured: capture.Capture, collection: Any) -> None:
    """Render from the view that sees the face best: its camera stands farthest along the face's -Y."""
    front = min(captured.views, key=lambda v: v.camera.position[1] + abs(v.camera.position[0]))
    scene.camera = next(item for item in collection.all_objects if item.name == front.name)
    scene.render.resolution_x, scene.render.resolution_y = front.camera.width, front.camera.height
    scene.render.resolution_percentage = 100


def _save(out: Path) -> None:
    """Save a copy beside `out`, then rename, so that a kill leaves the old file or the new one."""
    out = Path(out).resolve()
    temporary = out.with_name(out.stem + ".part.blend")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(temporary), copy=True, compress=True)
        temporary.replace(out)
    except (RuntimeError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise errors.InputError(
            f"The file {out} cannot be written ({str(error).strip()}).", "Free some disk space or choose another place."
        ) from error
