# SPDX-License-Identifier: Apache-2.0
"""A scene that needs no files: splats on an ellipsoid of a head's size, as a fit has them, seen from all sides."""

from __future__ import annotations

import numpy as np

from backend.kernels.parameters import SplatParameters
from backend.kernels.rasterizer import Rasterizer, Target
from interchange.cameras import Camera, look_at
from interchange.splats import SH_C0, SplatCloud

AXES = np.array([0.09, 0.13, 0.11])
"""Half axes in metres."""
WIDTH, FLATNESS = 0.6, 0.25
"""Standard deviation in units of the distance between neighbours, and thickness relative to it: as a fit starts."""
DISTANCE, FILL = 0.8, 0.8
"""Metres from the camera to the centre; part of the frame's height that the ellipsoid takes."""


def shell_cloud(count: int, sh_degree: int, seed: int = 0) -> SplatCloud:
    """`count` flat splats along the surface, coloured by smooth waves, opacities around 0.7."""
    rng = np.random.default_rng(seed)
    sphere = rng.normal(size=(count, 3))
    sphere /= np.linalg.norm(sphere, axis=1, keepdims=True)
    means = sphere * AXES
    normals = sphere / AXES
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    p = 1.6075  # Thomsen's approximation of an ellipsoid's area
    pairs = AXES[[0, 0, 1]] ** p * AXES[[1, 2, 2]] ** p
    spacing = np.sqrt(4 * np.pi * pairs.mean() ** (1 / p) / count)
    width = np.log(WIDTH * spacing)
    log_scales = np.array([width, width, width + np.log(FLATNESS)]) + rng.normal(size=(count, 3)) * 0.2
    quats = np.stack([1 + normals[:, 2], -normals[:, 1], normals[:, 0], np.zeros(count)], axis=1)
    quats += rng.normal(size=(count, 4)) * 0.05
    sh = np.zeros((count, (sh_degree + 1) ** 2, 3))
    colour = 0.5 + 0.35 * np.sin(60 * means + np.array([0, 2, 4]))
    sh[:, 0] = (colour - 0.5) / SH_C0
    sh[:, 1:] = rng.normal(size=sh[:, 1:].shape) * 0.05
    return SplatCloud(means, log_scales, quats, rng.normal(size=count) * 0.7 + 0.85, sh)


def shell_cameras(number: int, width: int, height: int) -> list[Camera]:
    """Cameras on a spiral around the ellipsoid."""
    focal = FILL * height * DISTANCE / (2 * AXES[1])
    K = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1.0]])
    cameras = []
    for k in range(number):
        angle, rise = 2.4 * k, 0.8 * np.sin(1.7 * k)
        eye = DISTANCE * np.array([np.cos(angle) * np.cos(rise), np.sin(rise), np.sin(angle) * np.cos(rise)])
        cameras.append(look_at(eye, np.zeros(3), np.array([0.0, 1.0, 0.0]), K, width, height))
    return cameras


def shell_targets(engine: Rasterizer, parameters: SplatParameters, cameras: list[Camera]) -> list[Target]:
    """Pictures of these splats, to be found again by disturbed ones."""
    return [Target(camera, *engine.render(parameters, camera)) for camera in cameras]


def disturbed(parameters: SplatParameters, seed: int = 1) -> SplatParameters:
    """A copy with noise on all parameters, so that a fit has something to do."""
    other = parameters.copy()
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(len(other.block), other.count)).astype(np.float32)
    noise *= np.where(np.arange(len(other.block)) < 3, 2e-4, 0.05)[:, None].astype(np.float32)
    other.block[:, : other.count] += noise
    return other
