# SPDX-License-Identifier: GPL-3.0-or-later
"""Capturing an avatar: poses are read, cameras placed, views rendered, a manifest written."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, capture, errors, mesh, png
from ..folders import safe_name
from ..jobs.machine import run
from .avatar import Avatar, find_avatar
from .digest import LIT_BY, Fingerprint
from .geometry import current_expression, extract, frame_of, objects_of
from .holding import Holder
from .job import RenderJob, Shot
from .poses import shares
from .restore import Restore
from .rig_cameras import rig_cameras
from .scene import has_lights, light_settings, light_studio, possible_render, show_only
from .settings import CaptureSettings, PoseSettings, RenderSettings, plain
from .stage import Stage, check_nothing_renders
from .textures import Surface, image_as_srgb, surface_of

Cancel = Callable[[], bool]


def never() -> bool:
    """Nobody cancels."""
    return False


def capture_avatar(
    out: Path,
    settings: CaptureSettings,
    progress: errors.Progress | None = None,
    cancelled: Cancel = never,
    context: Any = None,
    like: capture.Capture | None = None,
) -> capture.Capture:
    """Capture an avatar of the open file into the folder `out` and return its manifest.

    like: another avatar's capture, whose cameras are taken instead of the rig, moved so that both faces lie at one
    place of their pictures. A second call with the same scene and settings renders only what is missing. Raises
    InputError for an avatar that cannot be captured or a folder that cannot be written, Cancelled when told; the file
    is as before in any case.
    """
    job = CaptureJob(out, settings, context or bpy.context, like=like)
    run(job, "capture", progress, cancelled)
    return job.manifest


class CaptureJob:
    """The machine of `capture_avatar`. waits: renders block, each step is a view; else they go on beside the window.

    Making it raises InputError for what can be seen at once: no avatar, an edit mode, a folder that cannot be written.
    """

    def __init__(
        self, out: Path, settings: CaptureSettings, context: Any, *, waits: bool = True,
        like: capture.Capture | None = None,
    ) -> None:  # fmt: skip
        self._out, self._settings, self._waits, self._like = Path(out), settings, waits, like
        self._restore = Restore()
        self._views: RenderJob | None = None
        self._read = 0
        self._stopped = False
        self.remarks: list[str] = []
        try:
            self._render, remark = possible_render(settings.render)
            self.remarks += [remark] if remark else []
            check_ready(context)
            avatar = find_avatar(context.scene, context.view_layer, settings.avatar)
            make_folder(self._out)
            self._stage = Stage(self._restore, context.scene, context.view_layer)
            self._work = self._steps(avatar)
        except BaseException:
            self._restore.close()
            raise

    @property
    def fraction(self) -> float:
        """0..1: of the views."""
        return 0.0 if self._views is None else self._views.fraction

    @property
    def message(self) -> str:
        """For the progress line."""
        count = len(self._settings.all_poses)
        return f"pose {self._read} of {count}" if self._views is None else self._views.message

    @property
    def rendered(self) -> list[str]:
        """Names of the views that this job has rendered; others were there already."""
        return [] if self._views is None else self._views.rendered

    @property
    def busy(self) -> bool:
        """See RenderJob."""
        return self._views is not None and self._views.busy

    @property
    def pace(self) -> float | None:
        """Seconds a million samples of this job's views, None if it has rendered none."""
        seconds = None if self._views is None else self._views.seconds_a_view
        width, height = self._render.pixels
        return None if seconds is None else seconds * 1e6 / (width * height * self._render.samples)

    def stop(self) -> None:
        """Have `step` raise Cancelled when the pose or render in progress is over."""
        self._stopped = True
        if self._views is not None:
            self._views.stop()

    def step(self) -> bool:
        """Read a pose, or do a step of the views. Raises what RenderJob.step raises."""
        return next(self._work, False)

    def close(self) -> None:
        """Give the file back as it was, if need be when the render in progress is over."""
        if self._views is not None:
            self._views.close()
        else:
            self._restore.close()

    def _steps(self, avatar: Avatar) -> Iterator[bool]:
        settings, stage, out = self._settings, self._stage, self._out
        holder = Holder(stage, avatar, settings.all_poses, self._restore)
        reader = _PoseReader(stage, avatar, self._render, self._restore, out, settings.needs_landmarks)
        poses: list[capture.Pose] = []
        for self._read, pose in enumerate(settings.all_poses):
            if self._stopped:
                raise errors.Cancelled
            poses.append(reader.read(pose, holder.take(pose.name)))
            yield True
        if self._like is None:
            rig = rig_cameras(stage, settings, reader.points(), reader.frame)
        else:
            rig = rig_like(self._like, mesh.Mesh.load(out / poses[0].mesh))
        self.manifest = capture.Capture(
            folder=out,
            name=avatar.name,
            views=list_views(poses, rig, settings.spread),
            poses=poses,
            objects=reader.objects(),
            avatar=avatar.info,
            renderer=describe_renderer(self._render, reader.lights),
            provenance={"settings": plain(settings)},
        )
        shot = Shot(self.manifest, reader.fingerprints, settings.layers, holder.take, holder.check)
        self._views = RenderJob(stage, self._render, shot, self._restore, waits=self._waits)
        while self._views.step():
            yield True


