# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels ask for, as settings of a capture."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .animation import action_ranges
from .avatar import find_avatar
from .place import chosen_avatar
from .poses import action_poses, frame_poses, random_expressions
from .rig_cameras import camera_names
from .rigs import Dome, LightStage, Rig, Rings, SceneCameras, Sphere
from .settings import CaptureSettings, PoseSettings, RenderSettings


def settings_from_panel(context: Any, avatar: str | None = None) -> CaptureSettings:
    """All settings of the scene's panels. avatar: another than the chosen. Raises InputError for impossible ones."""
    chosen, camera_settings = context.scene.digidouble.capture, context.scene.digidouble.cameras
    avatar = avatar or chosen_avatar(context)
    return CaptureSettings(
        avatar=avatar,
        rig=rig_from_panel(context),
        distance=camera_settings.distance if camera_settings.framing == "FIXED" else None,
        render=render_from_panel(context),
        poses=poses_from_panel(context, avatar),
        spread=chosen.spread == "SPREAD",
        layers=tuple(chosen.layers),
        needs_landmarks=not chosen.without_landmarks,
    )


def render_from_panel(context: Any) -> RenderSettings:
    """Resolution, lens and quality."""
    chosen, lens = context.scene.digidouble.capture, context.scene.digidouble.cameras
    return RenderSettings(
        size=lens.width,
        height=lens.height,
        samples=chosen.samples,
        bounces=chosen.bounces,
        denoise=chosen.denoise,
        lens_mm=lens.lens_mm,
        engine=chosen.engine,
    )


def rig_from_panel(context: Any) -> Rig | SceneCameras:
    """The camera rig. Raises InputError for an impossible one, or if there are no cameras to take."""
    rig = context.scene.digidouble.cameras
    low, high = math.degrees(rig.low), math.degrees(rig.high)
    if rig.rig == "DOME":
        return Dome(rig.train, rig.held_out, low, high, rig.face_weight, rig.seed)
    if rig.rig == "SPHERE":
        return Sphere(rig.train, rig.held_out, low, high, rig.seed)
    if rig.rig == "RINGS":
        elevations = np.linspace(low, high, rig.ring_count) if rig.ring_count > 1 else [low]
        return Rings(rig.per_ring, tuple(float(e) for e in elevations), rig.held_out)
    if rig.rig == "STAGE":
        return LightStage(rig.rows, rig.columns, math.degrees(rig.azimuth), low, high, rig.held_out)
    frames = range(rig.path_start, rig.path_end + 1, rig.path_step) if rig.use_path else ()
    return SceneCameras(camera_names(rig.collection, context.view_layer), tuple(frames), rig.held_out)


def poses_from_panel(context: Any, avatar: str | None = None) -> list[PoseSettings]:
    """The poses; empty for the avatar as it stands. Raises InputError if the choice gives none."""
    chosen = context.scene.digidouble.capture
    if chosen.poses == "FRAMES":
        return frame_poses(chosen.frame_start, chosen.frame_end, chosen.frame_step)
    if chosen.poses == "ACTIONS":
        return action_poses(action_ranges([a.name for a in chosen.chosen_actions()]), chosen.per_action)
    if chosen.poses == "EXPRESSIONS":
        return random_expressions(
            sliders_of(context, avatar),
            chosen.expression_count,
            chosen.expression_seed,
            chosen.expression_keys,
            chosen.expression_strength,
        )
    return []


def pose_count(context: Any) -> int:
    """How many poses the panel asks for, without looking at the avatar."""
    chosen = context.scene.digidouble.capture
    if chosen.poses == "FRAMES":
        return max((chosen.frame_end - chosen.frame_start) // chosen.frame_step + 1, 0)
    if chosen.poses == "ACTIONS":
        return len(chosen.chosen_actions()) * chosen.per_action
    return chosen.expression_count if chosen.poses == "EXPRESSIONS" else 1


def sliders_of(context: Any, avatar: str | None) -> dict[str, tuple[float, float]]:
    """Lowest and highest value of the avatar's shape keys, over all its parts."""
    sliders: dict[str, tuple[float, float]] = {}
    for part in find_avatar(context.scene, context.view_layer, avatar).parts:
        for block in part.data.shape_keys.key_blocks[1:] if part.data.shape_keys else ():
            low, high = sliders.get(block.name, (block.slider_min, block.slider_max))
            sliders[block.name] = (max(low, block.slider_min), min(high, block.slider_max))
    return sliders
