# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on for pipelines: the panel's steps as functions, in `blender -b`, the bpy module and Blender's console.

    from bl_ext.user_default.digidouble import api      # where the extension is installed
    from blender_addon import api                       # from a checkout

    api.enable()
    api.use_avatar("Ada")
    folder = api.capture(settings=api.CaptureSettings(rig=api.Dome(train=48, held_out=8)))
    api.use_performer("/shows/x/performers/bruno")
    job = api.submit(quality="STANDARD")
    double = api.wait(job)

Every function works on the open file and the active scene (`bpy.context.scene`) and does what the panel's buttons do,
by the same machines. What is unusable raises InputError, whose text says what is wrong, where, and what to do;
Cancelled means that somebody stopped it; RuntimeError is a bug of ours. Lengths are metres, angles degrees, times
seconds; cameras are OpenCV's (x right, y down, z forward), in pixels with the centre of the first at 0.5. Paths may
begin with "//", which is the folder of the .blend file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import bpy

from ._interchange import capture as _captures
from ._interchange import errors
from .avatar_setup import choose as _choose
from .capture import avatar as _avatar
from .capture import place as _place
from .capture.capture import CaptureJob
from .capture.planning import plan_views
from .capture.poses import action_poses, frame_poses, random_expressions
from .capture.request import settings_from_panel
from .capture.rig_cameras import made_collection
from .capture.rigs import Dome, LightStage, Rings, SceneCameras, Sphere
from .capture.settings import CaptureSettings, PoseSettings, RenderSettings
from .display.pointcloud import is_double
from .folders import from_property
from .jobs import inbox as _inbox
from .jobs.machine import run as _run
from .jobs.records import RESULT, JobRecord
from .jobs.waiting import wait_for_job
from .operators._call import call as _call
from .performer import active_performer, active_source_folder, folder_of, need_performer
from .performer.roster import show_terms
from .performer.store import Terms

InputError, Cancelled = errors.InputError, errors.Cancelled

__all__ = [
    "CaptureSettings", "Cancelled", "Dome", "InputError", "LightStage", "PoseSettings", "RenderSettings", "Rings",
    "SceneCameras", "Sphere", "action_poses", "avatars", "cancel", "capture", "check_avatar", "enable", "export_colmap",
    "export_double", "export_transforms", "find_landmarks", "find_points", "frame_poses", "import_splats",
    "make_cameras", "new_performer", "panel_settings", "performer_folder", "performer_from_avatar", "plan_cameras",
    "random_expressions", "set_cameras", "set_up_avatar", "show_double", "submit", "use_avatar", "use_performer",
    "wait", "write_consent",
]  # fmt: skip


def enable() -> None:
    """Register the add-on unless it is: for the bpy module and for checkouts. Harmless where it is turned on."""
    if not hasattr(bpy.types.Scene, "digidouble"):
        from . import register

        register()


# -- avatar ---------------------------------------------------------------------------------------------------------


def avatars() -> list[str]:
    """Names (collections) of the avatars that are set up in the open file, sorted."""
    return _avatar.avatar_names()


def use_avatar(name: str | None = None) -> str:
    """Choose an avatar that is set up in the file, None for the only one; returns its name.

    Raises InputError if there is none of that name, or several to choose from.
    """
    _call("avatar_use", name=name or "")
    return _chosen_avatar()


def set_up_avatar(head: Any, parts: Mapping[Any, str] | None = None, armature: Any | None = None) -> str:
    """Mark meshes as an avatar and choose it; returns its name.

    head: the mesh object with the face. parts: other mesh objects with "eyes", "hair", "mouth", "lashes" or "other";
    None takes what hangs on the same rig or touches the head in its collection. armature: None for the one that moves
    the head, if any. Landmarks come next: `find_landmarks`, or 68 vertex numbers in `head["digidouble_landmarks"]`.
    Raises InputError for linked data, and for what is no mesh object or no part.
    """
    said = bpy.context.scene.digidouble.avatar
    with _in_words("Such an avatar cannot be set up."):
        said.head = head  # suggests armature and parts
        if armature is not None:
            said.armature = armature
        if parts is not None:
            _choose.set_parts(said, list(parts))
            for entry in said.parts:
                entry.part = parts[entry.item]
    _call("avatar_make")
    return _chosen_avatar()


