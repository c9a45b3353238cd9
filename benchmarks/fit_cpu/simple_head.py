# SPDX-License-Identifier: Apache-2.0
"""The easy head that the first bars for quality came from: six ellipsoids, painted, in diffuse light, over black.

Smooth outlines, no gloss, hair that is only paint: what it lacks next to an avatar is what a fit finds hard. Rebuilt
from its description (0.47 high, seen from a distance of 1 with a field of view of 36 degrees); y is up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from backend.fitting.dataset import Dataset, FitView
from interchange.cameras import Camera, look_at

Array = npt.NDArray[np.floating]
CENTRES = np.array([[0, 0, 0], [0, -0.2, -0.01], [0, 0.035, -0.02], [0, -0.03, 0.17], [-0.16, -0.01, 0],
                    [0.16, -0.01, 0]])  # fmt: skip
SEMI_AXES = np.array([[0.155, 0.2, 0.175], [0.07, 0.1, 0.075], [0.165, 0.175, 0.18], [0.028, 0.045, 0.035],
                      [0.02, 0.045, 0.03], [0.02, 0.045, 0.03]])  # fmt: skip
"""Skull, neck, scalp, nose, ears."""
SCALP = 2
LIGHT = np.array([0.4, 0.6, 0.7]) / np.linalg.norm([0.4, 0.6, 0.7])
AMBIENT = 0.35
SAMPLES = 3
"""Regular samples along a pixel's side."""
POSITION_NOISE, COLOUR_NOISE = 0.004, 0.1
"""Of the points that a fit starts from: scene units, sRGB."""


def simple_head(train: int = 40, held_out: int = 8, size: int = 256, points: int = 20_000) -> Dataset:
    """Views all around, every sixth or so held out, and noisy points of the surface to start from."""
    cameras = _orbit(train + held_out, size)
    asked = set(np.linspace(2, len(cameras) - 3, held_out).astype(int))
    views: dict[bool, list[FitView]] = {True: [], False: []}
    hits = []
    for number, camera in enumerate(cameras):
        rgb, alpha, hit = _render(camera)
        views[number in asked].append(FitView(f"view_{number:03d}", camera, rgb, alpha, None, None))
        if number not in asked:
            hits.append(hit)
    rng = np.random.default_rng(0)
    everything = np.concatenate(hits)
    places = everything[rng.choice(len(everything), points, replace=False)]
    inside = np.linalg.norm((places[:, None] - CENTRES) / SEMI_AXES, axis=2)
    colours = _shade(places, np.abs(inside - 1).argmin(axis=1)) + COLOUR_NOISE * rng.normal(size=places.shape)
    places = places + POSITION_NOISE * rng.normal(size=places.shape)
    return Dataset(views[False], views[True], "", "", [], Path("simple head"), None, places, np.clip(colours, 0, 1))


def _orbit(count: int, size: int) -> list[Camera]:
    """Elevations of -25 to 35 degrees; golden-ratio steps around."""
    focal = size / (2 * np.tan(np.deg2rad(18)))
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    found = []
    for k in range(count):
        azimuth, elevation = 2 * np.pi * (k * 0.61803398875 % 1), np.deg2rad(-25 + 60 * (k * 0.7548776662 % 1))
        eye = np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
        found.append(look_at(eye, np.zeros(3), np.array([0.0, 1, 0]), K, size, size))
    return found


def _render(camera: Camera) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Array]:
    """Premultiplied picture (H, W, 3), alpha (H, W), and the points (n, 3) that were hit."""
    height, width = camera.height, camera.width
    rows, columns = np.mgrid[0 : height * SAMPLES, 0 : width * SAMPLES]
    u, v = (columns.ravel() + 0.5) / SAMPLES, (rows.ravel() + 0.5) / SAMPLES
    K = camera.K
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], axis=1)
    rays = rays @ camera.world_to_camera[:3, :3]
    distance, nearest = _first_hits(camera.position, rays)
    met = np.isfinite(distance)
    hit = camera.position + rays[met] * distance[met, None]
    rgb = np.zeros((len(rays), 3))
    rgb[met] = _shade(hit, nearest[met])
    shape = (height, SAMPLES, width, SAMPLES)
    picture, alpha = rgb.reshape(*shape, 3).mean(axis=(1, 3)), met.reshape(shape).mean(axis=(1, 3))
    return picture.astype(np.float32), alpha.astype(np.float32), hit


def _first_hits(eye: Array, rays: Array) -> tuple[Array, npt.NDArray[np.int64]]:
    """Along each ray (n, 3): how many of its lengths away the first ellipsoid is (infinite: none), and which."""
    found = np.full((len(CENTRES), len(rays)), np.inf)
    for number, (centre, axes) in enumerate(zip(CENTRES, SEMI_AXES, strict=True)):
        start, along = (eye - centre) / axes, rays / axes  # of a unit sphere
        a, b = (along**2).sum(axis=1), along @ start
        root = b**2 - a * (start @ start - 1)
        met = root > 0
        found[number, met] = (-b[met] - np.sqrt(root[met])) / a[met]
    return found.min(axis=0), found.argmin(axis=0)


def _shade(points: Array, part: npt.NDArray[np.int64]) -> Array:  # (n, 3), (n,)
    """(n, 3) sRGB 0..1: skin, stripes for hair, eyes and mouth, under one light."""
    x, y, z = points.T
    colour = np.tile([0.85, 0.62, 0.5], (len(points), 1))
    hair = (part == SCALP) & ((y > 0.06) | (z < -0.02))
    stripes = 0.9 + 0.5 * np.sin(np.arctan2(x, z) * 60 + 8 * np.sin(y * 40))
    colour[hair] = np.array([0.25, 0.15, 0.08]) * stripes[hair, None]
    front = (z > 0) & (part != SCALP)
    for eye in (-0.06, 0.06):
        away = np.hypot(x - eye, y - 0.02)
        for radius, paint in ((0.025, 0.95), (0.012, (0.1, 0.2, 0.35)), (0.005, 0.02)):
            colour[front & (away < radius)] = paint
    colour[front & (np.hypot(x / 0.05, (y + 0.1) / 0.012) < 1)] = (0.6, 0.2, 0.2)
    normals = (points - CENTRES[part]) / SEMI_AXES[part] ** 2
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = AMBIENT + (1 - AMBIENT) * np.clip(normals @ LIGHT, 0, 1)
    return np.asarray(np.clip(colour * light[:, None], 0, 1))
