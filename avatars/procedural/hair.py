# SPDX-License-Identifier: Apache-2.0
"""Hair as a mesh of its own: a cap that grows from the hairline, and tapered locks that lie over it, by style.

Everything is made on the neutral head in design space and then carried along by the person's shape.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .graph import Faces, Float, design_normals, triangulate
from .identities import Person, field
from .parts import Part
from .surface import PlainHead

Rng = np.random.Generator

# Height z (mm) of the hairline over surface parameter |u| (0 = midline of the face, 11 = of the back).
_LINE_U = np.array([0.0, 1.0, 2.0, 2.8, 3.5, 4.2, 4.9, 5.45, 5.8, 6.1, 6.4, 6.75, 7.3, 8.0, 8.5, 8.9, 9.4, 10.2, 11.0])
_LINE_Z: dict[str, list[float]] = {
    "bob": [70, 70, 69, 67, 62, 53, 40, 22, 4, -8, -12, -4, 14, 16, 6, -14, -40, -62, -70],
    "crop": [68, 69, 71, 71, 66, 54, 43, 30, 10, -6, -8, 8, 24, 25, 12, -10, -38, -60, -66],
    "buzz": [68, 68, 68.5, 68, 64, 54, 45, 40, 26, 10, 7, 16, 24, 25, 12, -8, -34, -56, -62],
}
PARTING = 13.0  # mm to the character's left
SKULL_CENTRE = np.array([0.0, -72.0, 38.0])
_SKULL_RADII = np.array([77.0, 98.0, 82.0])


def hairline_z(style: str, u: Float) -> Float:
    """Height z (mm) of the hairline at surface parameter u (signed or 0..22), with a slight unevenness."""
    a = np.abs((np.asarray(u) + 11.0) % 22.0 - 11.0)
    return np.interp(a, _LINE_U, _LINE_Z[style]) + 0.8 * np.sin(23.0 * np.asarray(u)) * np.sin(7.0 * np.asarray(u) + 1)


def _hairline_v(head: PlainHead, style: str, u: Float) -> Float:
    """Surface parameter v of the hairline at u (N,)."""
    fine = np.linspace(1.5, head.rows - 8.0, 500)
    grid_u = np.repeat(u[:, None], len(fine), axis=1)
    z = head.evaluate(grid_u % 22.0, np.broadcast_to(fine, grid_u.shape))[..., 2]
    return fine[np.argmax(z < hairline_z(style, u)[:, None], axis=1)]


def scalp_region(style: str, params: Float, points: Float) -> Float:
    """(V,) 0..1: where hair grows, soft over about 7 mm at the hairline. params: (V, 2) surface parameters."""
    inside = (points[:, 2] - hairline_z(style, params[:, 0])) / 7.0 + 0.35
    t = np.clip(inside, 0.0, 1.0)
    return t * t * (3 - 2 * t)


# --- pieces ---------------------------------------------------------------------------------------------------------


class _Strands:
    """Collects sheets of vertices: grids of `across` x `along` points."""

    def __init__(self) -> None:
        self.points: list[Float] = []
        self.faces: Faces = []
        self.uvs: list[Float] = []
        self.count = 0

    def sheet(self, points: Float, uv: Float, closed: bool = False) -> None:
        """points (A, K, 3): A across, K along from root to tip; uv (A, K, 2)."""
        across, along = points.shape[:2]
        ids = self.count + np.arange(across * along).reshape(across, along)
        flat = uv.reshape(-1, 2)
        for i in range(across if closed else across - 1):
            k = (i + 1) % across
            for j in range(along - 1):
                face = (int(ids[i, j]), int(ids[k, j]), int(ids[k, j + 1]), int(ids[i, j + 1]))
                self.faces.append(face)
                self.uvs.append(flat[np.array(face) - self.count])
        self.points.append(points.reshape(-1, 3))
        self.count += points.shape[0] * along

    def locks(self, paths: Float, outward: Float, widths: Float, rng: Rng, hump: float = 0.32) -> None:
        """Tapered locks: paths (N, K, 3) root to tip, outward unit normals (N, K, 3), widths (N, K) mm."""
        tangent = np.gradient(paths, axis=1)
        side = np.cross(tangent, outward)
        side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
        half = 0.5 * widths[..., None]
        along = np.linspace(0, 1, paths.shape[1])
        for n in range(len(paths)):
            rim, top = outward[n] * half[n] * hump, outward[n] * half[n] * hump
            sheet = np.stack([paths[n] - side[n] * half[n] - rim, paths[n] - 0.5 * side[n] * half[n] + 0.6 * top,
                              paths[n] + 0.5 * side[n] * half[n] + 0.6 * top, paths[n] + side[n] * half[n] - rim])
            column = float(rng.random()) + np.array([0, 0.02, 0.04, 0.06])
            uv = np.stack(np.broadcast_arrays(column[:, None], along[None, :]), axis=-1)
            self.sheet(sheet, uv)

    def part(self, person: Person) -> Part:
        points = np.concatenate(self.points)
        points = points + field(person.shape, points)
        return Part(points, self.faces, self.uvs, {"head": np.ones(len(points))})


def _cap(strands: _Strands, style: str, thickness: float, columns: int, rows: int,
         relief: Callable[[Float, Float], Float]) -> None:
    """A shell over the scalp; `relief(points, share)` adds mm along the normals."""
    head = PlainHead()
    u = np.linspace(-11, 11, columns, endpoint=False)
    share = np.linspace(0, 1, rows) ** 0.85
    v = _hairline_v(head, style, u)[:, None] * (1 - share)[None, :] + 0.02
    uu = np.broadcast_to(u[:, None], v.shape)
    points = head.evaluate(uu % 22.0, v).reshape(-1, 3)
    shell = _Strands()
    shell.sheet(points.reshape(columns, rows, 3), np.zeros((columns, rows, 2)), closed=True)
    normals = design_normals(points, triangulate(shell.faces))
    t = np.tile(share, columns)
    lift = thickness * (1 - np.exp(-t / 0.14)) - 0.7 * np.exp(-t / 0.015)
    lift = lift + relief(points, t)
    lifted = (points + normals * lift[:, None]).reshape(columns, rows, 3)
    uv = np.stack([(uu + 11) / 22 * 3.0, np.broadcast_to(share[None, :], uu.shape)], axis=-1)
    strands.sheet(lifted, uv, closed=True)


def _noise(points: Float, size: float, seed: int) -> Float:
    """(N,) smooth pseudo-noise about -1..1 out of a few random waves of wavelength `size` mm."""
    rng = np.random.default_rng(seed)
    total = np.zeros(len(points))
    for _ in range(7):
        direction = rng.normal(size=3)
        direction /= np.linalg.norm(direction)
        total += np.sin(points @ direction * (2 * np.pi / size) * rng.uniform(0.7, 1.4) + rng.uniform(0, 7))
    return total / 2.6


def _roots(style: str, count: int, rng: Rng) -> tuple[Float, Float]:
    """Points (N, 3) spread over the scalp by area, and outward normals."""
    head = PlainHead()
    tries = count * 14
    u, v = rng.uniform(-11, 11, tries), rng.uniform(0.4, 14.0, tries)
    here = head.evaluate(u % 22.0, v)
    h = 1e-3
    du = (head.evaluate((u + h) % 22.0, v) - here) / h
    dv = (head.evaluate(u % 22.0, v + h) - here) / h
    normal = np.cross(dv, du)
    area = np.linalg.norm(normal, axis=1)
    normal *= np.sign((normal * (here - SKULL_CENTRE)).sum(axis=1, keepdims=True)) / np.maximum(area, 1e-9)[:, None]
    grows = here[:, 2] > hairline_z(style, u) + 1.5
    keep = np.flatnonzero(grows & (rng.random(tries) < area / np.quantile(area, 0.98)))[:count]
    return here[keep], normal[keep]


# --- styles ---------------------------------------------------------------------------------------------------------


def _crop(strands: _Strands, rng: Rng) -> None:
    """Short on the sides, longer and swept back to one side on top."""
    _cap(strands, "crop", 3.2, 96, 26, lambda p, t: 0.5 * _noise(p, 16.0, 3) * np.clip(t / 0.2, 0, 1))
    roots, normal = _roots("crop", 800, rng)
    top = np.clip((roots[:, 2] - 45.0) / 40.0, 0, 1)[:, None]
    front = np.clip((roots[:, 1] + 60.0) / 70.0, 0, 1)[:, None]
    flow = top * (np.array([0.55, -0.75, 0.25]) + front * np.array([0.1, 0.1, 0.5]))
    flow = flow + (1 - top) * np.array([0.0, -0.55, -1.0])
    wobble = np.stack([_noise(roots, 34.0, 11 + k) for k in range(3)], axis=1)
    flow = flow + 0.22 * wobble + 0.12 * rng.normal(size=roots.shape)
    flow -= normal * (flow * normal).sum(axis=1, keepdims=True)
    flow /= np.linalg.norm(flow, axis=1, keepdims=True)
    length = 13.0 + 17.0 * top[:, 0] + 3.0 * rng.random(len(roots))
    rise = 2.6 + 7.5 * top[:, 0] * (0.55 + 0.45 * front[:, 0]) + 1.2 * rng.random(len(roots))
    t = np.linspace(0, 1, 6)
    along = (length[:, None] * t)[..., None]
    lift = (rise[:, None] * np.sin(np.clip(t * 1.25, 0, 1) * np.pi / 2) + 1.5)[..., None]
    paths = roots[:, None] + flow[:, None] * along + normal[:, None] * (lift - along**2 / 180.0)
    widths = (4.8 + 3.4 * top[:, 0])[:, None] * np.array([0.65, 1.0, 1.0, 0.85, 0.55, 0.08])
    strands.locks(paths, np.broadcast_to(normal[:, None], paths.shape), widths, rng)


def _buzz(strands: _Strands, rng: Rng) -> None:
    """Tight, close-cropped curls: a thin shell with small round bumps."""

    def relief(p: Float, t: Float) -> Float:
        curls = np.abs(_noise(p, 13.0, 5)) + 0.7 * np.abs(_noise(p, 9.0, seed))
        return 1.5 * (curls - 0.8) * np.clip(t / 0.08, 0, 1)

    seed = int(rng.integers(1 << 30))
    _cap(strands, "buzz", 5.2, 210, 74, relief)


def _bob(strands: _Strands, rng: Rng) -> None:
    """Chin-length, parted on the left, framing the face."""
    _cap(strands, "bob", 4.0, 96, 26, lambda p, t: 0.0 * t)
    _bob_top(strands, rng)
    columns = np.linspace(-1, 1, 80)
    t = np.linspace(0, 1, 22)
    length = 1.0 + 0.02 * np.sin(columns * 37.0) + 0.015 * np.sin(columns * 83.0 + 1)
    sheet = np.stack([_fall(c, t * k, 7.5) for c, k in zip(columns, length, strict=True)])
    uv = np.stack(np.broadcast_arrays(columns[:, None] * 2.0, t[None, :]), axis=-1)
    strands.sheet(sheet[::-1], uv[::-1])
    count = 150
    places = np.sort(rng.uniform(-1, 1, count))
    paths = np.stack([_fall(c, t * rng.uniform(0.90, 1.04), 9.0 + 4.0 * rng.random()) for c in places])
    # Locks wander a little sideways along their fall.
    sway = np.sin(t[None, :] * rng.uniform(2, 5, (count, 1)) + rng.uniform(0, 6, (count, 1))) * t[None, :]
    away = paths - (SKULL_CENTRE + np.array([0, -10.0, -40.0]) * t[None, :, None])
    outward = away / np.linalg.norm(away, axis=-1, keepdims=True)
    outward[..., 2] *= 1 - t
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    side = np.cross(np.gradient(paths, axis=1), outward)
    side /= np.maximum(np.linalg.norm(side, axis=-1, keepdims=True), 1e-9)
    paths = paths + side * sway[..., None] * 3.0
    taper = np.interp(t, [0, 0.08, 0.4, 0.8, 0.95, 1.0], [0.35, 0.75, 1.0, 0.95, 0.5, 0.06])
    widths = rng.uniform(9.0, 15.0, (count, 1)) * taper
    strands.locks(paths, outward, widths, rng, hump=0.22)


def _bob_top(strands: _Strands, rng: Rng) -> None:
    """Locks that leave the parting and the front hairline sideways and back, over the skull."""
    roots, normal = _roots("bob", 1500, rng)
    chosen = (roots[:, 2] > 52.0) & (roots[:, 1] > -92.0)
    roots, normal = roots[chosen][:240], normal[chosen][:240]
    from_part = roots[:, 0] - PARTING
    back = -0.30 - 0.25 * (roots[:, 1] > 0)
    flow = np.stack([np.tanh(from_part / 6.0), back, np.full(len(roots), -0.35)], axis=1)
    flow += 0.10 * rng.normal(size=roots.shape)
    flow -= normal * (flow * normal).sum(axis=1, keepdims=True)
    flow /= np.linalg.norm(flow, axis=1, keepdims=True)
    t = np.linspace(0, 1, 8)
    along = (rng.uniform(55, 90, (len(roots), 1)) * t)[..., None]
    rise = (2.5 + 1.5 * rng.random((len(roots), 1))) + 5.5 * np.sin(t * np.pi * 0.55)[None, :]
    paths = roots[:, None] + flow[:, None] * along
    away = paths - SKULL_CENTRE
    height = np.linalg.norm((roots - SKULL_CENTRE) / _SKULL_RADII, axis=1)[:, None, None]
    level = np.linalg.norm(away / _SKULL_RADII, axis=2, keepdims=True)
    paths = SKULL_CENTRE + away * height / level + away / np.linalg.norm(away, axis=2, keepdims=True) * rise[..., None]
    widths = rng.uniform(7.0, 11.0, (len(roots), 1)) * np.array([0.25, 0.6, 0.9, 1.0, 0.95, 0.75, 0.45, 0.06])
    outward = away / np.linalg.norm(away, axis=2, keepdims=True)
    strands.locks(paths, outward, widths, rng, hump=0.13)


def _fall(place: float, t: Float, offset: float) -> Float:
    """Path (K, 3) of a long strand; place -1..1 runs from the right temple over the back to the left temple."""
    side = 1.0 if place < 0 else -1.0  # -1 .. 0: the character's left side, back in the middle
    inward = 1 - abs(place)  # 0 at the temple, 1 at the back
    head = PlainHead()
    u = side * (5.2 + (11.0 - 5.2) * inward**0.8)
    part = np.clip(inward / 0.8, 0, 1)
    part = part * part * (3 - 2 * part)
    start = np.array([PARTING - 9.0 * part, 9.0 - 115.0 * part, 78.0 + 40.0 * np.sin(np.pi * (0.15 + 0.62 * part))])
    start = _on_skull(start, 4.0)
    wide_v = float(_v_at(head, u, 26.0))
    wide = head.evaluate(np.array([u % 22.0]), np.array([wide_v]))[0]
    out = (wide - SKULL_CENTRE) * np.array([1, 1, 0])
    out = out / np.linalg.norm(out)
    wide = wide + out * (offset + 2.0)
    middle = _on_skull(0.5 * (start + wide) + np.array([0, 0, 14.0]), offset + 3.5)
    front = np.clip(1 - inward / 0.25, 0, 1)
    ear_level = wide + out * (3.0 - 17.0 * inward**2) + np.array([0, -2.0 * front, -56.0])
    ear_level[0] += side * 4.0 * front
    tip_in = 14.0 + 9.0 * inward
    tip = ear_level - out * tip_in + np.array([0, 7.0 * front, -74.0 + 10.0 * inward])
    bend = ear_level - out * 0.2 * tip_in + np.array([0, 3.0 * front, -42.0 + 5.0 * inward])
    return _spline(np.stack([start, middle, wide, ear_level, bend, tip]), t)


def _on_skull(point: Float, offset: float) -> Float:
    """The point moved radially to `offset` mm over an ellipsoid like the skull."""
    d = point - SKULL_CENTRE
    return SKULL_CENTRE + d / np.linalg.norm(d / (_SKULL_RADII + offset))


def _v_at(head: PlainHead, u: float, z: float) -> float:
    fine = np.linspace(1.5, head.rows - 8.0, 400)
    heights = head.evaluate(np.full_like(fine, u % 22.0), fine)[:, 2]
    return float(fine[np.argmax(heights < z)])


def _spline(knots: Float, t: Float) -> Float:
    """Catmull-Rom through knots (K, 3), by chord length, at t (N,) in 0..1 (slightly beyond is extrapolated)."""
    chord = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    chord /= chord[-1]
    slope = np.gradient(knots, chord, axis=0)
    k = np.clip(np.searchsorted(chord, t, side="right") - 1, 0, len(knots) - 2)
    h = (chord[k + 1] - chord[k])[:, None]
    s = (t[:, None] - chord[k][:, None]) / h
    return ((1 + 2 * s) * (1 - s) ** 2 * knots[k] + s * (1 - s) ** 2 * h * slope[k]
            + s * s * (3 - 2 * s) * knots[k + 1] + s * s * (s - 1) * h * slope[k + 1])


_STYLES: dict[str, Callable[[_Strands, Rng], None]] = {"crop": _crop, "buzz": _buzz, "bob": _bob}


def hair(person: Person, style: str, seed: int) -> Part:
    """The hair of a style ("bob", "crop", "buzz") on the person's head."""
    strands = _Strands()
    _STYLES[style](strands, np.random.default_rng([seed, 5]))
    return strands.part(person)


def hair_texture(colour: tuple[float, float, float], seed: int, size: int = 256) -> npt.NDArray[np.float64]:
    """Streaks along v (root at v = 0, tip at v = 1) in sRGB, (size, size, 3), row 0 = tip."""
    rng = np.random.default_rng([seed, 6])
    streak = np.zeros(size)
    for octave, amount in ((8, 0.5), (24, 0.7), (64, 0.8)):
        knots = rng.normal(size=octave)
        streak += amount * np.interp(np.arange(size) / size * octave, np.arange(octave + 1), np.append(knots, knots[0]))
    along = np.linspace(1, 0, size)[:, None]
    tone = 1.0 + 0.10 * streak[None, :] * (0.5 + 0.5 * along) + 0.22 * (along - 0.5)
    base = np.asarray(colour)
    warm = base + np.array([0.05, 0.025, 0.0]) * along[..., None]
    return np.clip(warm * tone[..., None], 0.0, 1.0)