def find_landmarks() -> None:
    """Mark the 68 landmarks and the face region of the chosen avatar's head, if it is a mesh that Digidouble knows
    (MakeHuman, MPFB, the samples). Raises InputError if it is none.
    """
    _call("landmarks_find")


def check_avatar() -> list[tuple[str, str]]:
    """What the panel finds about the chosen avatar: ("ERROR" | "WARNING" | "INFO", sentence), the gravest first.

    An ERROR keeps a capture from being made.
    """
    _call("avatar_check")
    order = ("ERROR", "WARNING", "INFO")
    found = [(entry.severity, entry.sentence) for entry in bpy.context.scene.digidouble.avatar.findings]
    return sorted(found, key=lambda finding: order.index(finding[0]))


# -- cameras and capture ----------------------------------------------------------------------------------------------


def set_cameras(preset: str | None = None, **values: Any) -> None:
    """Set the scene's camera rig, as in the panel Cameras.

    preset: "QUICK", "STANDARD", "FINE", "TURNTABLE" or "STAGE", applied first. values: properties of
    `scene.digidouble.cameras` (rig, train, held_out, low, high, lens_mm, width, height, ...) as Blender keeps them, so
    angles are in radians here. Raises InputError for a name or a value that is none.
    """
    if preset is not None:
        _call("cameras_preset", preset=preset)
    for name, value in values.items():
        _assign(bpy.context.scene.digidouble.cameras, name, value)


def panel_settings() -> CaptureSettings:
    """The scene's settings of avatar, cameras and capture; change them with `attrs.evolve`. Raises InputError for
    impossible ones."""
    return settings_from_panel(bpy.context)


def plan_cameras(settings: CaptureSettings | None = None) -> list[_captures.View]:
    """The views that a capture would render, without rendering: each has a name, a split ("train", "held_out"), a pose
    and a camera with K (3, 3) in pixels and world_to_camera (4, 4), metres. None: as the panel says.

    Raises InputError as `capture` does.
    """
    return plan_views(bpy.context, _of_chosen(settings)).views


def make_cameras(*, set_resolution: bool = False) -> int:
    """Make the panel's rig as camera objects of the scene, instead of those made before; how many there are.

    set_resolution: also give the scene the capture's resolution. Raises InputError without an avatar.
    """
    _call("cameras_make", set_resolution=set_resolution)
    made = made_collection(bpy.context.scene)
    return 0 if made is None else len(made.objects)


