# SPDX-License-Identifier: Apache-2.0
"""A swap as a stage of the pipeline: capture folder in, swapped capture folder out, view by view, resumable."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.exr_blocks import BLOCKS
from interchange.capture import (
    MANIFEST,
    Capture,
    ObjectInfo,
    Pose,
    View,
    ViewImages,
    write_json,
    write_preview,
    write_view,
)
from interchange.consent import sha256_of_file
from interchange.errors import Cancelled, InputError, Progress, messages_only
from interchange.mesh import Mesh
from interchange.png import write_png

from .consistency.stage import make_consistent
from .photos import report_of, sentences, used_photos
from .registry import PreparedSwap, Swapper, swapper_named
from .settings import SwapSettings
from .shape import moved_mesh, reshape_view
from .shape.files import OFFSET, write_offset
from .source import Source, list_source
from .view_loop import State, digest_of_view, run_views

FORMAT, VERSION = "digidouble-swap", 1
REPORT = "swap.json"
_STATE = "swap_state.json"
PER_VIEW = "per_view"
"""Folder of what a per-view swapper made of each view, kept so that a swap can go on; no result."""
_ONLY_CONSISTENCY = ("consistency", "rounds")
_WRITTEN = ("depth", "mask")
"""Layers of a capture that a swapped one has too."""
_PROCEDURE = 6
"""Raise when the same inputs give other pictures than before: it makes finished views count as stale."""


@attrs.frozen(eq=False)
class SwapResult:
    """folder: the swapped capture. report: what swap.json holds. rendered, kept: names of views that were made now, and
    of those that an earlier run had finished. seconds: wall time."""

    folder: Path
    report: dict[str, Any]
    rendered: tuple[str, ...]
    kept: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float


def swap(
    capture_folder: Path | str,
    source_folder: Path | str,
    out_folder: Path | str,
    settings: SwapSettings | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    today: date | None = None,
    swapper: Swapper | None = None,
) -> SwapResult:
    """Put the source's face on a capture and write the result as a capture.

    Finished views of an interrupted run with the same inputs are kept. `swapper`: instead of the one that the settings
    name. Raises InputError (code CONSENT for a missing or unfitting consent record) before anything in `out_folder` is
    touched, Cancelled when told; views that are finished by then stay.
    """
    started = time.monotonic()
    settings = settings or SwapSettings()
    capture_folder, out_folder = Path(capture_folder), Path(out_folder)
    swapper = swapper or swapper_named(settings.swapper)
    capture = Capture.load(capture_folder)
    if not capture.views:
        raise InputError(f"The capture {capture_folder} has no views.", "Capture again.")
    if "swap" in capture.provenance:  # the first face would live on, under no consent that the result names
        raise InputError(
            f"The capture {capture_folder} shows a face that was swapped in already.",
            "Give the capture that it was made from.",
        )
    if out_folder.resolve() == capture_folder.resolve():
        raise InputError("A swap cannot write into the capture it reads.", "Choose another folder.")
    listed = list_source(source_folder, today=today)
    told = messages_only(progress, "photos")
    source, choice = used_photos(listed, lambda: _head_mesh(capture), settings.photos, told, cancelled)
    with contextlib.ExitStack() as stack:
        prepared = swapper.prepare(capture, source, settings, progress, cancelled)
        stack.callback(prepared.close)
        with _told_of_disk(out_folder):
            if swapper.info.per_view and settings.consistency:
                key = _key(capture, source, settings, prepared, _ONLY_CONSISTENCY)
                work = out_folder / PER_VIEW
                prepared = make_consistent(capture, prepared, work, key, settings, progress, cancelled)
                stack.callback(prepared.close)
            prepared.report["choice"] = report_of(choice, settings.photos)
            prepared.warnings = [*sentences(choice), *prepared.warnings]
            report, rendered, kept = _swap_all(capture, source, out_folder, prepared, settings, progress, cancelled)
    seconds = time.monotonic() - started
    if progress:
        progress("swap", 1.0, f"{len(rendered)} views swapped, {len(kept)} kept")
    return SwapResult(out_folder, report, rendered, kept, tuple(prepared.warnings), seconds)


def _head_mesh(capture: Capture) -> tuple[Mesh, int]:
    return capture.load_mesh(), capture.object_of_part("head")[0]


@contextlib.contextmanager
def _told_of_disk(out_folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"The swap cannot be written to {out_folder} ({error.strerror or error}).",
            "Make room on the disk or choose another --out; finished views are kept.",
        ) from error


def _swap_all(
    capture: Capture,
    source: Source,
    out_folder: Path,
    prepared: PreparedSwap,
    settings: SwapSettings,
    progress: Progress | None,
    cancelled: Callable[[], bool],
) -> tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]:
    """Write everything; the report, and the names of views made and kept."""
    meshes = {pose.name: _mesh_pair(capture, pose, prepared) for pose in capture.poses}
    key = _key(capture, source, settings, prepared)
    _withdraw_another(out_folder, key)
    swapped = _write_frame(capture, out_folder, prepared, meshes)
    rendered, kept, notes = _swap_views(capture, meshes, swapped, prepared, key, settings, progress, cancelled)
    report = _report(capture, source, settings, prepared, key) | ({"views": notes} if notes else {})
    _write_pictures(swapped, prepared)
    swapped.provenance = {"swap": {"swapper": settings.swapper, "report": REPORT}, "capture": capture.provenance}
    swapped.save_manifest()
    write_json(out_folder / REPORT, report)
    return report, rendered, kept


def _withdraw_another(out_folder: Path, key: str) -> None:
    """Take away what says that the folder is a finished swap, if it is one of other inputs: until this one is done its
    views are a mixture, which nobody is to fit, least of all under the consent of the other."""
    try:
        finished = json.loads((out_folder / REPORT).read_text(encoding="utf-8"))["digests"]["key"]
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError):
        finished = None
    if finished != key:
        (out_folder / MANIFEST).unlink(missing_ok=True)
        (out_folder / REPORT).unlink(missing_ok=True)


@attrs.frozen(eq=False)
class _MeshPair:
    """A pose's mesh as captured and as swapped; the same one if the shape stays."""

    old: Mesh
    new: Mesh