class _PoseReader:
    """Reads mesh, bones and fingerprint of one pose after another; lights the avatar if nothing does."""

    def __init__(
        self, stage: Stage, avatar: Avatar, render: RenderSettings, restore: Restore, out: Path, needs_landmarks: bool
    ) -> None:
        self._stage, self._avatar, self._render, self._restore = stage, avatar, render, restore
        self._out, self._needs_landmarks = out, needs_landmarks
        self._surfaces = [surface_of(part) for part in avatar.parts]
        self._textures = [None if s.image is None else image_as_srgb(s.image) for s in self._surfaces]
        self._paths: list[str | None] = []
        self._clouds: list[npt.NDArray] = []
        self._counts: list[int] = []
        self._pictures: dict[int, str] = {}
        self.lights = ""
        self.frame = np.eye(4)
        self.fingerprints: dict[str, Fingerprint] = {}

    def read(self, pose: PoseSettings, depsgraph: Any) -> capture.Pose:
        """Read the pose that is held. Raises InputError for one whose faces differ from the first one's."""
        avatar, stage = self._avatar, self._stage
        captured, bones = extract(avatar, stage.view_layer, needs_landmarks=self._needs_landmarks)
        depsgraph = stage.update()
        counts = np.bincount(captured.face_object, minlength=len(avatar.parts)).tolist()
        if not self.fingerprints:
            self._counts = counts
            self.frame = frame_of(avatar, depsgraph)
            self.lights = light_if_dark(self._restore, stage, captured.vertices, self.frame[:3, :3])
            show_only(self._restore, stage.scene, avatar.parts)
            names = texture_paths([part.name for part in avatar.parts])
            self._paths = [save_texture(self._out, n, t) for n, t in zip(names, self._textures, strict=True)]
        elif counts != self._counts:
            raise errors.InputError(
                f"The avatar has other faces in the pose {pose.name!r} than in the first one.",
                "Turn off modifiers that cut or merge depending on the pose.",
            )
        captured.save(self._out / mesh_path(pose.name))
        self._clouds.append(captured.vertices)
        self.fingerprints[pose.name] = fingerprint_of(
            stage, avatar, captured, self._textures, self._render, "capture", self._pictures
        )
        frame = stage.scene.frame_current
        return capture.Pose(pose.name, mesh_path(pose.name), frame, current_expression(avatar, depsgraph), bones)

    def _parts(self) -> Iterator[tuple[Any, Any]]:
        return zip(self._avatar.parts, self._textures, strict=True)

    def points(self) -> npt.NDArray:
        """(N, 3) vertices of all poses."""
        return np.concatenate(self._clouds)

    def objects(self) -> list[capture.ObjectInfo]:
        """The avatar's parts with their textures."""
        return describe_objects(self._avatar, self._counts, self._paths, self._surfaces)


def describe_objects(
    avatar: Avatar, counts: list[int], paths: list[str | None], surfaces: list[Surface]
) -> list[capture.ObjectInfo]:
    """`ObjectInfo` of all parts."""
    return objects_of(avatar, counts, [(p, s.base_color) for p, s in zip(paths, surfaces, strict=True)])


def check_ready(context: Any) -> None:
    """Raises InputError in an edit mode or while something is rendered."""
    if context.mode != "OBJECT":
        raise errors.InputError("Blender is in an edit mode.", "Go back to object mode (Tab) and try again.")
    check_nothing_renders()


def light_if_dark(restore: Restore, stage: Stage, vertices: npt.NDArray, turn: npt.NDArray) -> str:
    """Put up stock lights unless the artist has lit the scene; "stock" or "scene"."""
    if has_lights(stage.scene):
        return "scene"
    centre, radius = extent(vertices)
    light_studio(restore, stage.scene, centre, radius, turn)
    return "stock"


