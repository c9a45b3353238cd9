# SPDX-License-Identifier: Apache-2.0
"""Eyeballs, teeth, tongue and the mouth's dark inside, in the design space of the neutral head (millimetres)."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from ..skin import IRIS_RADIUS
from .anatomy import Anatomy
from .expressions import closing_angles, mouth_opening, turn
from .graph import Faces, Float
from .identities import Person, field

IRIS_ANGLE = np.radians(26.0)
CARUNCLE_UV = (0.03, 0.03)
CORNEA = 0.65  # mm that the cornea stands out


@attrs.frozen(eq=False)
class Part:
    """A mesh beside the head. points (N, 3) mm; corner_uvs one (corners, 2) array a face; weights by bone name (N,);
    keys: displacements (N, 3) mm by expression."""

    points: Float
    faces: Faces
    corner_uvs: list[Float]
    weights: dict[str, Float]
    keys: dict[str, Float] = attrs.field(factory=dict)


def eyeballs(anatomy: Anatomy, person: Person) -> Part:
    """Both eyeballs with a slight cornea; UV by angle from the gaze axis, as `avatars.skin.paint_iris` wants.

    The little pink mounds in the inner corners belong to it; they use the corner of the image (CARUNCLE_UV).
    """
    ball, faces, theta, phi = _ball()
    n = len(ball)
    bulge = 1 + CORNEA / person.eye_radius * np.clip(1 - (theta / (IRIS_ANGLE * 1.12)) ** 2, 0, 1)
    radius = np.interp(theta, [0, IRIS_ANGLE, np.radians(70), np.pi], [0, IRIS_RADIUS, 0.44, 0.495])
    uv = np.stack([0.5 + radius * np.cos(phi), 0.5 + radius * np.sin(phi)], axis=1)
    points = [centre + ball * bulge[:, None] * person.eye_radius for centre in person.eyes]
    both = np.concatenate(points)
    left = (np.arange(2 * n) < n).astype(np.float64)
    every = list(faces) + [tuple(v + n for v in f) for f in faces]
    uvs = [uv[[v % n for v in f]] for f in every]
    mound, mound_faces, _, _ = _ball(8, 12)
    extra: list[Float] = []
    for side, kind in ((1.0, "eye.L"), (-1.0, "eye.R")):
        corner = person.points[anatomy.layout.loops[kind].edge[0]]
        at = 2 * n + len(extra) * len(mound)
        every += [tuple(v + at for v in f) for f in mound_faces]
        uvs += [np.tile([CARUNCLE_UV], (len(f), 1)) for f in mound_faces]
        extra.append(corner + np.array([side * 2.5, -2.4, -0.1]) + mound * [2.7, 1.9, 1.6])
    both = np.concatenate([both, *extra])
    none = np.zeros(2 * len(mound))
    weights = {"eye.L": np.append(left, none), "eye.R": np.append(1 - left, none),
               "head": np.append(0 * left, none + 1)}
    return Part(both, every, uvs, weights)


def with_caruncle(iris: npt.NDArray, tone: tuple[float, float, float]) -> npt.NDArray:
    """The eye's image with its unused lower left corner painted as the pink of the eye's inner corner."""
    out = np.array(iris)
    size = len(out)
    pink = 0.45 * np.array(tone) + 0.55 * np.array([0.74, 0.42, 0.40])
    out[-size // 12 :, : size // 12] = pink
    return out


def lashes(anatomy: Anatomy, person: Person, strength: float) -> Part:
    """Single lashes on both lids of both eyes, which follow the blinks; strength 0..1 makes them longer."""
    points: list[Float] = []
    faces: Faces = []
    keys: dict[str, list[Float]] = {"blink_left": [], "blink_right": []}
    rng = np.random.default_rng(4)
    for side, key, other in (("L", "blink_left", "blink_right"), ("R", "blink_right", "blink_left")):
        centre = person.eyes[0 if side == "L" else 1]
        loop = anatomy.layout.loops[f"eye.{side}"]
        half = loop.corners[1]
        lower = np.concatenate([loop.edge[:1], loop.edge[half:][::-1]])
        for ids, number in ((loop.edge[: half + 1], 46), (lower, 26)):
            upper = ids is not lower
            place = np.linspace(0.10 if upper else 0.25, 0.985, number)
            tufts = _lash_row(person.points[ids], centre, place, upper, strength, rng)
            start = sum(len(p) for p in points)
            points.append(tufts.reshape(-1, 3))
            for k in range(start, start + 5 * number, 5):
                faces += [(k, k + 1, k + 3, k + 2), (k + 2, k + 3, k + 4)]
            down, up = closing_angles(anatomy, person.points, side, centre, place)
            angle = np.repeat(down if upper else -up, 5)
            keys[key].append(turn(points[-1], centre, angle))
            keys[other].append(np.zeros_like(points[-1]))
    every = np.concatenate(points)
    uvs = [np.full((len(f), 2), 0.5) for f in faces]
    return Part(every, faces, uvs, {"head": np.ones(len(every))}, {k: np.concatenate(v) for k, v in keys.items()})


def _lash_row(edge: Float, centre: Float, place: Float, upper: bool, strength: float,
              rng: np.random.Generator) -> Float:
    """Lashes (N, 5, 3): two points at the root, two half-way, the tip."""
    knots = np.arange(len(edge)) / (len(edge) - 1)
    root = np.stack([np.interp(place, knots, edge[:, k]) for k in range(3)], axis=1)
    along = np.stack([np.gradient(np.interp(place, knots, edge[:, k])) for k in range(3)], axis=1)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    out = root - centre
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    outer_end = np.sign(along[:, :1]) * np.clip(place[:, None] - 0.35, -0.3, 0.6) * np.array([[1.0, 0, 0]])
    vertical = np.array([0.0, 0.0, 1.0 if upper else -1.0])
    length = (5.2 + 2.6 * place if upper else 2.3 + 1.2 * place) * (0.8 + 0.4 * strength)
    length = (length * rng.uniform(0.75, 1.1, len(place)))[:, None]
    lean = 0.25 * rng.normal(size=(len(place), 1)) * along
    first = out + 0.9 * outer_end - 0.05 * vertical + lean
    second = out * 0.7 + 0.9 * outer_end + 0.75 * vertical + lean
    middle = root + 0.5 * length * first / np.linalg.norm(first, axis=1, keepdims=True)
    tip = middle + 0.55 * length * second / np.linalg.norm(second, axis=1, keepdims=True)
    wide = (0.26 if upper else 0.16) * along
    return np.stack([root - wide, root + wide, middle - 0.6 * wide, middle + 0.6 * wide, tip], axis=1)


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

PALETTE = {"teeth": (0.90, 0.87, 0.80), "gum": (0.62, 0.30, 0.30), "cavity": (0.34, 0.13, 0.12),
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
    edge = -70.6 if upper else -70.2
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
        x, z = 27.0 * wide * np.cos(turn), 16.0 * wide * np.sin(turn)
        rows.append(np.stack([x, 14.0 - 0.024 * x * x * wide - 42.0 * back, -69.5 + z], axis=1))
    points = np.concatenate(rows)
    faces: Faces = [(r * segments + k, r * segments + (k + 1) % segments, (r + 1) * segments + (k + 1) % segments,
                     (r + 1) * segments + k) for r in range(rings - 1) for k in range(segments)]
    faces.append(tuple(range(segments))[::-1])
    t = np.clip((-66.0 - points[:, 2]) / 8.0, 0, 1)
    c.add(points, faces, "cavity", t * t * (3 - 2 * t))