def _mesh_pair(capture: Capture, pose: Pose, prepared: PreparedSwap) -> _MeshPair:
    mesh = capture.load_mesh(pose)
    return _MeshPair(mesh, mesh if prepared.offset is None else moved_mesh(mesh, prepared.offset, pose.bones))


def _key(
    capture: Capture, source: Source, settings: SwapSettings, prepared: PreparedSwap, without: tuple[str, ...] = ()
) -> str:
    """Digest of all that the pictures depend on, beside each view's own file; `without` names settings that do not
    matter to them."""
    chosen = {k: v for k, v in attrs.asdict(settings).items() if k not in ("threads", "engine", *without)}
    meshes = {pose.name: sha256_of_file(capture.folder / pose.mesh) for pose in capture.poses}
    cameras = {v.name: [v.camera.K.tolist(), v.camera.world_to_camera.tolist()] for v in capture.views}
    skin = None if prepared.skin is None else hashlib.sha256(prepared.skin.tobytes()).hexdigest()
    shape = None if prepared.offset is None else hashlib.sha256(prepared.offset.tobytes()).hexdigest()
    content = [_PROCEDURE, chosen, source.digests, meshes, cameras, skin, shape, prepared.digest]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _write_frame(capture: Capture, out: Path, prepared: PreparedSwap, meshes: dict[str, _MeshPair]) -> Capture:
    """Everything of the swapped capture but its views: meshes (moved if the shape changes) and textures, those that
    the swap made exchanged."""
    for part in ("views", "previews", "meshes", "textures"):
        (out / part).mkdir(parents=True, exist_ok=True)
    objects = list(capture.objects)
    head, item = capture.object_of_part("head")
    for name in [pose.mesh for pose in capture.poses] + [o.texture for o in objects if o.texture]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        _copy(capture.folder / name, out / name)
    (out / OFFSET).unlink(missing_ok=True)
    if prepared.offset is not None:
        for pose in capture.poses:
            meshes[pose.name].new.save(out / pose.mesh)
        write_offset(out / OFFSET, prepared.offset, next(iter(meshes.values())).old, objects)
    if prepared.skin is not None:
        texture = item.texture or _free_texture(objects)
        objects[head] = attrs.evolve(item, texture=texture)
        write_png(out / texture, prepared.skin)
    for index, pixels in prepared.textures.items():
        texture = objects[index].texture or f"textures/{objects[index].name}.png"
        objects[index] = attrs.evolve(objects[index], texture=texture)
        write_png(out / texture, pixels)
    return Capture(
        out, capture.name, list(capture.views), list(capture.poses), objects, capture.avatar, capture.renderer,
        capture.colour_space,
    )  # fmt: skip


