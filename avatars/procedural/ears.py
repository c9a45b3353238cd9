# SPDX-License-Identifier: Apache-2.0
"""Ears: shells of their own, sunk into the head with their front edge, shaped by ridges over the ear's plane.

Local coordinates (mm): a backwards, b upwards along the ear's axis (which leans back), n away from the head. The front
is a disc of rings from the concha to the outline, the back leads from the outline down into the head and stays open.
"""

from __future__ import annotations

import numpy as np

from .graph import Faces, Float

ANGLES, FRONT_RINGS, BACK_RINGS = 40, 11, 3
LEAN = np.radians(14.0)
ORIGIN = np.array([-80.0, -9.0])  # f, z of the ear's origin on the head

_OUTLINE = np.array([
    (20.5, 8), (20.0, 15), (16.5, 23.5), (10, 29.5), (2.5, 31.5), (-5, 30), (-11, 25), (-14.5, 17), (-16, 8),
    (-17.5, 0), (-18, -8), (-17, -16), (-14.5, -23), (-11, -28.5), (-5.5, -32), (0, -32.5), (5, -29.5), (9.5, -22.5),
    (14.5, -13.5), (18.5, -3),
])
_CENTRE = np.array([-1.0, -3.0])
_HELIX = np.array([(-2, 0), (-6, 3.5), (-9, 10), (-9, 18), (-6, 25), (-0.5, 28.5), (6, 28), (12.5, 23.5), (16.8, 15),
                   (17.6, 6), (15.8, -4), (12, -13), (9.5, -18)])
_ANTIHELIX = np.array([(4.5, -14.5), (8.5, -10), (10.8, -3), (10.8, 5), (8.5, 12), (5.5, 18), (4.5, 22)])
_CRUS = np.array([(8.5, 12), (3.5, 13.5), (-2.0, 14)])


def _resampled(points: Float, count: int) -> Float:
    """A closed smooth curve through `points`, by periodic Catmull-Rom, resampled by angle index."""
    n = len(points)
    t = np.arange(count) / count * n
    k = t.astype(int)
    s = (t - k)[:, None]
    p0, p1, p2, p3 = (points[(k + d) % n] for d in (-1, 0, 1, 2))
    return 0.5 * (2 * p1 + (p2 - p0) * s + (2 * p0 - 5 * p1 + 4 * p2 - p3) * s**2 + (3 * p1 - p0 - 3 * p2 + p3) * s**3)


def _distance(points: Float, line: Float) -> tuple[Float, Float]:
    """Distance of (N, 2) points to a polyline and the place of the nearest point along it (0..1)."""
    best = np.full(len(points), np.inf)
    place = np.zeros(len(points))
    for k, (p, q) in enumerate(zip(line[:-1], line[1:], strict=True)):
        d = q - p
        t = np.clip(((points - p) @ d) / (d @ d), 0, 1)
        away = np.linalg.norm(points - p - t[:, None] * d, axis=1)
        place = np.where(away < best, (k + t) / (len(line) - 1), place)
        best = np.minimum(best, away)
    return best, place


def _relief(ab: Float) -> Float:
    """Height n (mm) of the ear's outer surface over its plane."""
    a, b = ab.T
    plane = 0.46 * np.clip(a + 12.0, 0, None)
    helix, at = _distance(ab, _HELIX)
    n = plane + 4.2 * np.exp(-((helix / 2.6) ** 2)) * np.interp(at, [0, 0.12, 0.9, 1.0], [0.2, 1, 1, 0.2])
    fold, at = _distance(ab, _ANTIHELIX)
    n += 4.0 * np.exp(-((fold / 3.3) ** 2)) * np.interp(at, [0, 0.15, 0.75, 1.0], [0.7, 1, 0.8, 0.2])
    crus, at = _distance(ab, _CRUS)
    n += 2.2 * np.exp(-((crus / 2.6) ** 2)) * np.interp(at, [0, 1.0], [0.6, 0.5])
    n -= 5.2 * np.exp(-(((a - 0.5) / 7.6) ** 2) - ((b + 4.0) / 8.0) ** 2)  # concha
    n -= 2.4 * np.exp(-(((a + 4.0) / 4.0) ** 2) - ((b + 3.5) / 4.5) ** 2)  # towards the canal
    n += 6.2 * np.exp(-(((a + 9.3) / 3.0) ** 2) - ((b + 6.5) / 5.2) ** 2)  # tragus
    n += 2.6 * np.exp(-(((a - 3.5) / 4.0) ** 2) - ((b + 15.5) / 3.2) ** 2)  # antitragus
    n += 2.2 * np.exp(-(((a + 1.0) / 6.5) ** 2) - ((b + 24.5) / 5.5) ** 2)  # lobe
    return n


