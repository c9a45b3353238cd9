# SPDX-License-Identifier: Apache-2.0
"""Features on the plain head: brow, orbit, lids, nose, lips, chin, cheeks and neck as heights over the front view.

All lengths are design millimetres; `f` is depth out of the face (see surface.py). Most features are heights over
(x, z), joined by smooth maxima, which gives the soft transitions of flesh; what a height cannot do (nostrils, the
wings' crease, lids around the eyeballs, the lips' inside) is moved in three dimensions afterwards.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from .graph import Float, Graph, edges_of
from .layout import (
    EYE_INNER,
    EYE_OUTER,
    MOUTH_CORNER,
    Layout,
    Loop,
    build_layout,
    lower_lip_border,
    mouth_line,
    upper_lip_border,
)
from .surface import PlainHead

EYE_CENTRE = np.array([31.5, -1.4, 0.0])  # of the character's left eyeball, design space
EYE_RADIUS = 13.2
LID = 1.7  # thickness of the lids at their edge


def smooth_max(a: Float, b: Float, k: float) -> Float:
    """Polynomial smooth maximum with blend width `k` (mm)."""
    h = np.clip(k - np.abs(a - b), 0.0, None) / k
    return np.maximum(a, b) + h * h * k * 0.25


def bell(x: Float, z: Float, cx: float, cz: float, rx: float, rz: float, tilt: float = 0.0) -> Float:
    """Gaussian bump 0..1 in the front view with radii rx, rz (mm) and a tilt in degrees (outer end up)."""
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    dx, dz = x - cx, z - cz
    return np.exp(-(((dx * c + dz * s) / rx) ** 2) - ((-dx * s + dz * c) / rz) ** 2)


def curve(t: Float, xs: list[float], ys: list[float]) -> Float:
    """Smooth monotone-ish curve through knots (cubic Hermite with limited slopes), constant beyond the ends."""
    x, y = np.array(xs), np.array(ys)
    slope = np.diff(y) / np.diff(x)
    tangent = np.zeros_like(y)
    inner = np.where(slope[:-1] * slope[1:] > 0, 2 * slope[:-1] * slope[1:] / (slope[:-1] + slope[1:] + 1e-12), 0.0)
    tangent[1:-1] = inner
    t = np.clip(t, x[0], x[-1])
    k = np.clip(np.searchsorted(x, t) - 1, 0, len(x) - 2)
    h = x[k + 1] - x[k]
    s = (t - x[k]) / h
    return ((1 + 2 * s) * (1 - s) ** 2 * y[k] + s * (1 - s) ** 2 * h * tangent[k]
            + s * s * (3 - 2 * s) * y[k + 1] + s * s * (s - 1) * h * tangent[k + 1])


# --- the nose -------------------------------------------------------------------------------------------------------

_RIDGE_Z = [-53.0, -49.5, -47.0, -44.5, -42.0, -39.5, -36.5, -33.0, -28.0, -20.0, -12.0, -5.0, 2.0, 8.0, 15.0, 22.0]
_RIDGE_F = [27.5, 27.8, 30.0, 36.5, 41.8, 44.2, 44.4, 42.6, 39.6, 34.4, 29.2, 25.2, 22.9, 23.2, 24.8, 25.3]
_WIDTH_Z = [-53.0, -49.0, -45.0, -40.0, -34.0, -26.0, -18.0, -10.0, 0.0, 8.0, 15.0, 22.0]
_WIDTH = [4.5, 5.5, 8.0, 10.5, 11.5, 11.0, 10.2, 9.0, 8.2, 9.5, 13.0, 18.0]


def nose(x: Float, z: Float, plain: Float, plain_mid: Float) -> Float:
    """Depth with the nose over `plain`; `plain_mid` is the plain depth on the midline at the same height."""
    ridge = curve(z, _RIDGE_Z, _RIDGE_F)
    width = curve(z, _WIDTH_Z, _WIDTH)
    inside = np.clip((z + 54.0) / 4.0, 0, 1) * np.clip((26.0 - z) / 10.0, 0, 1)
    t = np.abs(x) / width
    body = plain + (ridge - plain_mid) * inside * np.exp(-0.75 * t**2.5)
    a = np.abs(x)
    tip = _ball(x, z, 0.0, -38.2, 10.5, 9.0, 31.5, 12.8)
    body = smooth_max(body, tip, 4.0)
    wing = _ball(a, z, 12.6, -41.8, 5.6, 6.6, 20.0, 12.5)
    return smooth_max(body, wing, 2.6)


def _ball(x: Float, z: Float, cx: float, cz: float, rx: float, rz: float, base: float, height: float) -> Float:
    """Depth of an ellipsoid's front, far behind outside of it."""
    q = 1 - ((x - cx) / rx) ** 2 - ((z - cz) / rz) ** 2
    return np.where(q > 0, base + height * np.sqrt(np.clip(q, 0, None)), base - 300.0 * np.clip(-q, 0, 1))


