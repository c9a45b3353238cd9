# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait of an avatar as a source: picture, exact landmarks, consent record of the kind "synthetic"."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from .._interchange import capture, colour, errors, png
from . import rigs
from .avatar import find_avatar
from .geometry import extract
from .passes import CyclesTap, images_from_passes
from .scene import CameraMan, Restore, apply_pose, light_studio, set_up_render, show_only
from .settings import PoseSettings, RenderSettings

_BACKGROUND = (0.22, 0.24, 0.27)  # linear: a plain studio wall


def take_portrait(
    out: Path,
    avatar_name: str | None,
    render: RenderSettings,
    pose: PoseSettings,
    progress: errors.Progress | None = None,
    context: Any = None,
) -> Path:
    """Write portrait.png, landmarks.json and consent.json of an avatar into the folder `out`; returns the picture.

    Frontal, in a soft light of its own (not the scene's), before a grey wall, and exposed as a photographer does: a
    white card that faces the light would be just white. Landmarks are the projected vertices, in pixels with centres at
    +0.5. Raises InputError for an avatar that is not there or has no landmarks.
    """
    context, out = context or bpy.context, Path(out)
    scene, view_layer = context.scene, context.view_layer
    with Restore() as restore, CyclesTap() as tap:
        avatar = find_avatar(scene, view_layer, avatar_name)
        apply_pose(restore, avatar.parts, avatar.armature, pose)
        captured, _ = extract(avatar, view_layer, needs_landmarks=True)
        ids = captured.landmarks
        marked = captured.vertices[ids[ids >= 0]].astype(np.float64)
        turn = avatar.frame[:3, :3]
        camera = rigs.portrait_camera(marked, turn @ np.array([0.0, -1.0, 0.0]), render.lens_mm, render.size)
        radius = float(np.linalg.norm(marked.max(axis=0) - marked.min(axis=0))) / 2 * 1.6
        light_studio(restore, scene, marked.mean(axis=0), radius, turn, portrait=True)
        show_only(restore, scene, avatar.parts)
        set_up_render(restore, scene, view_layer, render)
        CameraMan(restore, scene).place(camera)
        if progress:
            progress("portrait", 0.1, f"rendering {avatar.name}")
        images = images_from_passes(tap.render(scene), denoised=True)
        uv, _ = camera.project(captured.vertices[np.maximum(ids, 0)])
        points = {str(i): uv[i].round(4).tolist() for i in range(len(ids)) if ids[i] >= 0}
    _write_source(out, _over_wall(images), points, avatar.name)
    if progress:
        progress("portrait", 1.0, "done")
    return out / "portrait.png"


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
