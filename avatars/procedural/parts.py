# SPDX-License-Identifier: Apache-2.0
"""Eyeballs, teeth, tongue and the mouth's dark inside, in the design space of the neutral head (millimetres)."""

from __future__ import annotations

import attrs
import numpy as np

from ..skin import IRIS_RADIUS
from .expressions import mouth_opening
from .graph import Faces, Float
from .identities import Person, field

IRIS_ANGLE = np.radians(26.0)
CORNEA = 0.65  # mm that the cornea stands out


@attrs.frozen(eq=False)
class Part:
    """A mesh beside the head. points (N, 3) mm; corner_uvs one (corners, 2) array a face; weights by bone name (N,);
    keys: displacements (N, 3) mm by expression; colours: sRGB of the palette that its UVs index, if it has no texture."""

    points: Float
    faces: Faces
    corner_uvs: list[Float]
    weights: dict[str, Float]
    keys: dict[str, Float] = attrs.field(factory=dict)


def eyeballs(person: Person) -> Part:
    """Both eyeballs with a slight cornea; UV by angle from the gaze axis, as `avatars.skin.paint_iris` wants."""
    ball, faces, theta, phi = _ball()
    n = len(ball)
    bulge = 1 + CORNEA / person.eye_radius * np.clip(1 - (theta / (IRIS_ANGLE * 1.12)) ** 2, 0, 1)
    radius = np.interp(theta, [0, IRIS_ANGLE, np.radians(70), np.pi], [0, IRIS_RADIUS, 0.44, 0.495])
    uv = np.stack([0.5 + radius * np.cos(phi), 0.5 + radius * np.sin(phi)], axis=1)
    points = [centre + ball * bulge[:, None] * person.eye_radius for centre in person.eyes]
    both = np.concatenate(points)
    left = (np.arange(2 * n) < n).astype(np.float64)
    every = list(faces) + [tuple(v + n for v in f) for f in faces]
    return Part(both, every, [uv[[v % n for v in f]] for f in every], {"eye.L": left, "eye.R": 1 - left})


def _ball(rings: int = 22, segments: int = 32) -> tuple[Float, Faces, Float, Float]:
    """A unit ball that looks along +f: points, faces, angle from the axis, angle about it. Denser in front."""
    angles = np.pi * np.linspace(0, 1, rings + 1)[1:-1] ** 1.25
    turn = np.arange(segments) / segments * 2 * np.pi
    theta = np.concatenate([[0], np.repeat(angles, segments), [np.pi]])
    phi = np.concatenate([[0], np.tile(turn, len(angles)), [0]])
    points = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], axis=1)
    faces: Faces = [(0, 1 + k, 1 + (k + 1) % segments) for k in range(segments)]
    for r in range(len(angles) - 1):
        a, b = 1 + r * segments, 1 + (r + 1) * segments
        faces += [(a + k, b + k, b + (k + 1) % segments, a + (k + 1) % segments) for k in range(segments)]
    last, end = 1 + (len(angles) - 1) * segments, len(points) - 1
    faces += [(last + k, end, last + (k + 1) % segments) for k in range(segments)]
    return points, faces, theta, phi


# --- the mouth's inside ---------------------------------------------------------------------------------------------

PALETTE = {"teeth": (0.90, 0.87, 0.80), "gum": (0.62, 0.30, 0.30), "cavity": (0.16, 0.05, 0.05),
           "tongue": (0.62, 0.29, 0.29)}
_WIDTHS_UP = (8.3, 6.6, 7.6, 7.0, 6.8)
_WIDTHS_LOW = (5.3, 5.8, 6.7, 7.0, 7.0)


class _Collector:
    def __init__(self) -> None:
        self.points: list[Float] = []
        self.faces: Faces = []
        self.uvs: list[Float] = []
        self.jaw: list[Float] = []
        self.count = 0

    def add(self, points: Float, faces: Faces, colour: str, jaw: Float) -> None:
        at = (list(PALETTE).index(colour) + 0.5) / len(PALETTE)
        self.faces += [tuple(v + self.count for v in f) for f in faces]
        self.uvs += [np.tile([[at, 0.5]], (len(f), 1)) for f in faces]
        self.points.append(points)
        self.jaw.append(jaw)
        self.count += len(points)


