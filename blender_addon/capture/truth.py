# SPDX-License-Identifier: GPL-3.0-or-later
"""The true swap: a capture's views rendered again with another skin on the head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._interchange import capture, errors, mesh
from ..jobs.machine import run
from .avatar import Avatar, find_avatar
from .capture import (
    Cancel,
    check_ready,
    describe_renderer,
    fingerprint_of,
    light_if_dark,
    make_folder,
    never,
    save_texture,
    settings_of,
    texture_paths,
)
from .digest import Fingerprint
from .geometry import extract, frame_of
from .holding import Holder
from .job import RenderJob, Shot
from .restore import Restore
from .scene import possible_render, show_only
from .settings import CaptureSettings
from .stage import Stage
from .textures import image_as_srgb, load_skin, surface_of

LAYERS = ("albedo", "depth")


def true_swap(
    source: capture.Capture,
    skin: Path,
    out: Path,
    split: str | None = "held_out",
    progress: errors.Progress | None = None,
    cancelled: Cancel = never,
    context: Any = None,
) -> capture.Capture:
    """Render a capture's views again with another skin on the head: what a perfect swap would look like.

    Same avatar, poses, cameras, light and quality; only the head's base colour image is exchanged. split: train,
    held_out or None for all. The open file must be the captured one. Resumes like `capture_avatar`.
    """
    context, out = context or bpy.context, Path(out)
    views = [v for v in source.views if split in (None, v.split)]
    if not views:
        raise errors.InputError(f"The capture {source.folder} has no {split} views.", "Capture with --held-out 8.")
    restore = Restore()
    try:
        job, manifest = _start(source, views, Path(skin), out, context, restore)
    except BaseException:
        restore.close()
        raise
    run(job, "capture", progress, cancelled)
    return manifest


def _start(
    source: capture.Capture, views: list[capture.View], skin: Path, out: Path, context: Any, restore: Restore
) -> tuple[RenderJob, capture.Capture]:
    settings = settings_of(source)
    render, _ = possible_render(settings.render)
    check_ready(context)
    avatar = find_avatar(context.scene, context.view_layer, settings.avatar or source.name)
    stage = Stage(restore, context.scene, context.view_layer)
    holder = Holder(stage, avatar, settings.all_poses, restore)
    texture = _exchange_skin(avatar, skin, restore)
    make_folder(out)
    shown = {view.pose for view in views}
    poses: list[capture.Pose] = []
    fingerprints: dict[str, Fingerprint] = {}
    pictures: dict[int, str] = {}
    lights = ""
    for pose in (p for p in source.poses if p.name in shown):
        holder.take(pose.name)
        captured, bones = extract(avatar, stage.view_layer, needs_landmarks=False)
        _check_same(source, pose, captured)
        if not poses:  # as the capture did: lights by the first pose
            lights = _light(source, avatar, settings, stage, holder, restore)
            show_only(restore, stage.scene, avatar.parts)
            holder.take(pose.name)
        captured.save(out / pose.mesh)
        poses.append(capture.Pose(pose.name, pose.mesh, pose.frame, pose.shape_keys, bones))
        fingerprints[pose.name] = fingerprint_of(stage, avatar, captured, [texture], render, "true swap", pictures)
    (path,) = texture_paths([source.objects[0].name])
    manifest = capture.Capture(
        folder=out,
        name=f"{source.name} true swap",
        views=views,
        poses=poses,
        objects=_objects(source, save_texture(out, path, texture)),
        avatar=source.avatar,
        renderer=describe_renderer(render, lights),
        provenance={"true_swap_of": source.name, "skin": skin.name},
    )
    shot = Shot(manifest, fingerprints, LAYERS, holder.take, holder.check)
    return RenderJob(stage, render, shot, restore), manifest


def _light(
    source: capture.Capture,
    avatar: Avatar,
    settings: CaptureSettings,
    stage: Stage,
    holder: Holder,
    restore: Restore,
) -> str:
    """The capture's stock lights, which were placed by its first pose."""
    depsgraph = holder.take(settings.all_poses[0].name)
    return light_if_dark(restore, stage, source.load_mesh().vertices, frame_of(avatar, depsgraph)[:3, :3])


def _exchange_skin(avatar: Avatar, skin: Path, restore: Restore) -> Any:
    """Wire another picture into the head's base colour; its pixels (h, w, 3) sRGB."""
    image = load_skin(skin)
    restore.later(lambda: bpy.data.images.remove(image))
    node = surface_of(avatar.head).node
    if node is None:
        raise errors.InputError(f"The head {avatar.head.name!r} has no skin image.", "Wire one into Base Color.")
    restore.set(node, "image", image)
    return image_as_srgb(image)


def _objects(source: capture.Capture, head_texture: str | None) -> list[capture.ObjectInfo]:
    head = source.objects[0]
    return [
        capture.ObjectInfo(head.name, head.part, head.first_face, head.face_count, head_texture),
        *(
            capture.ObjectInfo(o.name, o.part, o.first_face, o.face_count, None, o.base_color)
            for o in source.objects[1:]
        ),
    ]


def _check_same(source: capture.Capture, pose: capture.Pose, captured: mesh.Mesh) -> None:
    before = source.load_mesh(pose)
    if before.vertices.shape != captured.vertices.shape or not np.allclose(
        before.vertices, captured.vertices, atol=1e-4
    ):
        raise errors.InputError(
            f"The avatar in this file is not the one in the capture {source.folder}.", "Open the file it was made from."
        )
