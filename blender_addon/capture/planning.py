# SPDX-License-Identifier: GPL-3.0-or-later
"""The cameras of a capture without rendering: for real camera objects, for exports, for the preview."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import cameras, capture
from .avatar import Avatar, find_avatar
from .capture import check_ready, list_views
from .framing import Lens, surround
from .geometry import extract, frame_of
from .holding import Holder
from .restore import Restore
from .rig_cameras import rig_cameras
from .rigs import Rig, directions_of
from .settings import CaptureSettings
from .stage import Stage


@attrs.frozen(eq=False)
class Plan:
    """avatar: its name. views: as the capture will have them. points (N, 3): vertices of the first pose, world."""

    avatar: str
    views: list[capture.View]
    points: npt.NDArray[np.float32]

    def as_capture(self, folder: Path) -> capture.Capture:
        """A capture's manifest with nothing but views, for exporters."""
        return capture.Capture(folder, self.avatar, self.views)


def plan_views(context: Any, settings: CaptureSettings) -> Plan:
    """Exactly the views that `CaptureJob` would render. Raises InputError as that does; the file is as before."""
    check_ready(context)
    avatar = find_avatar(context.scene, context.view_layer, settings.avatar)
    with Restore() as restore:
        stage = Stage(restore, context.scene, context.view_layer)
        holder = Holder(stage, avatar, settings.all_poses, restore)
        poses: list[capture.Pose] = []
        clouds: list[npt.NDArray] = []
        frame = np.eye(4)
        for pose in settings.all_poses:
            depsgraph = holder.take(pose.name)
            frame = frame_of(avatar, depsgraph) if not poses else frame
            captured, _ = extract(avatar, stage.view_layer, needs_landmarks=False)
            clouds.append(captured.vertices)
            poses.append(capture.Pose(pose.name, ""))
        rig = rig_cameras(stage, settings, np.concatenate(clouds), frame)
    return Plan(avatar.name, list_views(poses, rig, settings.spread), clouds[0])


def visible_points(avatar: Avatar, depsgraph: Any) -> npt.NDArray[np.float32]:
    """(N, 3) world vertices of the avatar as the viewport shows it."""
    clouds = []
    for part in avatar.parts:
        evaluated = part.evaluated_get(depsgraph)
        flat = np.empty(len(evaluated.data.vertices) * 3, np.float32)
        evaluated.data.vertices.foreach_get("co", flat)
        matrix = np.array(evaluated.matrix_world, np.float32)
        clouds.append(flat.reshape(-1, 3) @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(clouds)


def preview_cameras(
    avatar: Avatar, depsgraph: Any, rig: Rig, lens: Lens, distance: float | None
) -> tuple[list[cameras.Camera], list[cameras.Camera]]:
    """Training and held-out cameras of a rig around what the viewport shows."""
    train, held_out = directions_of(rig)
    turn = frame_of(avatar, depsgraph)[:3, :3]
    placed = surround(visible_points(avatar, depsgraph), np.concatenate([train, held_out]) @ turn.T, lens, distance)
    return placed[: len(train)], placed[len(train) :]