def _free_texture(objects: Sequence[ObjectInfo]) -> str:
    """A path that no object's texture has. Not the head's name: what an object may be called, a file may not."""
    name, taken = "head_skin", {str(item.texture).casefold() for item in objects}
    while f"textures/{name}.png" in taken:
        name += "_"
    return f"textures/{name}.png"


def _copy(start: Path, goal: Path) -> None:
    temporary = goal.with_name(goal.name + ".part")
    try:
        shutil.copyfile(start, temporary)
    except FileNotFoundError:
        raise InputError(f"The capture's file {start} is missing.", "Capture again.") from None
    os.replace(temporary, goal)


def _swap_views(
    capture: Capture,
    meshes: dict[str, _MeshPair],
    swapped: Capture,
    prepared: PreparedSwap,
    key: str,
    settings: SwapSettings,
    progress: Progress | None,
    cancelled: Callable[[], bool],
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]:
    """Names of views made and kept, and the swapper's notes on all of them."""
    state = State(swapped.folder / _STATE, key)
    kept = [v for v in capture.views if _is_finished(v, capture, swapped, state)]
    waiting = [v for v in capture.views if v not in kept]
    state.begin([v.name for v in kept])

    def work(view: View) -> None:
        digest = digest_of_view(capture, view)
        note = _swap_view(capture, meshes[capture.pose_of(view).name], swapped, prepared, view, cancelled)
        state.finish(view.name, digest, note)

    try:
        run_views(waiting, work, settings.threads, len(capture.views), "views", progress, cancelled)
    finally:
        state.flush()  # also what threads have finished after the others were told to stop
    return tuple(v.name for v in waiting), tuple(v.name for v in kept), state.notes


def _is_finished(view: View, capture: Capture, swapped: Capture, state: State) -> bool:
    files = (swapped.folder / view.exr, swapped.folder / view.preview)
    if view.name not in state.views or not all(f.is_file() for f in files):
        return False
    return state.views[view.name] == sha256_of_file(capture.folder / view.exr)


def _swap_view(
    capture: Capture, mesh: _MeshPair, swapped: Capture, prepared: PreparedSwap, view: View,
    cancelled: Callable[[], bool],
) -> Any:  # fmt: skip
    """Write one view; what the swapper says about it, or None. A view of many pixels takes seconds, so it heeds
    `cancelled` between its steps, until the first file is written."""

    def heed() -> None:
        if cancelled():
            raise Cancelled

    layers = None if prepared.layers is None else {*prepared.layers, *_WRITTEN}
    images = capture.load_view(view, layers, BLOCKS)
    if mesh.new is not mesh.old:
        heed()
        images = reshape_view(images, mesh.old, mesh.new, view.camera)
    heed()
    rgb = prepared.change(images, mesh.new, view.camera)
    heed()
    result = ViewImages(rgb=rgb, alpha=images.alpha, depth=images.depth, masks=images.masks)
    write_preview(swapped.folder / view.preview, result, BLOCKS)
    write_view(swapped.folder / view.exr, result, BLOCKS)
    return prepared.look(images, mesh.new, view.camera) if prepared.look else None


def _report(
    capture: Capture, source: Source, settings: SwapSettings, prepared: PreparedSwap, key: str
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "swapper": settings.swapper,
        "settings": attrs.asdict(settings),
        "digests": {
            "capture": {MANIFEST: sha256_of_file(capture.folder / MANIFEST)},
            "source": source.digests,
            "consent": source.consent.digest,
            "key": key,
        },
        "consent": {"kind": source.consent.kind, "operations": list(source.consent.operations)},
        "warnings": prepared.warnings,
        **prepared.report,
    }


def _write_pictures(swapped: Capture, prepared: PreparedSwap) -> None:
    out = swapped.folder
    _, item = swapped.object_of_part("head")
    if prepared.skin is not None and item.texture is not None:
        _copy(out / item.texture, out / "texture.png")  # to compress it again would cost as much as a view
    if prepared.skin_mask is not None:
        write_png(out / "texture_mask.png", prepared.skin_mask)
    if prepared.pictures:
        write_png(out / "strip.png", strip(list(prepared.pictures.values())))


def strip(pictures: list[npt.NDArray[np.uint8]], height: int = 384) -> npt.NDArray[np.uint8]:
    """Pictures (h, w, 3) side by side at one height."""
    scaled = [
        cv2.resize(p, (max(1, round(p.shape[1] * height / p.shape[0])), height), interpolation=cv2.INTER_AREA)
        for p in pictures
    ]
    return np.concatenate(scaled, axis=1)