def extent(vertices: npt.NDArray) -> tuple[npt.NDArray, float]:  # (V, 3)
    """Middle (3,) and half diagonal of the bounding box."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return (low + high) / 2, float(np.linalg.norm(high - low) / 2)


def list_views(poses: list[capture.Pose], rig: list[tuple[str, cameras.Camera]], spread: bool) -> list[capture.View]:
    """All views: training ones first where there is one pose, else pose by pose. Named split_number[_pose].

    rig: split and camera. The number is the camera's, so that views of one camera share it.
    """
    splits = [split for split, _ in rig]
    numbers = [splits[:i].count(split) for i, split in enumerate(splits)]
    views = []
    for pose, camera in shares(len(poses), splits, spread):
        name = f"{splits[camera]}_{numbers[camera]:03d}"
        name = name if len(poses) == 1 else f"{name}_{poses[pose].name}"
        views.append(
            capture.View(
                name, splits[camera], poses[pose].name, rig[camera][1], f"views/{name}.exr", f"previews/{name}.png"
            )
        )
    return views


def rig_like(like: capture.Capture, captured: mesh.Mesh) -> list[tuple[str, cameras.Camera]]:
    """Split and camera of another avatar's views, moved by what lies between both faces. InputError without
    landmarks."""
    places = []
    for item in (captured, like.load_mesh()):
        if not item.has_landmarks:
            raise errors.InputError("Both avatars need face landmarks to share cameras.", "Set their landmarks.")
        places.append(item.vertices[item.landmarks[item.landmarks >= 0]].astype(np.float64).mean(axis=0))
    return [(view.split, _moved(view.camera, places[0] - places[1])) for view in like.views]


def _moved(camera: cameras.Camera, shift: npt.NDArray) -> cameras.Camera:  # (3,) world
    """The same camera at another place."""
    world_to_camera = camera.world_to_camera.copy()
    world_to_camera[:3, 3] -= camera.rotation @ shift
    return cameras.Camera(camera.K, world_to_camera, camera.width, camera.height)


def mesh_path(pose: str) -> str:
    """Path of a pose's mesh in the folder."""
    return f"meshes/{pose}.npz"


def make_folder(out: Path) -> None:
    """The capture folder and its rooms. Raises InputError if it cannot be written."""
    try:
        for name in ("", "meshes", "textures"):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.InputError(
            f"The folder {out} cannot be written ({error.strerror}).", "Choose another place."
        ) from error


def texture_paths(names: Sequence[str]) -> list[str]:
    """Paths in the folder for the base colours of these objects; `eye.L` and `Eye_L` get two on any disk."""
    paths: list[str] = []
    for name in names:
        stem, taken = safe_name(name), {path.lower() for path in paths}
        tries = (f"textures/{stem}.png" if n == 1 else f"textures/{stem}_{n}.png" for n in range(1, len(names) + 1))
        paths.append(next(path for path in tries if path.lower() not in taken))
    return paths


def save_texture(out: Path, path: str, texture: npt.NDArray[np.uint8] | None) -> str | None:
    """Write a base colour; its path in the folder, None without one."""
    if texture is None:
        return None
    png.write_png(out / path, texture)
    return path


def describe_renderer(render: RenderSettings, lights: str) -> dict[str, Any]:
    """The manifest's note on how the pictures were made."""
    return {
        "blender": bpy.app.version_string,
        "platform": platform.system(),
        "lights": lights,
        **plain(render),
        "height": render.pixels[1],
    }


def fingerprint_of(
    stage: Stage,
    avatar: Avatar,
    captured: mesh.Mesh,
    textures: list[npt.NDArray[np.uint8] | None],
    render: RenderSettings,
    kind: str,
    pictures: dict[int, str],
) -> Fingerprint:
    """Everything that the pictures of the pose that is held depend on, but the camera. pictures: see Fingerprint."""
    scene, depsgraph = stage.scene, stage.update()
    fingerprint = Fingerprint(pictures, scene.frame_current)
    fingerprint.add([kind, bpy.app.version_string, plain(render), light_settings(scene)])
    fingerprint.add_mesh(captured)
    for texture in textures:
        fingerprint.add_array(np.zeros(0) if texture is None else texture)
    for part in avatar.parts:
        fingerprint.add_materials(slot.material for slot in part.material_slots)
    parts = set(avatar.parts)
    for item in sorted(scene.objects, key=lambda o: o.name):
        if item not in parts and (item.type in LIT_BY or item.instance_collection is not None):
            fingerprint.add_object(item, depsgraph)
    fingerprint.add_world(scene.world)
    return fingerprint


def settings_of(source: capture.Capture) -> CaptureSettings:
    """The settings that a capture was made with, out of its manifest; its rig is not needed, the views have cameras."""
    stored = source.provenance.get("settings")
    if not isinstance(stored, dict):
        raise errors.InputError(f"The capture {source.folder} does not say how it was made.", "Capture it again.")
    return CaptureSettings(
        avatar=stored["avatar"] or source.name,
        render=RenderSettings(**stored["render"]),
        pose=PoseSettings(**stored["pose"]),
        poses=[PoseSettings(**pose) for pose in stored.get("poses", ())],
    )