# --- the forms of the face ------------------------------------------------------------------------------------------


def forms(x: Float, z: Float) -> Float:
    """Broad and small forms as added depth (mm): brow, orbit, cheeks, folds, chin."""
    a = np.abs(x)
    out = 1.6 * bell(a, z, 21.0, 17.5, 14.0, 6.0, 8.0)  # superciliary arch
    out += 1.5 * bell(a, z, 41.0, 16.0, 9.0, 7.0, -25.0)  # outer end of the orbit's rim
    out -= 1.6 * bell(x, z, 0.0, 24.0, 9.0, 9.0)  # glabella a little flat
    out -= 3.2 * bell(a, z, 18.0, 7.5, 5.5, 6.0)  # inner corner of the orbit
    out -= 1.2 * bell(a, z, 33.0, 10.5, 10.0, 3.2, -4.0)  # under the brow
    out -= 1.5 * bell(a, z, 24.0, -13.5, 8.0, 3.6, -24.0)  # tear trough
    out += 2.0 * bell(a, z, 43.0, -22.0, 13.0, 10.0, 20.0)  # cheekbone
    out += 1.3 * bell(a, z, 29.0, -31.0, 11.0, 10.0, 0.0)  # apple of the cheek
    out -= 1.6 * bell(a, z, 44.0, -54.0, 11.0, 16.0, 20.0)  # hollow below it
    fold = 21.5 + 0.30 * np.clip(-46.0 - z, -4, 30)
    out -= 1.3 * np.exp(-(((a - fold) / 3.0) ** 2)) * _window(z, -66.0, -42.0, 7.0)  # nasolabial fold
    out -= 1.3 * bell(x, z, 0.0, -55.0, 2.1, 5.5)  # philtrum
    out += 0.7 * (bell(a, z, 3.6, -56.5, 1.5, 5.0))  # its ridges
    out -= 2.2 * bell(a, z, 28.0, -70.5, 4.0, 4.5, 30.0)  # dimple at the corner of the mouth
    out -= 2.0 * bell(x, z, 0.0, -86.0, 15.0, 4.2)  # mentolabial fold
    out += 1.3 * bell(x, z, 0.0, -103.0, 12.0, 8.5)  # chin
    out -= 1.0 * bell(a, z, 27.0, -92.0, 6.0, 10.0, 15.0)  # beside the chin
    return out


def _window(z: Float, low: float, high: float, soft: float) -> Float:
    return 1 / (1 + np.exp(-(z - low) / soft * 4)) / (1 + np.exp(-(high - z) / soft * 4))


def lips(x: Float, z: Float) -> Float:
    """Depth (mm) that the lips add."""
    a = np.abs(x) / MOUTH_CORNER
    line, top, bottom = mouth_line(x), upper_lip_border(x), lower_lip_border(x)
    body = np.clip(1 - a**2.4, 0, 1) ** 0.75
    up = np.clip((z - line) / np.maximum(top - line, 0.4), 0.0, None)
    low = np.clip((line - z) / np.maximum(line - bottom, 0.4), 0.0, None)
    upper = body * curve(up, [0.0, 0.22, 0.55, 0.85, 1.0, 1.18, 1.7], [-2.2, 0.9, 2.0, 1.7, 1.45, 0.75, 0.0])
    upper += 0.7 * np.exp(-((a / 0.2) ** 2)) * np.exp(-(((up - 0.3) / 0.35) ** 2))
    lower = body * curve(low, [0.0, 0.18, 0.5, 0.8, 1.0, 1.25, 1.8], [-2.2, 1.4, 3.0, 2.3, 1.0, 0.0, 0.0])
    lower += 0.6 * np.exp(-(((a - 0.3) / 0.2) ** 2)) * np.exp(-(((low - 0.45) / 0.3) ** 2))
    outside = np.clip((a - 0.9) / 0.2, 0, 1)
    return np.where(z >= line, upper, lower) * (1 - outside)


# --- the lids ------------------------------------------------------------------------------------------------------


def lid_shell(x: Float, z: Float) -> Float:
    """Depth of the closed lids' outer surface over |x|, far behind where there is none."""
    dx, dz = np.abs(x) - EYE_CENTRE[0], z - EYE_CENTRE[2]
    radius = EYE_RADIUS + LID
    q = 1 - (dx / (radius + 1.6)) ** 2 - (dz / (radius + 0.3)) ** 2
    depth = EYE_CENTRE[1] + radius * np.sqrt(np.clip(q, 0, None)) - 0.10 * dx
    return np.where(q > 0, depth, EYE_CENTRE[1] - 300 * np.clip(-q, 0, 1) - 0.10 * dx)