def ear(head_points: Float) -> tuple[Float, Faces, Float]:
    """The left ear on the neutral head: vertices (N, 3) design mm, faces, UVs (N, 2) in a unit disc around 0."""
    outline = _resampled(_OUTLINE, ANGLES)
    rho = np.linspace(0, 1, FRONT_RINGS + 1)[1:] ** 0.9
    front = _CENTRE + rho[:, None, None] * (outline - _CENTRE)
    flat = np.concatenate([_CENTRE[None], front.reshape(-1, 2)])
    height = _relief(flat)
    # The last ring is the free edge: it turns back; at the front it dips into the head.
    edge = height[-ANGLES:].reshape(ANGLES)
    dip = np.clip((outline[:, 0] + 4.0) / -9.0, 0, 1) ** 2
    height[-ANGLES:] = (edge - 1.6) * (1 - dip) - 1.6 * dip
    previous = slice(-2 * ANGLES, -ANGLES)
    height[previous] = height[previous] * (1 - 0.6 * dip)
    back_ab, back_n = [], []
    for shrink, drop, deep in ((0.95, 4.2, 0.0), (0.72, 6.5, 0.35), (0.45, 10.0, 1.0)):
        ring = _CENTRE + np.array([-5.0, 0.0]) * (1 - shrink) + shrink * (outline - _CENTRE)
        n = 0.46 * np.clip(ring[:, 0] + 12.0, 0, None) - drop + 3.4
        back_ab.append(ring)
        back_n.append(n * (1 - deep) - 6.0 * deep - 3.0 * dip)
    ab = np.concatenate([flat, *back_ab])
    n = np.concatenate([height, *back_n])
    f = ORIGIN[0] - ab[:, 0] * np.cos(LEAN) - ab[:, 1] * np.sin(LEAN)
    z = ORIGIN[1] + ab[:, 1] * np.cos(LEAN) - ab[:, 0] * np.sin(LEAN) * 0.6
    x = _side_of_head(head_points, f, z) + n
    return np.stack([x, f, z], axis=1), _faces(), _disc()


def _side_of_head(head_points: Float, f: Float, z: Float) -> Float:
    """x of the head's left side over (f, z): a quadratic fitted around the ear."""
    x, hf, hz = head_points.T
    near = (x > 40) & (np.abs(hf - ORIGIN[0]) < 34) & (np.abs(hz - ORIGIN[1]) < 42)
    terms = _quadratic(hf[near], hz[near])
    fit, *_ = np.linalg.lstsq(terms, x[near], rcond=None)
    return _quadratic(f, z) @ fit


def _quadratic(f: Float, z: Float) -> Float:
    f, z = (f - ORIGIN[0]) / 30, (z - ORIGIN[1]) / 30
    return np.stack([np.ones_like(f), f, z, f * f, f * z, z * z], axis=1)


def _faces() -> Faces:
    rings = FRONT_RINGS + BACK_RINGS
    ring = [[1 + r * ANGLES + k for k in range(ANGLES)] for r in range(rings)]
    out: Faces = [(0, ring[0][(k + 1) % ANGLES], ring[0][k]) for k in range(ANGLES)]
    for inner, outer in zip(ring[:-1], ring[1:], strict=True):
        out.extend((inner[k], inner[(k + 1) % ANGLES], outer[(k + 1) % ANGLES], outer[k]) for k in range(ANGLES))
    return out


def _disc() -> Float:
    radius = np.concatenate([np.linspace(0, 0.8, FRONT_RINGS + 1)[1:], np.linspace(0.8, 1.0, BACK_RINGS + 1)[1:]])
    turn = _resampled(_OUTLINE, ANGLES) - _CENTRE
    turn = turn / np.abs(turn).max()
    return np.concatenate([np.zeros((1, 2)), (radius[:, None, None] * turn).reshape(-1, 2)])
