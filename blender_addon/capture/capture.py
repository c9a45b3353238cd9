# SPDX-License-Identifier: GPL-3.0-or-later
"""The three jobs on an avatar: capture it, render the true swap of a capture, take its portrait."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, capture, errors, mesh, png
from . import rigs
from .avatar import Avatar, find_avatar
from .digest import Fingerprint
from .geometry import current_expression, extract, objects_of
from .job import RenderJob, Shot, run
from .scene import Restore, apply_pose, has_lights, light_studio, show_only
from .settings import CaptureSettings, PoseSettings, RenderSettings, plain
from .textures import image_as_srgb, load_skin, surface_of

POSE = "rest"
Cancel = Callable[[], bool]


def _never() -> bool:
    return False


def capture_avatar(
    out: Path,
    settings: CaptureSettings,
    progress: errors.Progress | None = None,
    cancelled: Cancel = _never,
    context: Any = None,
    like: capture.Capture | None = None,
) -> capture.Capture:
    """Capture an avatar of the open file into the folder `out` and return its manifest.

    like: another avatar's capture, whose cameras are taken instead of the dome, moved so that both faces lie at one
    place of their pictures. A second call with the same scene and settings renders only what is missing. Raises
    InputError for an avatar that cannot be captured or a folder that cannot be written, Cancelled when told; the scene
    is as before in any case.
    """
    job, manifest = start_capture(out, settings, context or bpy.context, like)
    run(job, progress, cancelled)
    return manifest


def start_capture(
    out: Path, settings: CaptureSettings, context: Any, like: capture.Capture | None = None
) -> tuple[RenderJob, capture.Capture]:
    """The job of `capture_avatar`, to be stepped; its `close()` gives the scene back."""
    restore = Restore()
    try:
        return _start_capture(Path(out), settings, context, restore, like)
    except BaseException:
        restore.close()
        raise


def _start_capture(
    out: Path, settings: CaptureSettings, context: Any, restore: Restore, like: capture.Capture | None
) -> tuple[RenderJob, capture.Capture]:
    scene, view_layer = context.scene, context.view_layer
    avatar, captured, bones, lights = _stage(restore, context, settings.avatar, settings.pose, settings.needs_landmarks)
    views = _dome_views(settings, avatar, captured) if like is None else _views_like(like, captured)
    _make_folder(out)
    surfaces = [surface_of(part) for part in avatar.parts]
    textures = [None if s.image is None else image_as_srgb(s.image) for s in surfaces]
    paths = [_save_texture(out, part.name, t) for part, t in zip(avatar.parts, textures, strict=True)]
    counts = np.bincount(captured.face_object, minlength=len(avatar.parts)).tolist()
    captured.save(out / f"meshes/{POSE}.npz")
    manifest = capture.Capture(
        folder=out,
        name=avatar.name,
        views=views,
        poses=[
            capture.Pose(POSE, f"meshes/{POSE}.npz", scene.frame_current, current_expression(avatar), bones),
        ],
        objects=objects_of(avatar, counts, [(p, s.base_color) for p, s in zip(paths, surfaces, strict=True)]),
        avatar=avatar.info,
        renderer=_renderer(settings.render, lights),
        provenance={"settings": plain(settings)},
    )
    shot = Shot(manifest, captured, _fingerprint(scene, avatar, captured, textures, settings.render, "capture"))
    return RenderJob(scene, view_layer, settings.render, shot, restore), manifest


def true_swap(
    source: capture.Capture,
    skin: Path,
    out: Path,
    split: str | None = "held_out",
    progress: errors.Progress | None = None,
    cancelled: Cancel = _never,
    context: Any = None,
) -> capture.Capture:
    """Render a capture's views again with another skin on the head: what a perfect swap would look like.

    Same avatar, pose, cameras, light and quality; only the head's base colour image is exchanged. split: train,
    held_out or None for all. The open file must be the captured one. Resumes like `capture_avatar`.
    """
    context, out = context or bpy.context, Path(out)
    views = [v for v in source.views if split in (None, v.split)]
    if not views:
        raise errors.InputError(f"The capture {source.folder} has no {split} views.", "Capture with --held-out 8.")
    settings = settings_of(source)
    restore = Restore()
    try:
        avatar, captured, bones, lights = _stage(restore, context, settings.avatar or source.name, settings.pose, False)
        _check_same(source, captured)
        image = load_skin(skin)
        restore.later(lambda: bpy.data.images.remove(image))
        node = surface_of(avatar.head).node
        if node is None:
            raise errors.InputError(f"The head {avatar.head.name!r} has no skin image.", "Wire one into Base Color.")
        restore.set(node, "image", image)
        _make_folder(out)
        texture = image_as_srgb(image)
        head = source.objects[0]
        path = _save_texture(out, head.name, texture)
        captured.save(out / f"meshes/{POSE}.npz")
        pose = source.pose_of(views[0])
        objects = [capture.ObjectInfo(head.name, head.part, head.first_face, head.face_count, path)]
        objects += [
            capture.ObjectInfo(o.name, o.part, o.first_face, o.face_count, None, o.base_color)
            for o in source.objects[1:]
        ]
        manifest = capture.Capture(
            folder=out,
            name=f"{source.name} true swap",
            views=views,
            poses=[capture.Pose(pose.name, f"meshes/{POSE}.npz", pose.frame, pose.shape_keys, bones)],
            objects=objects,
            avatar=source.avatar,
            renderer=_renderer(settings.render, lights),
            provenance={"true_swap_of": source.name, "skin": Path(skin).name},
        )
        fingerprint = _fingerprint(context.scene, avatar, captured, [texture], settings.render, "true swap")
        shot = Shot(manifest, captured, fingerprint, layers=("albedo", "depth"))
        job = RenderJob(context.scene, context.view_layer, settings.render, shot, restore)
    except BaseException:
        restore.close()
        raise
    run(job, progress, cancelled)
    return manifest


def _stage(
    restore: Restore, context: Any, name: str | None, pose: PoseSettings, needs_landmarks: bool
) -> tuple[Avatar, mesh.Mesh, list[capture.Bone], str]:
    """Pose the avatar, read its mesh, light it if nothing does, hide all else from the cameras."""
    scene, view_layer = context.scene, context.view_layer
    if context.mode != "OBJECT":
        raise errors.InputError("Blender is in an edit mode.", "Go back to object mode (Tab) and try again.")
    avatar = find_avatar(scene, view_layer, name)
    if pose.frame is not None and pose.frame != scene.frame_current:
        before = scene.frame_current
        restore.later(lambda: scene.frame_set(before))
        scene.frame_set(pose.frame)
    apply_pose(restore, avatar.parts, avatar.armature, pose)
    captured, bones = extract(avatar, view_layer, needs_landmarks=needs_landmarks)
    lights = "scene"
    if not has_lights(scene):
        lights = "stock"
        centre, radius = extent(captured.vertices)
        light_studio(restore, scene, centre, radius, avatar.frame[:3, :3])
    show_only(restore, scene, avatar.parts)
    return avatar, captured, bones, lights


def extent(vertices: npt.NDArray) -> tuple[npt.NDArray, float]:  # (V, 3)
    """Middle (3,) and half diagonal of the bounding box."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return (low + high) / 2, float(np.linalg.norm(high - low) / 2)