def crease_line(x: Float) -> Float:
    """Height z (mm) of the upper lid's crease over |x|."""
    t = np.clip((np.abs(x) - EYE_INNER) / (EYE_OUTER - EYE_INNER), -0.1, 1.15)
    return 2.0 + 8.4 * np.clip(np.sin(np.pi * np.clip(0.09 + 0.80 * t, 0, 1)), 0, 1) ** 0.8 + 0.8 * t


def lids(x: Float, z: Float, face: Float) -> Float:
    """Join the lids' shell to the face and fold the upper one."""
    joined = smooth_max(face, lid_shell(x, z), 3.0)
    a = np.abs(x)
    along = _window(a, EYE_INNER + 2.0, EYE_OUTER + 1.0, 4.0)
    offset = z - crease_line(x)
    joined -= 1.5 * np.exp(-((offset / 1.15) ** 2)) * along
    joined += 1.5 * np.exp(-(((offset - 2.8) / 2.4) ** 2)) * along  # the fold of skin above hangs over the crease
    below = -9.5 - 2.5 * np.sin(np.pi * np.clip((a - EYE_INNER) / (EYE_OUTER - EYE_INNER), 0, 1))
    joined -= 0.45 * np.exp(-(((z - below) / 1.6) ** 2)) * along
    return joined


def _sphere_depth(x: Float, z: Float, radius: float) -> Float:
    dx, dz = np.abs(x) - EYE_CENTRE[0], z - EYE_CENTRE[2]
    return EYE_CENTRE[1] + np.sqrt(np.clip(radius**2 - dx**2 - dz**2, 0, None))


# --- all together ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def neutral_head() -> Float:
    """The neutral head (V, 3) as (x, f, z) in design millimetres, rings of lids and lips included. Read-only."""
    layout = build_layout()
    head = PlainHead()
    params = layout.params
    plain = head.evaluate(params[:, 0], params[:, 1])
    x, z = plain[:, 0], plain[:, 2]
    front = plain[:, 1] > -45.0
    front &= (z > -112.0) & (z < 60.0) & (np.abs(x) < 62.0)
    middle = _midline_depth(head, z)
    depth = plain[:, 1].copy()
    shaped = plain[:, 1] + forms(x, z) * np.clip((plain[:, 1] + 45.0) / 15.0, 0, 1)
    shaped = nose(x, z, shaped, middle + forms(np.zeros_like(x), z))
    shaped = shaped + lips(x, z)
    shaped = lids(x, z, shaped)
    depth[front] = shaped[front]
    points = np.stack([x, depth, z], axis=1)
    points = _relaxed(layout, points)
    points = _nostrils(points)
    points = _neck(points)
    points = _lid_rims(layout, points)
    points = _lip_rims(layout, points)
    points = 0.5 * (points + points[layout.mirror] * np.array([-1.0, 1.0, 1.0]))
    points.flags.writeable = False
    return points


def _midline_depth(head: PlainHead, z: Float) -> Float:
    v = np.linspace(3.0, 18.0, 800)
    line = head.evaluate(np.zeros_like(v), v)
    return np.interp(-z, -line[:, 2], line[:, 1])


def _relaxed(layout: Layout, points: Float) -> Float:
    """A whiff of smoothing, so that joins of forms do not show as lines."""
    graph = Graph(layout.count, edges_of(layout.faces))
    soft = graph.smooth(points, 2, 0.35)
    keep = np.zeros(layout.count, bool)
    for loop in layout.loops.values():
        keep[loop.edge] = True
        keep[loop.rings] = True
    keep[layout.grid[-1]] = True
    soft[keep] = points[keep]
    return np.where((points[:, 1] > -60)[:, None], soft, points)


def _nostrils(points: Float) -> Float:
    """Push the nostrils up into the nose and undercut the wings."""
    x, f, z = points.T
    a = np.abs(x)
    hole = np.exp(-(((a - 6.6) / 3.3) ** 2) - ((f - 33.0) / 5.5) ** 2 - ((z + 45.8) / 2.9) ** 2)
    out = points.copy()
    out[:, 2] += 5.0 * hole
    out[:, 1] -= 2.5 * hole
    pinch = np.exp(-(((a - 16.8) / 2.4) ** 2) - ((z + 42.5) / 6.0) ** 2 - ((f - 20.0) / 6.0) ** 2)
    out[:, 0] -= np.sign(x) * 1.6 * pinch  # the crease behind the wing
    out[:, 1] -= 1.2 * pinch
    return out


