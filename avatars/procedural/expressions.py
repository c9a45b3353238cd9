# SPDX-License-Identifier: Apache-2.0
"""Expressions as displacements (V, 3) in design millimetres of a head that already has its identity.

Brushes are placed on the neutral head, so they know the same vertices for every identity; lids turn about the
identity's own eyeballs, so they close over them exactly.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .anatomy import Anatomy
from .graph import Float, Graph, edges_of
from .layout import EYE_INNER, EYE_OUTER, EYE_Z, FRONT, Loop

JAW_HINGE = np.array([0.0, -70.0, -16.0])
JAW_ANGLE = np.radians(17.0)


def turn(points: Float, hinge: Float, angle: Float) -> Float:
    """Rotate points about the x axis through `hinge`; positive angles move the front down. Returns displacements."""
    f, z = points[:, 1] - hinge[1], points[:, 2] - hinge[2]
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([np.zeros(len(points)), f * c + z * s - f, z * c - f * s - z], axis=1)


def bump(points: Float, centre: tuple[float, float, float], radius: tuple[float, float, float]) -> Float:
    """(V,) Gaussian 0..1 around a centre on the left side, mirrored to the right: radii in x, f, z (mm)."""
    a = np.abs(points[:, 0])
    return np.exp(-(((a - centre[0]) / radius[0]) ** 2) - ((points[:, 1] - centre[1]) / radius[1]) ** 2
                  - ((points[:, 2] - centre[2]) / radius[2]) ** 2)


def _move(points: Float, weight: Float, x: float, f: float, z: float) -> Float:
    """Displacement by (x outwards, f, z) mm times weight; x fades out towards the midline."""
    outward = np.sign(points[:, 0]) * np.clip(np.abs(points[:, 0]) / 4.0, 0, 1)
    return np.stack([outward * weight * x, weight * f, weight * z], axis=1)


def mouth_opening(points: Float, jaw: Float) -> Float:
    """Displacement of points that follow the jaw by weights (V,): the jaw's hinge turns and slides forward a little."""
    return turn(points, JAW_HINGE, JAW_ANGLE * jaw) + np.stack([0 * jaw, 1.5 * jaw, 0 * jaw], axis=1)


@lru_cache(maxsize=4)
def lid_fields(anatomy: Anatomy, side: str) -> tuple[Float, Float, Float]:
    """Three (V,) fields: follow of the upper lid, follow of the lower lid (both 0..1), place along the eye (0..1)."""
    layout = anatomy.layout
    loop = layout.loops[f"eye.{side}"]
    row = int(np.argmin(np.abs(layout.rows - EYE_Z)))
    inner, outer = FRONT.index(EYE_INNER), FRONT.index(EYE_OUTER)
    nc = layout.grid.shape[1]
    sign = 1 if side == "L" else -1
    columns = [(sign * c) % nc for c in range(inner - 2, outer + 4)]
    fixed = np.ones(layout.count, bool)
    fixed[layout.grid[row - 11 : row + 12, :][:, columns]] = False
    fixed[list(layout.lower_copy.values())] = False
    values = np.zeros((layout.count, 2))
    fixed[loop.edge] = True
    values[loop.edge[loop.upper], 0] = 1.0
    lower = ~loop.upper
    lower[list(loop.corners)] = False
    values[loop.edge[lower], 1] = 1.0
    rings = np.concatenate([one.rings.ravel() for one in layout.loops.values()])
    fixed[rings] = True
    graph = Graph(layout.count, edges_of([f for f in layout.faces if max(f) < rings.min()]))
    field = graph.harmonic(fixed, values)
    field[rings] = field[layout.parent[rings]]
    total = np.zeros((len(anatomy.points), 3))
    total[: layout.count, :2] = field
    x = np.abs(anatomy.points[:, 0])
    total[:, 2] = np.clip((x - EYE_INNER) / (EYE_OUTER - EYE_INNER), 0.0, 1.0)
    return total[:, 0], total[:, 1], total[:, 2]


def blink(anatomy: Anatomy, points: Float, side: str, centre: Float, closed: float = 1.0) -> Float:
    """Displacement that closes one eye: both lids turn about the eyeball until their edges meet.

    closed: 1 shuts it, negative opens it wider. centre: (3,) of the eyeball, of the head in `points`.
    """
    upper, lower, place = lid_fields(anatomy, side)
    loop = anatomy.layout.loops[f"eye.{side}"]
    position = _loop_place(anatomy, loop, place)
    down, up = closing_angles(anatomy, points, side, centre, position)
    angle = closed * (upper * down - lower * up)
    moved = turn(points, centre, angle)
    # The closing edge needs room over the cornea.
    out = points + moved - centre
    lift = np.clip(upper, 0, 1) * np.sin(np.pi * position) * 0.5 * max(closed, 0.0)
    out = out * (1 + lift / np.maximum(np.linalg.norm(out, axis=1), 5.0))[:, None]
    return out + centre - points


def closing_angles(anatomy: Anatomy, points: Float, side: str, centre: Float, place: Float) -> tuple[Float, Float]:
    """How far (radians about the eyeball) the upper lid's edge goes down and the lower's up until they meet.

    place: (N,) positions along the lids, 0 = inner corner, 1 = outer; two (N,) are returned.
    """
    top, bottom = _edge_angles(anatomy.layout.loops[f"eye.{side}"], points, centre)
    knots = np.arange(len(top)) / (len(top) - 1)
    meet = top + (bottom - top) * 0.86
    return np.interp(place, knots, top - meet + 0.012), np.interp(place, knots, meet - bottom)


