# SPDX-License-Identifier: Apache-2.0
"""Hair as locks: some hundred to two thousand tapering ribbons that flow over the head in the manner of a style.

Pointed locks of different length make a soft hairline where a moulded cap would be jagged; the scalp below is painted
in the hair's colour (`HairMesh.scalp`), so gaps do not show.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from ..painting.chart import Chart, smoothstep
from ..painting.raster import triangulate
from .identities import Identity
from .regions import Regions, hair_field
from .surface import HeadSurface

Float = npt.NDArray[np.floating]
Flow = Callable[[Float, Float], Float]


@attrs.frozen(eq=False)
class HairMesh:
    """points (n, 3), quads (F, 4), uvs (4 F, 2); scalp (V,) 0..1 on the head's vertices, where hair grows;
    shades: factors on the hair colour, one material each; shade_of_face (F,).
    """

    points: Float
    faces: npt.NDArray
    uvs: Float
    scalp: Float
    shades: tuple[float, ...]
    shade_of_face: npt.NDArray


@attrs.frozen(eq=False)
class Locks:
    """paths, sides, ups (n, s, 3) and widths (n, s) of n locks in s steps."""

    paths: Float
    sides: Float
    ups: Float
    widths: Float


@attrs.frozen
class _Style:
    """Metres: length of locks (lowest, highest), width, height above the skin, how far each step may stray."""

    count: int
    length: tuple[float, float]
    width: float
    lift: float
    segments: int
    stray: float
    hang: bool = False
    over_ears: bool = False


_STYLES = {
    "short": _Style(2300, (0.026, 0.044), 0.0062, 0.0075, 5, 0.15),
    "crop": _Style(4200, (0.007, 0.012), 0.0042, 0.0045, 2, 0.8),
    "bob": _Style(950, (0.27, 0.31), 0.0115, 0.0120, 15, 0.06, hang=True, over_ears=True),
    "bun": _Style(820, (0.10, 0.30), 0.0095, 0.0050, 12, 0.05),
    "bald": _Style(1100, (0.012, 0.022), 0.0048, 0.0035, 4, 0.16),
}
_SHADES = (0.80, 0.93, 1.05, 1.16)


def hair_mesh(
    person: Identity, points: Float, normals: Float, faces: list[list[int]], landmarks: npt.NDArray, regions: Regions
) -> HairMesh:
    """The hair of a person's head in its rest pose. points, normals (V, 3), landmarks (68,)."""
    style = _STYLES[person.hair_style]
    rng = np.random.default_rng([person.look.seed, 9])
    chart = Chart(points, normals, points[landmarks], 1, np.arange(len(points)))
    field = hair_field(chart, person.receding) * (1 - smoothstep(0.1, 0.5, regions.ears)) * (1 - regions.mouth)
    if person.hair_style == "bald":
        field = np.minimum(
            field, np.clip(0.5 + (0.030 + 0.25 * np.maximum(points[:, 1] + 0.02, 0) - chart.z) / 0.03, 0, 1)
        )
    triangles, _ = triangulate(faces)
    solid = regions.mouth[triangles].max(axis=1) < 0.5
    if not style.over_ears:
        solid &= regions.ears[triangles].max(axis=1) < 0.5
    surface = HeadSurface(points, normals, triangles[solid], rng)
    roots, root_normals = _roots(points, normals, triangles, field, style, rng)
    flow, ends = _flow(person.hair_style, points, landmarks), _ends(person.hair_style, points, landmarks, regions.ears)
    locks = [_grow(surface, roots, root_normals, style, flow, ends, rng)]
    if person.hair_style == "bun":
        locks.append(_bun(points, rng))
    quads: list[npt.NDArray] = []
    vertices, uvs, shades, start = [], [], [], 0
    for group in locks:
        faces_, points_, uvs_ = _ribbons(group)
        shade = rng.integers(0, len(_SHADES), len(group.paths))
        quads.append(faces_ + start)
        vertices.append(points_)
        uvs.append(uvs_)
        shades.append(np.repeat(shade, len(faces_) // len(shade)))
        start += len(points_)
    return HairMesh(
        np.concatenate(vertices),
        np.concatenate(quads),
        np.concatenate(uvs),
        field,
        _SHADES,
        np.concatenate(shades),
    )


def _roots(
    points: Float, normals: Float, triangles: npt.NDArray, field: Float, style: _Style, rng: np.random.Generator
) -> tuple[Float, Float]:
    """Evenly spread roots (n, 3) and their normals, thinning out over the last millimetres of the hairline."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2 * (field[triangles].max(axis=1) > 0.5)
    many = 3 * style.count
    where = np.searchsorted(np.cumsum(area) / area.sum(), (np.arange(many) + rng.random(many)) / many)
    where = np.minimum(where, len(triangles) - 1)
    weight = rng.dirichlet((1, 1, 1), many)[..., None]
    corner = triangles[where]
    root = (points[corner] * weight).sum(axis=1)
    normal = (normals[corner] * weight).sum(axis=1)
    density = smoothstep(0.50, 0.60, (field[corner] * weight[..., 0]).sum(axis=1))
    grows = np.flatnonzero(rng.random(many) < density)
    chosen = _spread(root[grows], style.count, rng)
    ids = grows[chosen]
    return root[ids], normal[ids] / np.linalg.norm(normal[ids], axis=1, keepdims=True)


def _spread(points: Float, count: int, rng: np.random.Generator) -> npt.NDArray:
    """Ids of about `count` points, evenly spread: one a cell of a grid whose cells fit the number."""
    if len(points) <= count:
        return np.arange(len(points))
    order = rng.permutation(len(points))
    low, high = 0.001, 0.05
    for _ in range(18):
        cell = (low + high) / 2
        _, first = np.unique(np.floor(points[order] / cell).astype(np.int64), axis=0, return_index=True)
        low, high = (cell, high) if len(first) > count else (low, cell)
    return order[first]


def _flow(style: str, points: Float, landmarks: npt.NDArray) -> Flow:
    """Direction field of a style: (points, normals) -> directions, not yet tangent."""
    top = points[points[:, 2].argmax()]
    skull = points[points[:, 2] > points[landmarks[33], 2]]
    crown = np.array([0.012, skull[:, 1].max() - 0.055, top[2] - 0.004])
    if style == "bob":
        return _parted(float(top[2]), float(points[landmarks[[0, 16]], 1].mean()))
    if style == "bun":
        knot = _knot(points)
        return lambda p, n: knot - p
    if style == "crop":
        return lambda p, n: n * 0.9 + (p - crown) / 0.1

    def whorl(p: Float, n: Float) -> Float:
        away = p - crown
        away = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
        swirl = np.stack([-away[:, 1], away[:, 0], np.zeros(len(p))], axis=1)
        front = smoothstep(0.0, -0.05, p[:, 1:2] - (crown[1] - 0.05))
        low = smoothstep(top[2] - 0.045, top[2] - 0.11, p[:, 2:])
        sweep = front * (1 - low) * np.array([0.8, 0.1, 0.3])
        return away + 0.35 * swirl * (1 - low) + sweep + low * np.array([0, 0.55, -0.5])

    return whorl


def _parted(top: float, temple: float) -> Flow:
    """From a parting to both sides, swept off the face, then down. temple: y of the hair's front edge."""

    def parted(p: Float, n: Float) -> Float:
        side = np.tanh((p[:, :1] - 0.020) / 0.006)
        down = np.clip((top - p[:, 2:]) / 0.075, 0, 1)
        front = smoothstep(temple - 0.020, temple - 0.055, p[:, 1:2])
        x = side * (1 - 0.85 * down) + 0.9 * side * front
        y = 0.22 + 0.10 * down + 1.5 * front
        z = -0.25 - 1.4 * down * (1 - 0.75 * front)
        return np.concatenate([x, y, z], axis=1)

    return parted


def _ends(style: str, points: Float, landmarks: npt.NDArray, ears: Float) -> Callable[[Float, Float], npt.NDArray]:
    """Where locks stop growing: (points, one random number each) -> (n,) bool."""
    chin = float(points[landmarks[8], 2])
    if style == "bob":
        return lambda p, r: p[:, 2] < chin - 0.004 + 0.007 * r
    if style == "bun":
        knot = _knot(points)
        return lambda p, r: np.linalg.norm(p - knot, axis=1) < 0.031
    centres = [points[(ears > 0.5) & (points[:, 0] * sign > 0)].mean(axis=0) for sign in (-1, 1)]
    radii = np.array([0.024, 0.025, 0.034])
    return lambda p, r: np.min([np.linalg.norm((p - c) / radii, axis=1) for c in centres], axis=0) < 1


def _knot(points: Float) -> Float:
    top = points[points[:, 2].argmax()]
    skull = points[points[:, 2] > top[2] - 0.12]
    return np.array([0.0, skull[:, 1].max() - 0.012, top[2] - 0.030])


def _grow(
    surface: HeadSurface,
    roots: Float,
    normals: Float,
    style: _Style,
    flow: Flow,
    ends: Callable[[Float, Float], npt.NDArray],
    rng: np.random.Generator,
) -> Locks:
    """Let locks grow step by step along the flow, kept at their height over the head."""
    count, segments = len(roots), style.segments
    high = roots[:, 2].max()
    sides_short = 1.0 if style.hang or segments > 8 else smoothstep(high - 0.16, high - 0.05, roots[:, 2])
    length = rng.uniform(*style.length, count) * (0.5 + 0.5 * sides_short)
    step = (length / segments)[:, None]
    lift = style.lift * rng.uniform(0.45, 1.15, count) * (0.55 + 0.45 * sides_short)
    bias, chance = rng.normal(0, style.stray, (count, 3)), rng.normal(0, 1, count)
    upright = segments <= 2
    free_below = high - 0.125  # about the height of the ear holes
    position: Float = roots - 0.0005 * normals
    normal = normals
    heading: Float = _unit(flow(position, normal)) + bias
    heading = _unit(heading) if upright else _tangent(heading, normal)
    path, ups, done = [position], [normal], ends(position, chance)
    for k in range(1, segments + 1):
        t = k / segments
        wish = _unit(flow(position, normal)) + bias + rng.normal(0, 0.5 * style.stray, (count, 3))
        heading = _unit(0.45 * heading + 0.55 * (wish if upright else _tangent(wish, normal)))
        free = style.hang & ((normal[:, 2] < -0.25) | (position[:, 2] < free_below))
        heading[free] = _unit(0.35 * heading[free] + 0.65 * (np.array([0, 0.04, -1.0]) + 0.4 * bias[free]))
        moved = position + step * heading
        _, normal, height = surface.nearest(moved)
        goal = lift * min(1.0, 2.2 * t) * (1.0 if style.hang or t < 0.7 else 1.25 - 0.36 * t)
        push = np.where(free, np.clip(0.5 * goal - height, 0, 0.004), np.clip(goal - height, -0.004, 0.02))
        moved = moved + normal * push[:, None]
        position = np.where(done[:, None], position, moved)
        done |= ends(position, chance)
        path.append(position)
        ups.append(normal)
    widths = style.width * rng.uniform(0.65, 1.2, count)
    paths, normals_ = np.stack(path, 1), np.stack(ups, 1)
    grown = np.linalg.norm(paths[:, -1] - paths[:, 0], axis=1) > 0.3 * style.length[0]
    return _locks(paths[grown], normals_[grown], widths[grown], (0.28, 1.0, 0.85, 0.08))


def _locks(path: Float, ups: Float, widths: Float, taper: tuple[float, float, float, float]) -> Locks:
    """Even out the steps along each path (locks that ended early have stood still) and give it sides and widths."""
    count, steps = path.shape[:2]
    travelled = np.linalg.norm(np.diff(path, axis=1), axis=-1)
    along = np.concatenate([np.zeros((count, 1)), np.cumsum(travelled + 1e-9, axis=1)], axis=1)
    even = np.linspace(0, 1, steps) * along[:, -1:]
    after = np.clip((along[:, None, :] <= even[:, :, None]).sum(axis=-1), 1, steps - 1)
    row = np.arange(count)[:, None]
    t = ((even - along[row, after - 1]) / (along[row, after] - along[row, after - 1]))[..., None].clip(0, 1)
    path = path[row, after - 1] * (1 - t) + path[row, after] * t
    ups = _unit(ups[row, after - 1] * (1 - t) + ups[row, after] * t)
    sides = _unit(np.cross(np.gradient(path, axis=1), ups))
    profile = np.interp(np.linspace(0, 1, steps), [0, 0.25, 0.7, 1], taper)
    return Locks(path, sides, ups, widths[:, None] * profile)


def _bun(points: Float, rng: np.random.Generator) -> Locks:
    """Locks wound around a knot at the back of the crown."""
    axis = np.array([0.0, 0.75, 0.66])
    centre, radius = _knot(points) + axis * 0.012, 0.031
    count, segments = 130, 12
    first = np.cross(axis, [1.0, 0, 0])
    second = np.cross(axis, first)
    phase, height = rng.uniform(0, 2 * np.pi, count), rng.uniform(-0.6, 0.97, count)
    turn = np.linspace(0, 2.0, segments + 1)[None]
    angle = phase[:, None] + turn
    level = np.clip(height[:, None] + 0.10 * np.sin(angle + 1.0) + 0.05 * turn, -0.9, 0.99)
    ring = np.sqrt(1 - level**2)
    out = (
        (ring * np.cos(angle))[..., None] * first + (ring * np.sin(angle))[..., None] * second + level[..., None] * axis
    )
    out = out / np.linalg.norm(out, axis=-1, keepdims=True)
    path = centre + out * (radius * (1 + rng.uniform(-0.07, 0.07, (count, 1, 1)))) * np.array([1.12, 1.0, 1.0])
    return _locks(path, out, 0.010 * rng.uniform(0.7, 1.2, count), (0.3, 1.0, 1.0, 0.2))


def _unit(vectors: Float) -> Float:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _tangent(vectors: Float, normals: Float) -> Float:
    flat = vectors - (vectors * normals).sum(axis=1, keepdims=True) * normals
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)


def _ribbons(locks: Locks) -> tuple[npt.NDArray, Float, Float]:
    """Ribbons with a raised middle: three vertices a step. Returns quads, vertices, corner UVs."""
    count, steps = locks.paths.shape[:2]
    half = 0.5 * locks.widths[..., None]
    paths, sides, ups = locks.paths, locks.sides, locks.ups
    rows = np.stack([paths - sides * half, paths + ups * (0.55 * half), paths + sides * half], axis=2)  # (n, s, 3, 3)
    vertex = np.arange(count * steps * 3).reshape(count, steps, 3)
    a, b = vertex[:, :-1, :-1], vertex[:, :-1, 1:]
    c, d = vertex[:, 1:, 1:], vertex[:, 1:, :-1]
    quads = np.stack([a, b, c, d], axis=-1).reshape(-1, 4)
    across = np.broadcast_to(np.array([0.0, 0.5, 1.0]), (count, steps, 3))
    along = np.broadcast_to(np.linspace(0, 1, steps)[None, :, None], (count, steps, 3))
    uv = np.stack([across, along], axis=-1).reshape(-1, 2)
    return quads, rows.reshape(-1, 3), uv[quads.ravel()]