def _neck(points: Float) -> Float:
    """Sternomastoid muscles, windpipe, collar bones."""
    x, f, z = points.T
    a = np.abs(x)
    out = points.copy()
    s = np.clip((z + 102.0) / -86.0, 0, 1)  # from behind the ear down to the breast bone
    line_x, line_f = 56.0 - 46.0 * s, -88.0 + 40.0 * s**1.2
    near = np.exp(-(((a - line_x) / 8.0) ** 2) - ((f - line_f) / 14.0) ** 2) * _window(z, -187.0, -108.0, 16.0)
    out[:, 1] += 4.0 * near
    out[:, 0] += np.sign(x) * 2.5 * near
    throat = np.exp(-((x / 9.0) ** 2)) * _window(z, -175.0, -132.0, 12.0) * (f > -75)
    out[:, 1] += 2.6 * throat
    notch = np.exp(-((x / 9.0) ** 2) - ((z + 188.0) / 8.0) ** 2) * (f > -90)
    out[:, 1] -= 5.0 * notch
    bone_z = -192.0 + 0.05 * a
    bone = np.exp(-(((z - bone_z) / 5.0) ** 2)) * _window(a, 14.0, 105.0, 14.0) * (f > -100)
    out[:, 1] += 4.0 * bone
    pit = np.exp(-(((z - bone_z - 14.0) / 8.0) ** 2)) * _window(a, 28.0, 80.0, 16.0) * (f > -100)
    out[:, 2] -= 3.5 * pit
    return out


def _lid_rims(layout: Layout, points: Float) -> Float:
    """Put the lids' edges around the eyeballs and lead the rings behind them."""
    out = points.copy()
    for kind in ("eye.L", "eye.R"):
        loop = layout.loops[kind]
        side = 1.0 if kind == "eye.L" else -1.0
        centre = EYE_CENTRE * np.array([side, 1, 1])
        edge = out[loop.edge]
        offset = edge - centre
        length = np.linalg.norm(offset, axis=1, keepdims=True)
        outside = offset / length * np.maximum(length, EYE_RADIUS + LID * 0.85)
        edge = centre + outside
        out[loop.edge] = edge
        direction = (edge - centre) / np.linalg.norm(edge - centre, axis=1, keepdims=True)
        middle = edge.mean(axis=0)
        inward = middle - edge
        rim = edge + 0.16 * inward * np.array([0.6, 0, 1]) * _corner_fade(loop)[:, None]
        to_ball = rim - centre
        rim = centre + to_ball / np.linalg.norm(to_ball, axis=1, keepdims=True) * (EYE_RADIUS + 0.25)
        spread = direction * np.array([1.25, 0.75, 1.25])
        spread /= np.linalg.norm(spread, axis=1, keepdims=True)
        behind = centre + spread * (EYE_RADIUS + 0.5)
        spread = direction * np.array([1.7, 0.35, 1.7])
        spread /= np.linalg.norm(spread, axis=1, keepdims=True)
        deep = centre + spread * (EYE_RADIUS + 0.6)
        out[loop.rings] = np.stack([rim, behind, deep])
    return out


def _corner_fade(loop: Loop) -> Float:
    """1 along the lids, falling to 0 at the corners, by position in the loop."""
    n = len(loop.edge)
    position = np.arange(n) / (n / 2)
    return np.clip(np.abs(np.sin(np.pi * position)), 0, 1) ** 0.5


def _lip_rims(layout: Layout, points: Float) -> Float:
    """Roll the lips inwards: contact surface, inner surface, then back along the teeth."""
    out = points.copy()
    loop = layout.loops["mouth"]
    edge = out[loop.edge]
    line = mouth_line(edge[:, 0])
    sign = np.where(loop.upper, 1.0, -1.0)
    sign[list(loop.corners)] = 0.0
    fade = np.clip(1 - (np.abs(edge[:, 0]) / MOUTH_CORNER) ** 2, 0, 1) ** 0.5
    edge[:, 2] = line - sign * 0.2 * fade  # pressed together: subdivision would open them
    out[loop.edge] = edge
    rings = []
    steps = ((1.6, -0.35, 0.99), (3.6, 0.5, 0.97), (6.0, 4.2, 0.96), (9.0, 8.0, 0.97), (15.0, 10.0, 1.0))
    for back, spread, narrow in steps:
        ring = edge.copy()
        ring[:, 0] *= narrow
        ring[:, 1] -= back
        ring[:, 2] = line + sign * spread * fade
        rings.append(ring)
    out[loop.rings] = np.stack(rings)
    return out