def _edge_angles(loop: Loop, points: Float, centre: Float) -> tuple[Float, Float]:
    """Elevation about the eyeball of the upper and lower edge, from the inner to the outer corner, corners included."""
    half = loop.corners[1]
    upper = loop.edge[: half + 1]
    lower = np.concatenate([loop.edge[:1], loop.edge[half:][::-1]])
    angles = []
    for ids in (upper, lower):
        offset = points[ids] - centre
        angles.append(np.arctan2(offset[:, 2], offset[:, 1]))
    return angles[0], angles[1]


def _loop_place(anatomy: Anatomy, loop: Loop, place: Float) -> Float:
    """Turn the position by x into the position by the loop's own vertices (their columns)."""
    half = loop.corners[1]
    x = np.abs(anatomy.points[loop.edge[: half + 1], 0])
    position = np.interp(EYE_INNER + place * (EYE_OUTER - EYE_INNER), x, np.arange(half + 1) / half)
    position[loop.edge[: half + 1]] = np.arange(half + 1) / half
    n = len(loop.edge)
    position[loop.edge[half + 1 :]] = np.arange(n - half - 1)[::-1] / half + 1 / half
    position[loop.rings] = position[loop.edge][None, :]
    return position


def expressions(anatomy: Anatomy, points: Float, eyes: Float) -> dict[str, Float]:
    """Displacements (V, 3) mm of all shape keys for the head in `points`; eyes: (2, 3) its eyeball centres."""
    p = anatomy.points
    return {
        "jaw_open": mouth_opening(points, anatomy.jaw),
        "smile": smile(p),
        "brows_up": brows_up(p),
        "brows_down": brows_down(p),
        "blink_left": blink(anatomy, points, "L", eyes[0]),
        "blink_right": blink(anatomy, points, "R", eyes[1]),
        "pucker": pucker(p),
        "frown": frown(p),
    }


def smile(p: Float) -> Float:
    """Corners of the mouth out, up and back; cheeks rise; lips thin and stretch; the lower lid lifts a little."""
    out = _move(p, bump(p, (26, 8, -68), (12, 22, 11)), 5.5, -3.0, 6.5)
    out += _move(p, bump(p, (12, 22, -67), (11, 20, 9)), 2.0, -2.2, 0.8)
    out += _move(p, bump(p, (0, 26, -68), (12, 20, 12)), 0.0, -1.8, 0.2)
    out += _move(p, bump(p, (38, 8, -33), (14, 24, 12)), 0.8, 3.6, 3.4)
    out += _move(p, bump(p, (29, 14, -46), (5, 20, 13)), 0.6, -1.4, 1.4)
    out += _move(p, bump(p, (33, 8, -13), (12, 16, 5)), 0.0, 0.7, 1.3) * _below_lid(p)
    return out


def _below_lid(p: Float) -> Float:
    return np.clip((-8.5 - p[:, 2]) / 3.0, 0, 1)[:, None]


def brows_up(p: Float) -> Float:
    """Whole brows up, forehead follows, upper orbit opens."""
    out = _move(p, bump(p, (27, 20, 24), (21, 26, 11)), 0.0, 0.4, 6.5)
    out += _move(p, bump(p, (0, 24, 27), (15, 20, 14)), 0.0, 0.3, 2.5)
    out += _move(p, bump(p, (24, 20, 44), (30, 26, 16)), 0.0, 0.5, 3.0)
    return out * _above_crease(p)


def _above_crease(p: Float) -> Float:
    return np.clip((p[:, 2] - 7.5) / 7.0, 0, 1)[:, None]


def brows_down(p: Float) -> Float:
    """Brows down and together, a fold between them."""
    out = _move(p, bump(p, (17, 22, 20), (14, 20, 10)), -3.2, 1.2, -4.6)
    out += _move(p, bump(p, (38, 14, 20), (14, 22, 9)), -0.8, 0.2, -2.2)
    out += _move(p, bump(p, (3.2, 25, 18), (3.0, 14, 9)), 0.0, 1.5, -1.0)
    return out * _above_crease(p)


def pucker(p: Float) -> Float:
    """Lips forward and together."""
    near = bump(p, (0, 26, -69), (22, 34, 14))
    out = np.zeros_like(p)
    out[:, 0] = -0.58 * p[:, 0] * near
    out += _move(p, bump(p, (0, 26, -69), (15, 30, 11)), 0.0, 6.5, 0.0)
    out[:, 2] += 0.12 * (p[:, 2] + 68.0) * bump(p, (0, 26, -69), (14, 30, 12))
    out += _move(p, bump(p, (27, 6, -68), (9, 18, 14)), -1.0, -1.5, 0.0)
    return out


def frown(p: Float) -> Float:
    """Corners of the mouth down, lower lip and chin up, inner brows together."""
    out = _move(p, bump(p, (25, 8, -69), (10, 20, 9)), 1.2, -1.0, -6.0)
    out += _move(p, bump(p, (24, 6, -80), (10, 20, 9)), 0.8, 0.6, -2.5)
    out += _move(p, bump(p, (0, 24, -72), (12, 22, 8)), 0.0, 1.0, 1.6)
    out += _move(p, bump(p, (0, 22, -98), (15, 24, 9)), 0.0, 1.4, 2.2)
    out += 0.5 * brows_down(p)
    return out
