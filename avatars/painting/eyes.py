# SPDX-License-Identifier: Apache-2.0
"""Eyelids on the skin, and the eyeball's own image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from interchange.colour import linear_from_srgb, srgb_from_linear

from .canvas import Canvas
from .chart import distance_to_polyline, inside_polygon, smoothstep, spline
from .noise import Noise

if TYPE_CHECKING:
    from ..skin import Look

Float = npt.NDArray[np.floating]


def paint_lids(canvas: Canvas, look: Look, regions: dict[str, Float]) -> None:
    """Darker lids with a crease, the lash line, the pink inner rim and corner."""
    marks = canvas.chart.landmarks
    for outer, inner, ids in ((36, 39, range(36, 42)), (45, 42, (45, 44, 43, 42, 47, 46))):
        _eye(canvas, look, marks[list(ids)], marks[outer], marks[inner])
    if "lid_rims" in regions:
        canvas.coat(np.array([0.62, 0.36, 0.33]), 0.45 * regions["lid_rims"])


def _eye(canvas: Canvas, look: Look, contour: npt.NDArray, outer: npt.NDArray, inner: npt.NDArray) -> None:
    """`contour` (6, 2): outer corner, upper lid, inner corner, lower lid back to the outer one."""
    chart = canvas.chart
    upper = spline(contour[:4])
    lower = spline(contour[[3, 4, 5, 0]])
    ring = np.concatenate([upper[:-1], lower[:-1]])
    ids = chart.near(ring.min(axis=0) - 0.012, ring.max(axis=0) + 0.014)
    s, z = chart.s[ids], chart.z[ids]
    front = smoothstep(-0.5, 0.1, chart.facing[ids])
    above, _, along = distance_to_polyline(s, z, upper)
    below, _, along_below = distance_to_polyline(s, z, lower)
    inside = inside_polygon(s, z, ring)
    is_upper = above < below
    lid = np.where(inside, 0, np.minimum(above, below))
    dark = np.asarray(look.brows, np.float32) * 0.45
    # Lid skin: a soft tint, stronger above; with makeup an eye shadow.
    canvas.melanin[ids] += 0.16 * np.exp(-((lid / 0.0045) ** 2)) * front * np.where(is_upper, 1, 0.55)
    canvas.blood[ids] += 0.14 * np.exp(-((lid / 0.004) ** 2)) * front
    crease = np.exp(-(((above - 0.0062) / 0.0010) ** 2)) * is_upper * ~inside
    canvas.melanin[ids] += (
        (0.16 + 0.16 * look.wrinkles) * crease * front * np.interp(along, [0, 0.2, 0.8, 1], [0.4, 1, 1, 0.2])
    )
    if look.makeup > 0:
        tint = np.exp(-((above / 0.0055) ** 2)) * is_upper * look.makeup
        canvas.coat(np.asarray(look.tone) * (0.55, 0.42, 0.42), 0.45 * tint * front, ids)
    soft = max(0.0007, 0.8 * chart.texel)
    lash_up = np.exp(-((above / soft) ** 2)) * np.interp(along, [0, 0.12, 0.75, 1], [1, 1, 0.7, 0.1])
    lash_low = np.exp(-((below / soft) ** 2)) * np.interp(along_below, [0, 0.3, 0.9, 1], [0.05, 0.25, 0.5, 0.8])
    strength = np.maximum((0.62 + 0.35 * look.makeup) * lash_up, (0.45 + 0.4 * look.makeup) * lash_low)
    canvas.coat(dark, strength * front, ids)
    corner = np.hypot(s - inner[0], z - inner[1])
    canvas.coat(np.array([0.70, 0.42, 0.38]), 0.6 * np.exp(-((corner / 0.0022) ** 2)) * front, ids)


def paint_iris_disc(iris: npt.NDArray, size: int, iris_radius: float, age: float, seed: int) -> Float:
    """An eyeball from the front: see avatars.skin.paint_iris."""
    noise = Noise(seed + 5)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    x, y = (x + 0.5) / size - 0.5, 0.5 - (y + 0.5) / size
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    image = _sclera(x, y, radius, angle, iris_radius, age, noise)
    r = radius / iris_radius
    ring = np.stack([np.cos(angle), np.sin(angle)], axis=-1).reshape(-1, 2)
    fibre_points = np.concatenate([ring * 1.0, (0.25 * r).reshape(-1, 1)], axis=1).astype(np.float32)
    fibres = noise.at(fibre_points, (0.05, 0.05, 0.35), 1) + 0.6 * noise.at(fibre_points, (0.02, 0.02, 0.2), 2)
    clouds = noise.at(fibre_points, (0.5, 0.5, 0.12), 3)
    fibres, clouds = fibres.reshape(size, size), clouds.reshape(size, size)
    base = linear_from_srgb(iris)
    collarette = np.exp(-(((r - 0.50) / 0.10) ** 2))
    light = 1.0 + 0.42 * fibres + 0.25 * clouds + 0.5 * collarette
    light *= 1.15 - 0.25 * np.cos(angle - np.pi / 2) * (r < 1)
    warm = linear_from_srgb(np.array([0.45, 0.30, 0.14], np.float32))
    colour = base * np.maximum(light, 0.12)[..., None]
    colour += (warm * 0.8 - colour) * (0.35 * np.exp(-(((r - 0.42) / 0.16) ** 2)) * (1 + 0.6 * fibres).clip(0, 1.5))[
        ..., None
    ]
    limbal = smoothstep(0.76, 1.0, r)
    colour *= (1 - 0.82 * limbal)[..., None]
    pupil = smoothstep(0.37, 0.33, r + 0.012 * fibres)
    colour *= (1 - 0.985 * pupil)[..., None]
    mix = smoothstep(1.05, 0.96, r)[..., None]
    return np.clip(srgb_from_linear(image * (1 - mix) + colour * mix), 0, 1).astype(np.float32)


def _sclera(x: Float, y: Float, radius: Float, angle: Float, iris_radius: float, age: float, noise: Noise) -> Float:
    """Linear colour of the white: off-white, redder to the rim, with fine branching veins."""
    size = len(x)
    points = np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3)
    white = linear_from_srgb(np.array([0.86, 0.83, 0.80], np.float32)) * np.array(
        [1, 1 - 0.04 * age, 1 - 0.12 * age], np.float32
    )
    rim = smoothstep(iris_radius, 0.5, radius)
    blood = 0.10 + 0.9 * rim**1.5 + 0.12 * noise.fractal(points, 0.12, 3, 4).reshape(size, size)
    wander = points + 0.02 * np.stack(
        [noise.at(points, 0.06, 8), noise.at(points, 0.06, 9), np.zeros(len(points), np.float32)], axis=1
    )
    ring = np.stack([np.cos(angle).ravel(), np.sin(angle).ravel(), np.zeros(size * size, np.float32)], axis=1)
    veins = np.abs(noise.at(ring + 6 * (wander - points), 0.16, 10)).reshape(size, size)
    thin = np.exp(-((veins / 0.035) ** 2)) * smoothstep(iris_radius * 1.15, 0.42, radius)
    thin *= 0.4 + 0.6 * (noise.at(points, 0.1, 11).reshape(size, size) > 0)
    absorbed = (0.30 * blood + (0.35 + 0.35 * age) * thin)[..., None] * np.array([0.12, 1.0, 0.9], np.float32)
    return (white * np.exp(-absorbed)).astype(np.float32)
