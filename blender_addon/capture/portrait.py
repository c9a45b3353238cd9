# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait of an avatar as a source: picture, exact landmarks, consent record of the kind "synthetic"."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._interchange import capture, colour, errors, png
from ..jobs.machine import run
from .avatar import find_avatar
from .capture import Cancel, check_ready, never
from .framing import portrait_camera
from .geometry import extract, frame_of
from .holding import Holder
from .passes import images_from_passes
from .rendering import Renderer
from .restore import Restore, close_later
from .scene import CameraMan, light_studio, possible_render, set_up_render, show_only
from .settings import PoseSettings, RenderSettings
from .stage import Stage

_BACKGROUND = (0.22, 0.24, 0.27)  # linear: a plain studio wall


def take_portrait(
    out: Path,
    avatar_name: str | None,
    render: RenderSettings,
    pose: PoseSettings,
    progress: errors.Progress | None = None,
    context: Any = None,
    cancelled: Cancel = never,
) -> Path:
    """Write portrait.png, landmarks.json and consent.json of an avatar into the folder `out`; returns the picture.

    Frontal, in a soft light of its own (not the scene's), before a grey wall, and exposed as a photographer does: a
    white card that faces the light would be just white. Landmarks are the projected vertices, in pixels with centres at
    +0.5. Raises InputError for an avatar that is not there or has no landmarks.
    """
    job = PortraitJob(out, avatar_name, render, pose, context or bpy.context)
    run(job, "portrait", progress, cancelled)
    return job.picture


class PortraitJob:
    """The machine of `take_portrait`. waits: its one render blocks; else it goes on beside the window."""

    def __init__(
        self,
        out: Path,
        avatar_name: str | None,
        render: RenderSettings,
        pose: PoseSettings,
        context: Any,
        *,
        waits: bool = True,
    ) -> None:
        self._out, self._waits = Path(out), waits
        self.picture = self._out / "portrait.png"
        self.remarks: list[str] = []
        self.fraction, self.message = 0.0, "reading the avatar"
        self._renderer: Renderer | None = None
        self._stopped = False
        self._restore = Restore()
        try:
            self._render, remark = possible_render(render)
            self.remarks += [remark] if remark else []
            check_ready(context)
            avatar = find_avatar(context.scene, context.view_layer, avatar_name)
            stage = Stage(self._restore, context.scene, context.view_layer)
            self._work = self._steps(stage, avatar, pose)
        except BaseException:
            self._restore.close()
            raise

    @property
    def busy(self) -> bool:
        """A render of ours goes on beside the window."""
        return self._renderer is not None and self._renderer.running

    def stop(self) -> None:
        """Have `step` raise Cancelled when the render is over."""
        self._stopped = True

    def step(self) -> bool:
        """Go on: True as long as there is more to do."""
        return next(self._work, False)

    def close(self) -> None:
        """Give the file back as it was, if need be when the render in progress is over."""
        if self.busy:
            close_later(lambda: self.busy, self.close)
            return
        if self._renderer is not None:
            self._renderer.close()
        self._restore.close()

    def _steps(self, stage: Stage, avatar: Any, pose: PoseSettings) -> Iterator[bool]:
        restore, render = self._restore, self._render
        depsgraph = Holder(stage, avatar, [pose], restore).take(pose.name)
        turn = frame_of(avatar, depsgraph)[:3, :3]
        captured, _ = extract(avatar, stage.view_layer, needs_landmarks=True)
        ids = captured.landmarks
        marked = captured.vertices[ids[ids >= 0]].astype(np.float64)
        camera = portrait_camera(marked, turn @ np.array([0.0, -1.0, 0.0]), render.lens)
        radius = float(np.linalg.norm(marked.max(axis=0) - marked.min(axis=0))) / 2 * 1.6
        light_studio(restore, stage.scene, marked.mean(axis=0), radius, turn, portrait=True)
        show_only(restore, stage.scene, avatar.parts)
        set_up_render(stage, render, waits=self._waits)
        CameraMan(restore, stage).place(camera)
        self._renderer = Renderer(stage, restore, render.engine, waits=self._waits)
        self.fraction, self.message = 0.1, f"rendering {avatar.name}"
        yield True
        self._renderer.start()
        while self._renderer.running:
            yield True
        if self._stopped:
            raise errors.Cancelled
        images = images_from_passes(self._renderer.passes(), denoised=render.denoise)
        uv, _ = camera.project(captured.vertices[np.maximum(ids, 0)])
        points = {str(i): uv[i].round(4).tolist() for i in range(len(ids)) if ids[i] >= 0}
        _write_source(self._out, _over_wall(images), points, avatar.name)
        self.fraction, self.message = 1.0, "done"


def _over_wall(images: capture.ViewImages) -> np.ndarray:
    wall = np.array(_BACKGROUND, np.float32)
    linear = images.rgb * _exposure(images) + (1 - images.alpha[..., None]) * wall
    return np.rint(colour.srgb_from_linear(np.clip(linear, 0, 1)) * 255).astype(np.uint8)


def _exposure(images: capture.ViewImages) -> np.ndarray:
    """(3,) the factors that bring the light on the best lit twentieth of the picture's surfaces to 1: exposure and
    white balance, in each channel as docs/formats/source.md says."""
    assert images.light is not None
    light = images.light[images.alpha > 0.99]
    return (1 / np.maximum(np.percentile(light, 95, axis=0), 1e-3)).astype(np.float32) if len(light) else np.ones(3)


def _write_source(out: Path, picture: np.ndarray, points: dict[str, list[float]], name: str) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        png.write_png(out / "portrait.png", picture)
        digest = hashlib.sha256((out / "portrait.png").read_bytes()).hexdigest()
        capture.write_json(
            out / "landmarks.json",
            {"format": "digidouble-landmarks", "version": 1, "image": "portrait.png", "points": points},
        )
        capture.write_json(out / "consent.json", _synthetic_consent(name, digest))
    except OSError as error:
        raise errors.InputError(
            f"The source folder {out} cannot be written ({error.strerror}).", "Choose another place."
        ) from error


def _synthetic_consent(name: str, digest: str) -> dict[str, Any]:
    return {
        "format": "digidouble-consent",
        "version": 1,
        "kind": "synthetic",
        "subject": f"avatar {name}",
        "granted_by": "nobody is depicted: the picture is a render of a computer-made avatar",
        "authority": "synthetic",
        "use": "demonstration and tests",
        "operations": ["swap"],
        "expires": None,
        "source_sha256": {"portrait.png": digest},
    }