def capture(
    folder: str | Path | None = None,
    settings: CaptureSettings | None = None,
    progress: errors.Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Path:
    """Render an avatar from all sides into a capture folder (docs/formats/capture.md) and return the folder.

    folder: None for the panel's (beside the .blend file). settings: None for the panel's; without an avatar in them it
    is the chosen one. progress: called with stage, fraction 0..1 and a line after each view. Called again with the same
    scene, only missing views are rendered; the file is left as it was, whatever happens. Raises InputError for an
    avatar that cannot be captured or a folder that cannot be written, Cancelled once `cancelled()` is true.
    """
    settings = _of_chosen(settings)
    other = None if settings.avatar == _place.chosen_avatar(bpy.context) else settings.avatar
    out = _path(folder) if folder is not None else _place.capture_folder(bpy.context, other)
    _run(CaptureJob(out, settings, bpy.context), "capture", progress, cancelled)
    return out


def export_transforms(path: str | Path, *, captured: bool = False) -> Path:
    """Write cameras as nerfstudio's transforms.json and return the file. captured: those of the panel's finished
    capture, with its pictures; else those of the rig. Raises InputError if there are none, or the file cannot be
    written.
    """
    _call("export_transforms", filepath=str(_path(path)), source="CAPTURE" if captured else "RIG")
    return _path(path) if _path(path).suffix else _path(path) / "transforms.json"


def export_colmap(folder: str | Path, *, captured: bool = False) -> Path:
    """Write cameras and the avatar's vertices as a COLMAP text model and return the folder; else as
    `export_transforms`."""
    _call("export_colmap", filepath=str(_path(folder)), source="CAPTURE" if captured else "RIG")
    return _path(folder)


# -- performer and consent --------------------------------------------------------------------------------------------


def use_performer(folder: str | Path) -> Path:
    """Choose a performer by its source folder (docs/formats/source.md), listed in the scene if it is not; returns the
    folder. Whether it is complete is asked by `performer_folder`. Raises InputError if it is not there.
    """
    path, scene = _path(folder), bpy.context.scene.digidouble
    known = [folder_of(performer).resolve() for performer in scene.performers]
    if path.resolve() in known:
        scene.active_performer = known.index(path.resolve())
    else:
        _call("performer_load_folder", directory=str(path))
    return path


def new_performer(name: str, photos: Sequence[str | Path], landmarks: Mapping[str, str | Path] | None = None) -> Path:
    """Begin a source folder in the work folder, copy photos into it, choose it; returns the folder.

    landmarks: by the photo's file name a file with points (landmarks.json, .pts, or 68 pairs in JSON), in pixels of the
    upright photo. The consent record comes next: `write_consent`. Raises InputError for a file that cannot be used.
    """
    _call("performer_add", name=name)
    for photo in photos:
        _call("performer_add_photos", filepath=str(_path(photo)))
    for photo_name, file in (landmarks or {}).items():
        _call("performer_landmarks_load", photo=photo_name, filepath=str(_path(file)))
    return folder_of(active_performer(bpy.context))


def find_points(photo: str) -> None:
    """Have the artist's own network (the preferences' models folder, or DIGIDOUBLE_MODELS) find the points on a photo
    of the chosen performer, on this computer; `photo`: its name. Raises InputError if it has points already, there is
    no backend or no network here, or no face is found.
    """
    _call("performer_landmarks_find", photo=photo)


def performer_from_avatar(name: str | None = None, size: int = 640, samples: int = 32) -> Path:
    """Render a portrait of another avatar of the file as a performer whom nobody has to give consent for; returns its
    source folder. size: pixels a side. samples: a pixel. Raises InputError if there is no other, or several and no
    name.
    """
    _call("performer_from_avatar", avatar=name or "", size=size, samples=samples)
    return folder_of(active_performer(bpy.context))


def write_consent(
    *,
    subject: str,
    granted_by: str,
    use: str,
    expires: date | None,
    confirmed: bool,
    kind: str = "independent",
    authority: str = "self",
    operations: Sequence[str] = ("swap",),
) -> Path:
    """Write the consent record over all photos of the chosen performer (docs/formats/source.md); returns the file.

    confirmed: you know that the permission was given; without it nothing is written. expires: the last day, None for
    never. kind: "employment", "independent", "licensed", "public-domain" or "synthetic". authority: "self", "guardian",
    "estate", "rights-holder" or "synthetic". Raises InputError if a line is empty, a photo is damaged, or
    `confirmed` is False.
    """
    performer = need_performer(bpy.context)
    with _in_words(f"The consent record cannot say {kind}, {authority}, {', '.join(operations)}."):
        show_terms(performer.consent, Terms(kind, subject, granted_by, authority, use, expires, tuple(operations)))
    performer.consent.confirmed = confirmed
    _call("performer_consent_write")
    return folder_of(performer) / "consent.json"


def performer_folder() -> Path:
    """The source folder of the chosen performer. InputError says what is missing: photos, landmarks or consent."""
    return active_source_folder(bpy.context)


# -- jobs -------------------------------------------------------------------------------------------------------------


def submit(*, capture: str | Path | None = None, **values: Any) -> str:
    """Send capture and performer to the chosen backend, this computer's is started if need be, and return the job's id;
    `wait` waits for its end.

    capture: a finished capture's folder, None for the panel's. values: properties of `scene.digidouble.job` (kind
    "DOUBLE" or "GAUSSIANS", quality "PREVIEW", "STANDARD" or "HIGH", splats, iterations, sh_degree, seed, swapper,
    tone, strength, import_when_done, ...). Raises InputError naming what is missing.
    """
    scene = bpy.context.scene.digidouble
    for name, value in values.items():
        _assign(scene.job, name, value)
    if capture is not None:
        scene.capture.folder = str(_path(capture))
    _call("job_submit", wait=False)
    return str(bpy.context.window_manager.digidouble.compute.jobs[0].job_id)


def wait(job_id: str, timeout_s: float | None = None, tell: Callable[[str], None] | None = None) -> Path | None:
    """Wait for a job's end and return the double's folder (docs/formats/double.md); None after `timeout_s` seconds,
    when the job goes on. It is in the scene then, unless the job was sent with import_when_done=False.

    tell: gets a line whenever there is news. Raises InputError if it failed, Cancelled if it was stopped.
    """
    record = _job(job_id)
    done = wait_for_job(_inbox.desk(), record, tell or (lambda _: None), timeout_s)
    return (Path(record.results) / RESULT).parent if done else None


def cancel(job_id: str) -> None:
    """Stop a job; sent again it goes on where it was. Raises InputError if it has ended or is not known."""
    _job(job_id)
    _call("job_cancel", job_id=job_id)


# -- doubles ----------------------------------------------------------------------------------------------------------


def show_double(path: str | Path, capture: str | Path | None = None, mode: str = "POINTS", *,
                hide_avatar: bool = True) -> Any:  # fmt: skip
    """Bring a double into the scene and return its POINTCLOUD object, made active; it follows its avatar if the capture
    tells which one that is.

    path: the double's folder or splat file. capture: the capture it was made from, None to look beside it. mode:
    "POINTS" or "SPLATS". hide_avatar: the double takes the place of the avatar's mesh. Raises InputError if it cannot
    be read.
    """
    captured = "" if capture is None else str(_path(capture))
    _call("show_double", filepath=str(_path(path)), capture=captured, mode=mode, hide_avatar=hide_avatar)
    return bpy.context.view_layer.objects.active


def import_splats(path: str | Path, mode: str = "POINTS") -> Any:
    """Bring any splat file (.ply, .compressed.ply, .spz, .splat, .glb, .gltf) into the scene and return its object,
    made active: N points in metres with opacity 0..1, scale, quat_wxyz and SH (docs/formats/splats.md). Raises
    InputError if it is none.
    """
    _call("import_splats", filepath=str(_path(path)), mode=mode)
    return bpy.context.view_layer.objects.active


def export_double(item: Any, path: str | Path, *, posed: bool = False, only_shown: bool = True) -> Path:
    """Write a double with its edits to a splat file and return the file; its ending is the format.

    item: the object. posed: in the present pose and place, else as captured. only_shown: leave out what crop box and
    thresholds hide. Raises InputError for an object that is no double, or a file that cannot be written.
    """
    if not is_double(item):
        raise errors.InputError(f"The object {item.name!r} is no double.", "Import or show one first.")
    with bpy.context.temp_override(object=item, active_object=item):
        _call("double_export", filepath=str(_path(path)), posed=posed, only_shown=only_shown)
    return _path(path)


# -- what they share --------------------------------------------------------------------------------------------------


def _path(path: str | Path) -> Path:
    return from_property(str(path), Path(path))


def _of_chosen(settings: CaptureSettings | None) -> CaptureSettings:
    """The panel's settings if there are none; the chosen avatar if they name none."""
    settings = settings or panel_settings()
    return settings if settings.avatar else attrs.evolve(settings, avatar=_place.chosen_avatar(bpy.context))


def _chosen_avatar() -> str:
    return str(bpy.context.scene.digidouble.avatar.collection_name(bpy.context))


def _job(job_id: str) -> JobRecord:
    record = _inbox.desk().records.get(job_id)
    if record is None:
        raise errors.InputError(f"There is no job {job_id!r}.", "Its id is what submit() returned.")
    return record


def _assign(owner: Any, name: str, value: Any) -> None:
    """Set a property by its name."""
    if name not in owner.bl_rna.properties:
        known = ", ".join(sorted(set(owner.bl_rna.properties.keys()) - {"rna_type", "name"}))
        raise errors.InputError(f"There is no setting {name!r}.", f"There are: {known}.")
    with _in_words(f"{name} cannot be {value!r}."):
        setattr(owner, name, value)


@contextlib.contextmanager
def _in_words(problem: str) -> Iterator[None]:
    """Blender's own exceptions for values of the wrong kind as InputError."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise errors.InputError(problem, str(error)) from error