def _view(split: str, number: int, camera: cameras.Camera) -> capture.View:
    name = f"{split}_{number:03d}"
    return capture.View(name, split, POSE, camera, f"views/{name}.exr", f"previews/{name}.png")


def _dome_views(settings: CaptureSettings, avatar: Avatar, captured: mesh.Mesh) -> list[capture.View]:
    train, held_out = rigs.dome_directions(settings.dome)
    directions = np.concatenate([train, held_out]) @ avatar.frame[:3, :3].T
    found = rigs.surround(captured.vertices, directions, settings.render.lens_mm, settings.render.size)
    views = [_view("train", i, c) for i, c in enumerate(found[: len(train)])]
    return views + [_view("held_out", i, c) for i, c in enumerate(found[len(train) :])]


def _views_like(like: capture.Capture, captured: mesh.Mesh) -> list[capture.View]:
    places = []
    for item in (captured, like.load_mesh()):
        if not item.has_landmarks:
            raise errors.InputError("Both avatars need face landmarks to share cameras.", "Set their landmarks.")
        places.append(item.vertices[item.landmarks[item.landmarks >= 0]].astype(np.float64).mean(axis=0))
    moved = rigs.moved([view.camera for view in like.views], places[0] - places[1])
    return [
        capture.View(v.name, v.split, POSE, camera, v.exr, v.preview)
        for v, camera in zip(like.views, moved, strict=True)
    ]


def _make_folder(out: Path) -> None:
    try:
        for name in ("", "meshes", "textures"):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(
            f"The folder {out} cannot be written ({error.strerror}).", "Choose another place."
        ) from error


def _save_texture(out: Path, name: str, texture: npt.NDArray[np.uint8] | None) -> str | None:
    if texture is None:
        return None
    path = f"textures/{bpy.path.clean_name(name)}.png"
    png.write_png(out / path, texture)
    return path


def _renderer(render: RenderSettings, lights: str) -> dict[str, Any]:
    return {
        "engine": "CYCLES",
        "blender": bpy.app.version_string,
        "platform": platform.system(),
        "lights": lights,
        **plain(render),
    }


def _fingerprint(
    scene: Any,
    avatar: Avatar,
    captured: mesh.Mesh,
    textures: list[npt.NDArray[np.uint8] | None],
    render: RenderSettings,
    kind: str,
) -> Fingerprint:
    fingerprint = Fingerprint()
    fingerprint.add([kind, bpy.app.version_string, plain(render)])
    fingerprint.add_mesh(captured)
    for texture in textures:
        fingerprint.add_array(np.zeros(0) if texture is None else texture)
    for part in avatar.parts:
        for slot in part.material_slots:
            if slot.material is not None:
                fingerprint.add_nodes(slot.material.node_tree)
    for item in sorted(scene.objects, key=lambda o: o.name):
        if item not in avatar.parts and item.type in ("LIGHT", "MESH"):
            fingerprint.add_object(item)
    if scene.world is not None:
        fingerprint.add_nodes(scene.world.node_tree)
    return fingerprint


def settings_of(source: capture.Capture) -> CaptureSettings:
    """The settings that a capture was made with, out of its manifest."""
    stored = source.provenance.get("settings")
    if not isinstance(stored, dict):
        raise errors.InputError(f"The capture {source.folder} does not say how it was made.", "Capture it again.")
    return CaptureSettings(
        avatar=stored["avatar"] or source.name,
        render=RenderSettings(**stored["render"]),
        pose=PoseSettings(**stored["pose"]),
    )


def _check_same(source: capture.Capture, captured: mesh.Mesh) -> None:
    before = source.load_mesh()
    if before.vertices.shape != captured.vertices.shape or not np.allclose(
        before.vertices, captured.vertices, atol=1e-4
    ):
        raise errors.InputError(
            f"The avatar in this file is not the one in the capture {source.folder}.", "Open the file it was made from."
        )