def mouth_inside(person: Person) -> Part:
    """Two rows of teeth in their gums, a tongue and the cavity behind; the lower half follows the jaw."""
    c = _Collector()
    for upper in (True, False):
        _row_of_teeth(c, upper)
    ball, faces, _, _ = _ball(10, 16)
    tongue = ball * [15.0, 21.0, 5.0] + [0.0, -7.0, -79.5]
    c.add(tongue, faces, "tongue", np.ones(len(ball)))
    _cavity(c)
    points = np.concatenate(c.points)
    jaw = np.concatenate(c.jaw)
    points = points + field(person.shape, points) * np.array([0.7, 1.0, 1.0])
    return Part(points, c.faces, c.uvs, {"head": 1 - jaw, "jaw": jaw}, {"jaw_open": mouth_opening(points, jaw)})


def _arch(distance: Float, front: float, bend: float) -> tuple[Float, Float]:
    """Point (x, f) and outward direction (2,) after `distance` mm along a dental arch f = front - bend x^2."""
    x = np.linspace(0, 40, 800)
    length = np.concatenate([[0], np.cumsum(np.hypot(np.diff(x), np.diff(bend * x * x)))])
    at = np.sign(distance) * np.interp(np.abs(distance), length, x)
    normal = np.stack([2 * bend * at, np.ones_like(at)], axis=-1)
    return np.stack([at, front - bend * at * at], axis=-1), normal / np.linalg.norm(normal, axis=-1, keepdims=True)


def _row_of_teeth(c: _Collector, upper: bool) -> None:
    front, bend = (15.8, 0.040) if upper else (14.0, 0.043)
    widths = _WIDTHS_UP if upper else _WIDTHS_LOW
    sign = 1.0 if upper else -1.0
    edge = -69.6 if upper else -70.4
    ball, faces, _, _ = _ball(8, 12)
    for side in (1, -1):
        distance = 0.0
        for number, width in enumerate(widths):
            middle, normal = _arch(np.array(side * (distance + width / 2)), front, bend)
            distance += width
            tall = (9.6, 8.6, 9.4, 7.6, 7.0)[number] if upper else (8.0, 8.2, 9.0, 7.4, 7.0)[number]
            thick = (2.3, 2.2, 3.0, 3.6, 4.0)[number]
            squared = np.sign(ball) * np.abs(ball) ** 0.55
            tangent = np.array([normal[1], -normal[0]])
            along = squared[:, [0]] * tangent * width * 0.485 * (1 - 0.10 * np.clip(sign * ball[:, [2]], 0, 1))
            points = np.zeros((len(ball), 3))
            points[:, :2] = middle + along + squared[:, [1]] * normal * thick * 0.6
            short = 0.7 if number == 1 and upper else 0.0
            points[:, 2] = edge + sign * (short + (squared[:, 2] * sign + 1) / 2 * tall)
            c.add(points, faces, "teeth", np.full(len(ball), 0.0 if upper else 1.0))
    _gum(c, front, bend, edge + sign * 8.4, sign, 0.0 if upper else 1.0)


def _gum(c: _Collector, front: float, bend: float, z: float, sign: float, jaw: float) -> None:
    steps, around = 25, 8
    middle, normal = _arch(np.linspace(-36, 36, steps), front, bend)
    turn = np.arange(around) / around * 2 * np.pi
    out = normal[:, None, :] * (np.cos(turn) * 2.6)[None, :, None] + middle[:, None, :]
    height = np.broadcast_to(z + sign * 2.2 + 3.6 * np.sin(turn), (steps, around))
    points = np.concatenate([out, height[..., None]], axis=2).reshape(-1, 3)
    faces: Faces = [(s * around + k, s * around + (k + 1) % around, (s + 1) * around + (k + 1) % around,
                     (s + 1) * around + k) for s in range(steps - 1) for k in range(around)]
    c.add(points, faces, "gum", np.full(len(points), jaw))


def _cavity(c: _Collector) -> None:
    """A sack that opens forward behind the lips, seen from its inside."""
    rings, segments = 7, 24
    depth = np.linspace(0.03, 1, rings) * np.pi / 2
    turn = np.arange(segments) / segments * 2 * np.pi
    rows = []
    for d in depth:
        wide, back = np.sin(d), np.cos(d)
        x, z = 25.5 * wide * np.cos(turn), 15.0 * wide * np.sin(turn)
        rows.append(np.stack([x, 13.5 - 0.026 * x * x * wide - 42.0 * back, -69.5 + z], axis=1))
    points = np.concatenate(rows)
    faces: Faces = [(r * segments + k, r * segments + (k + 1) % segments, (r + 1) * segments + (k + 1) % segments,
                     (r + 1) * segments + k) for r in range(rings - 1) for k in range(segments)]
    faces.append(tuple(range(segments))[::-1])
    t = np.clip((-66.0 - points[:, 2]) / 8.0, 0, 1)
    c.add(points, faces, "cavity", t * t * (3 - 2 * t))
