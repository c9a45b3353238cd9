# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture as a state machine: one view a step, so that a timer can step it in the window and a loop headless."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from .._interchange import cameras, capture, errors, mesh
from .digest import Fingerprint
from .passes import CyclesTap, images_from_passes
from .pixels import find_hits, object_coverage, view_masks
from .scene import CameraMan, Restore, set_up_render
from .settings import RenderSettings

RESUME = "resume.json"
_RESUME_FORMAT, _RESUME_VERSION = "digidouble-resume", 1


@attrs.frozen(eq=False)
class Shot:
    """What a render job needs beyond the scene: manifest to be, the mesh seen, names of its objects, fingerprint.

    layers: what beside RGBA and masks goes into the EXR files.
    """

    manifest: capture.Capture
    captured: mesh.Mesh
    fingerprint: Fingerprint
    layers: tuple[str, ...] = ("albedo", "light", "depth", "normal", "uv")


class RenderJob:
    """Renders the views of a manifest into its folder; finished views of the same fingerprint are kept.

    `restore` holds the changes made to the scene so far; the job adds its own and takes all back in `close()`, which
    the one who steps must call whatever happens (`run` does).
    """

    def __init__(self, scene: Any, view_layer: Any, render: RenderSettings, shot: Shot, restore: Restore) -> None:
        self._scene, self._view_layer, self._shot, self._restore = scene, view_layer, shot, restore
        self._denoised = render.denoise
        self._tap = CyclesTap()
        self._done = _finished_views(shot)
        self._todo = [v for v in shot.manifest.views if v.name not in self._done]
        self._times: list[float] = []
        self.rendered: list[str] = []
        self._camera_man: CameraMan | None = None
        self._render = render

    @property
    def fraction(self) -> float:
        """0..1 of the views are there."""
        total = len(self._shot.manifest.views)
        return 1.0 if not total else (total - len(self._todo)) / total

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the views rendered so far (the median, as the first one also builds the scene)."""
        return float(np.median(self._times)) * len(self._todo) if self._times else None

    @property
    def message(self) -> str:
        """For the progress line."""
        total = len(self._shot.manifest.views)
        text = f"view {total - len(self._todo)} of {total}"
        left = self.seconds_left
        return text if left is None else f"{text}, {int(left) // 60}:{int(left) % 60:02d} left"

    def step(self) -> bool:
        """Render the next view, or finish. True as long as there is more to do.

        Raises InputError when a view cannot be rendered or written (a full disk); what is finished stays.
        """
        if not self._todo:
            self._finish()
            return False
        view, begin = self._todo[0], time.perf_counter()
        try:
            self._render_view(view)
        except OSError as error:
            raise errors.InputError(
                f"The view {view.name} cannot be written ({error.strerror or error}).",
                "Free some disk space or choose another folder; the finished views are kept.",
            ) from error
        self._todo.pop(0)
        self._times.append(time.perf_counter() - begin)
        return True

    def close(self) -> None:
        """Give the scene back as it was."""
        self._tap.close()
        self._restore.close()

    def _render_view(self, view: capture.View) -> None:
        if self._camera_man is None:
            self._prepare()
        assert self._camera_man is not None
        self._camera_man.place(view.camera)
        grabbed = self._tap.render(self._scene)
        images = self._finished_images(view.camera, grabbed)
        folder = self._shot.manifest.folder
        capture.write_preview(folder / view.preview, images)
        capture.write_view(folder / view.exr, images)
        self._done[view.name] = self._shot.fingerprint.copy_with(view.camera)
        _save_finished(folder, self._done)
        self.rendered.append(view.name)

    def _prepare(self) -> None:
        folder = self._shot.manifest.folder
        if not self._done:
            (folder / capture.MANIFEST).unlink(missing_ok=True)  # it would describe other pictures
        for name in ("views", "previews"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        set_up_render(self._restore, self._scene, self._view_layer, self._render)
        self._camera_man = CameraMan(self._restore, self._scene)
        self._tap.open()

    def _finished_images(self, camera: cameras.Camera, grabbed: dict) -> capture.ViewImages:
        shot = self._shot
        images = images_from_passes(grabbed, denoised=self._denoised)
        assert images.depth is not None
        hits = find_hits(camera, shot.captured.vertices, shot.captured.faces, images.depth)
        levels = [grabbed[name] for name in sorted(grabbed) if name.startswith("CryptoObject")]
        coverage = [object_coverage(levels, item.name) for item in shot.manifest.objects]
        images.masks = view_masks(coverage, [item.part for item in shot.manifest.objects], hits, shot.captured)
        images.uv = hits.interpolate(shot.captured.face_uvs)
        for layer in ("albedo", "light", "depth", "normal", "uv"):
            if layer not in shot.layers:
                setattr(images, layer, None)
        return images

    def _finish(self) -> None:
        try:
            self._sweep()
            self._shot.manifest.save_manifest()
        except OSError as error:
            raise errors.InputError(
                f"The manifest of {self._shot.manifest.folder} cannot be written ({error.strerror}).",
                "Free some disk space; the finished views are kept.",
            ) from error


    def _sweep(self) -> None:
        """Delete views that an earlier capture of more views left in the folder."""
        manifest = self._shot.manifest
        ours = {manifest.folder / path for view in manifest.views for path in (view.exr, view.preview)}
        for pattern in ("views/*.exr", "previews/*.png"):
            for path in manifest.folder.glob(pattern):
                if path not in ours and path.stem.rpartition("_")[0] in ("train", "held_out"):
                    path.unlink()


def run(
    job: RenderJob, progress: errors.Progress | None = None, cancelled: Callable[[], bool] = lambda: False
) -> list[str]:
    """Step a job to its end and close it; the names of the views that were rendered (others were there already).

    Raises Cancelled between two views when told, InputError as `step` does; the scene is restored in any case.
    """
    try:
        if progress:
            progress("capture", job.fraction, job.message)
        while job.step():
            if progress:
                progress("capture", job.fraction, job.message)
            if cancelled():
                raise errors.Cancelled
    finally:
        job.close()
    return job.rendered


def _finished_views(shot: Shot) -> dict[str, str]:
    """Fingerprints of the manifest's views whose EXR and preview are there, readable and of the same making."""
    folder = shot.manifest.folder
    try:
        noted = capture.read_json(folder / RESUME, _RESUME_FORMAT, _RESUME_VERSION)["views"]
    except (errors.InputError, KeyError):
        return {}
    done = {}
    for view in shot.manifest.views:
        digest = shot.fingerprint.copy_with(view.camera)
        if noted.get(view.name) == digest and (folder / view.preview).is_file() and _readable(folder / view.exr):
            done[view.name] = digest
    return done


def _readable(path: Path) -> bool:
    try:
        capture.read_view(path, ())
    except errors.InputError:
        return False
    return True


def _save_finished(folder: Path, done: dict[str, str]) -> None:
    capture.write_json(folder / RESUME, {"format": _RESUME_FORMAT, "version": _RESUME_VERSION, "views": done})
