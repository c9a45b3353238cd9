# SPDX-License-Identifier: Apache-2.0
"""What all procedural heads share: the neutral mesh with ears, UVs, landmarks, regions and bone weights."""

from __future__ import annotations

from functools import lru_cache

import attrs
import numpy as np
import numpy.typing as npt

from .ears import ear
from .graph import Faces, Float, Graph, design_normals, edges_of, triangulate
from .layout import FRONT, LOWER_LIP_ROWS, MOUTH_CORNER, MOUTH_Z, UPPER_LIP_ROWS, Ids, Layout, build_layout
from .sculpt import EYE_CENTRE, bell, neutral_head
from .surface import PlainHead

DEFORM_BONES = ("root", "neck", "head", "jaw")
_MIRROR = np.array([-1.0, 1.0, 1.0])


@attrs.frozen(eq=False)
class Anatomy:
    """The neutral head, ears included, in design space (millimetres, x, f, z).

    points: (V, 3). normals: (V, 3). faces: polygons, outward. corner_uvs: one (corners, 2) array a face. mirror: (V,)
    id of each vertex's mirror image. landmarks: (68,). regions: (V,) 0..1 by name. weights: (V, 4) over DEFORM_BONES.
    ears: the ears' vertices, which come last.
    """

    points: Float
    normals: Float
    faces: Faces
    corner_uvs: list[Float]
    mirror: Ids
    landmarks: Ids
    regions: dict[str, Float]
    weights: Float
    layout: Layout
    ears: slice

    @property
    def jaw(self) -> Float:
        """(V,) how much a vertex follows the jaw."""
        return self.weights[:, DEFORM_BONES.index("jaw")]

    @property
    def triangles(self) -> npt.NDArray[np.int64]:
        """Fans (F, 3) of the faces."""
        return triangulate(self.faces)


@lru_cache(maxsize=1)
def build_anatomy() -> Anatomy:
    """The shared head, built once in about a second. Its arrays must not be changed."""
    layout = build_layout()
    head = neutral_head()
    shell, ear_faces, disc = ear(head)
    n, m = len(head), len(shell)
    points = np.concatenate([head, shell, shell * _MIRROR])
    faces = list(layout.faces)
    faces += [tuple(v + n for v in f) for f in ear_faces]
    faces += [tuple(v + n + m for v in f[::-1]) for f in ear_faces]
    mirror = np.concatenate([layout.mirror, n + m + np.arange(m), n + np.arange(m)])
    uvs = _corner_uvs(layout, PlainHead())
    uvs += [_ear_uv(disc[list(f)], 1.0) for f in ear_faces]
    uvs += [_ear_uv(disc[list(f[::-1])], -1.0) for f in ear_faces]
    normals = design_normals(points, triangulate(faces))
    regions = _regions(layout, points, n)
    return Anatomy(points, normals, faces, uvs, mirror, _landmarks(layout, points), regions,
                   _weights(layout, points, n), layout, slice(n, n + 2 * m))


# --- UVs ------------------------------------------------------------------------------------------------------------


def _density_across(arc: Float) -> Float:
    return 0.12 + 0.88 / (1 + np.exp((arc - 128.0) / 7.0))


def _density_down(z: Float) -> Float:
    """Share of texture per millimetre along the midline, by height."""
    knots = [-300.0, -200.0, -178.0, -132.0, -124.0, -114.0, 70.0, 84.0, 119.0]
    shares = [0.11, 0.15, 0.32, 0.36, 0.50, 1.0, 1.0, 0.45, 0.25]
    return np.interp(z, knots, shares)


def uv_map(head: PlainHead, u: Float, v: Float) -> Float:
    """UV (N, 2) of surface parameters; u is signed (-11..11, 0 = midline of the face)."""
    fine_v = np.linspace(0, head.rows - 1.0, 3000)
    line = head.evaluate(np.zeros_like(fine_v), fine_v)
    step = np.linalg.norm(np.diff(line, axis=0), axis=1)
    down = np.concatenate([[0], np.cumsum(step * _density_down(line[1:, 2]))])
    down /= down[-1]
    fine_u = np.linspace(0, 11.0, 1200)
    ring = head.evaluate(fine_u, np.full_like(fine_u, float(np.interp(18.0, -line[900:, 2], fine_v[900:]))))
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    across = np.concatenate([[0], np.cumsum(np.diff(arc) * _density_across(arc[1:]))])
    across /= across[-1]
    height = 1.0 - np.interp(v, fine_v, down)
    share = np.interp(np.abs(u), fine_u, across) * np.sign(u)
    t = np.clip((height - 0.15) / 0.10, 0, 1)
    width = 0.66 + 0.34 * t * t * (3 - 2 * t)
    return np.stack([0.5 + 0.496 * share * width, 0.004 + 0.992 * height], axis=1)


def _corner_uvs(layout: Layout, head: PlainHead) -> list[Float]:
    u = (layout.uv_params[:, 0] + 11.0) % 22.0 - 11.0
    base = uv_map(head, u, layout.uv_params[:, 1])
    for loop in layout.loops.values():
        middle = base[loop.edge].mean(axis=0)
        for number, ring in enumerate(loop.rings):
            t = (number + 1) / (len(loop.rings) + 1.2)
            flat = base[loop.edge] * [0.94, 0] + middle * [0.06, 1]
            toward = flat if loop.kind == "mouth" else middle
            base[ring] = base[loop.edge] * (1 - t) + toward * t
    seam = uv_map(head, np.full(layout.count, 11.0), layout.uv_params[:, 1])
    on_seam = np.abs(np.abs(u) - 11.0) < 1e-6
    out = []
    for face in layout.faces:
        ids = list(face)
        corner = base[ids].copy()
        at_seam = on_seam[ids]
        if face[0] == 0:
            u_mid = u[ids[1]] if abs(u[ids[1]]) > abs(u[ids[2]]) and not at_seam[1] else u[ids[2]]
            if at_seam[2]:
                u_mid = u[ids[1]]
        else:
            u_mid = u[ids][~at_seam].mean() if not at_seam.all() else 1.0
        if at_seam.any():
            side = 1.0 if u_mid > 0 else -1.0
            s = seam[ids]
            corner[at_seam] = np.stack([0.5 + side * (s[at_seam, 0] - 0.5), s[at_seam, 1]], axis=1)
        if face[0] == 0:
            corner[0] = [corner[1:, 0].mean(), 0.996]
        out.append(corner)
    return out


def _ear_uv(disc: Float, side: float) -> Float:
    centre = np.array([0.5 + side * 0.424, 0.076])
    return centre + disc * np.array([-side * 0.098, 0.070])


# --- landmarks ------------------------------------------------------------------------------------------------------

_JAW = [(71, -50, -2), (69.5, -52, -22), (66.5, -51, -42), (62, -48, -60), (56, -44, -78), (47, -37, -94),
        (34, -24, -107), (18, -1, -114.5)]
_BROW = [(10.5, 18.5), (19, 22.0), (29, 23.5), (39, 22), (48, 16.5)]


def _landmarks(layout: Layout, points: Float) -> Ids:
    """68 vertex ids in iBUG order; the character's right comes first (left of the picture)."""
    head = points[: layout.count]
    rings = np.concatenate([loop.rings.ravel() for loop in layout.loops.values()])
    usable = np.ones(layout.count, bool)
    usable[rings] = False

    def nearest(x: float, f: float | None, z: float) -> int:
        d = (head[:, 0] - x) ** 2 + (head[:, 2] - z) ** 2
        d = d + ((head[:, 1] - f) ** 2 if f is not None else np.where(head[:, 1] < -45, 1e6, 0.0))
        return int(np.argmin(np.where(usable, d, np.inf)))

    def middle(z: float) -> int:
        column = layout.grid[:, 0]
        inside = head[column, 1] > -20
        return int(column[np.argmin(np.where(inside, np.abs(head[column, 2] - z), np.inf))])

    mirror = layout.mirror
    left_jaw = [nearest(*p) for p in _JAW]
    jaw = [int(mirror[i]) for i in left_jaw] + [middle(-118.6)] + left_jaw[::-1]
    left_brow = [nearest(x, None, z) for x, z in _BROW]
    brows = [int(mirror[i]) for i in left_brow[::-1]] + left_brow
    bridge = [middle(z) for z in (3.0, -11.0, -25.0, -37.8)]
    wing = [nearest(12.8, 22.0, -47.5), nearest(6.4, 28.0, -49.0)]
    base = [int(mirror[wing[0]]), int(mirror[wing[1]]), middle(-50.0), wing[1], wing[0]]
    loop = layout.loops["eye.L"]
    n = len(loop.edge)
    half = loop.corners[1]
    third = round(half * 0.34)
    eye = [0, third, half - third, half, half + third, n - third]  # inner, upper x2, outer, lower x2
    left_eye = [int(loop.edge[k]) for k in eye]
    right_eye = [int(mirror[left_eye[k]]) for k in (3, 2, 1, 0, 5, 4)]
    return np.array(jaw + brows + bridge + base + right_eye + left_eye + _mouth_landmarks(layout), dtype=np.int64)


def _mouth_landmarks(layout: Layout) -> list[int]:
    nc = layout.grid.shape[1]
    row = int(np.argmin(np.abs(layout.rows - MOUTH_Z)))
    corner = FRONT.index(MOUTH_CORNER)
    peak, outer = 2, corner - 3

    def at(rows: int, column: int) -> int:
        return int(layout.grid[row - rows, column % nc])

    top = [at(UPPER_LIP_ROWS, c) for c in (-outer, -peak, 0, peak, outer)]
    bottom = [at(-LOWER_LIP_ROWS, c) for c in (outer, peak + 1, 0, -peak - 1, -outer)]
    inner = corner - 1
    upper = [at(0, c) for c in (-inner, -4, 0, 4, inner)]
    lower = [layout.lower_copy[at(0, c)] for c in (4, 0, -4)]
    return [at(0, -corner), *top, at(0, corner), *bottom, *upper, *lower]


# --- regions --------------------------------------------------------------------------------------------------------


def _smooth_step(low: float, high: float, value: Float) -> Float:
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def face_coordinates(layout: Layout) -> Float:
    """(count, 2): how far round (mm from the midline at cheek height) and how high (mm, the midline's z) a vertex is.

    Rows and columns, not positions: the row that runs along the jaw has one height.
    """
    head = PlainHead()
    u = (layout.params[:, 0] + 11.0) % 22.0 - 11.0
    fine_u, fine_v = np.linspace(0, 11.0, 600), np.linspace(0, head.rows - 1.0, 1500)
    line = head.evaluate(np.zeros_like(fine_v), fine_v)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    eyes = float(np.interp(0.0, -line[450:, 2], along[450:]))
    ring = head.evaluate(fine_u, np.full_like(fine_u, float(np.interp(18.0, -line[450:, 2], fine_v[450:]))))
    arc = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(ring, axis=0), axis=1))])
    return np.stack([np.interp(np.abs(u), fine_u, arc), eyes - np.interp(layout.params[:, 1], fine_v, along)], axis=1)


def _regions(layout: Layout, points: Float, n: int) -> dict[str, Float]:
    total = len(points)
    across, high = face_coordinates(layout).T
    x, _, z = points[:n].T
    face = np.zeros(total)
    reach = np.where(high > -20.0, 96.0, 112.0)
    radius = (np.clip(across / 104.0, 0, None) ** 2.8 + (np.abs(high + 20.0) / reach) ** 2.8) ** (1 / 2.8)
    face[:n] = 1 - _smooth_step(0.84, 1.0, radius)
    lips = np.zeros(total)
    nc = layout.grid.shape[1]
    row = int(np.argmin(np.abs(layout.rows - MOUTH_Z)))
    corner = FRONT.index(MOUTH_CORNER)
    columns = [c % nc for c in range(-corner + 1, corner)]
    lips[layout.grid[row - UPPER_LIP_ROWS + 1 : row + LOWER_LIP_ROWS, :][:, columns]] = 1.0
    lips[layout.grid[[row - UPPER_LIP_ROWS, row + LOWER_LIP_ROWS], :][:, columns]] = 0.5
    mouth = layout.loops["mouth"]
    lips[mouth.edge] = 1.0
    lips[list(mouth.corners)] = 0.5
    lips[mouth.rings[:2]] = 1.0
    brows = np.zeros(total)
    a = np.abs(x)
    for (x0, z0), (x1, z1) in zip(_BROW[:-1], _BROW[1:], strict=True):
        for t in (0.0, 0.33, 0.67):
            brows[:n] = np.maximum(brows[:n], bell(a, z, x0 + t * (x1 - x0), z0 + t * (z1 - z0), 4.6, 4.2))
    brows[:n][points[:n, 1] < -40] = 0.0
    inside = np.zeros(total)
    for ring, value in zip(mouth.rings, (0.5, 0.7, 1.0, 1.0, 1.0), strict=True):
        inside[ring] = value
    _, f, _ = points[:n].T
    hole = np.exp(-(((a - 7.0) / 3.0) ** 2) - ((f - 31.5) / 5.5) ** 2 - ((z + 42.0) / 2.4) ** 2)
    inside[:n] = np.maximum(inside[:n], np.clip(1.9 * hole - 0.35, 0, 1))
    ears = np.zeros(total)
    ears[n:] = 1.0
    rims = np.zeros(total)
    for kind in ("eye.L", "eye.R"):
        rims[layout.loops[kind].edge] = 0.6
        rims[layout.loops[kind].rings] = 1.0
    return {"face": face, "lips": lips, "brows": np.clip(brows, 0, 1), "mouth": inside, "ears": ears, "lid_rims": rims}


# --- weights --------------------------------------------------------------------------------------------------------


def _weights(layout: Layout, points: Float, n: int) -> Float:
    """(V, 4) weights over DEFORM_BONES, rows sum to 1."""
    x, f, z = points.T
    slope = z + 0.28 * (f + 85.0)  # the base of the skull lies higher than the chin
    head = _smooth_step(-150.0, -98.0, slope)
    head = np.maximum(head, _smooth_step(-128.0, -118.0, z) * (f > -42))
    head[n:] = 1.0
    bust = 1 - _smooth_step(-212.0, -168.0, z)
    jaw = np.zeros(len(points))
    jaw[:n] = _jaw_weights(layout, points[:n])
    rest = 1 - jaw
    head, neck = head * rest, (1 - head) * rest
    return np.stack([neck * bust, neck * (1 - bust), head, jaw], axis=1)


def _jaw_weights(layout: Layout, points: Float) -> Float:
    """1 on the lower lip and the chin, fading over cheeks and throat; the mouth's slit parts it from the upper lip."""
    x, f, z = points.T
    nc = layout.grid.shape[1]
    row = int(np.argmin(np.abs(layout.rows - MOUTH_Z)))
    corner = FRONT.index(MOUTH_CORNER)
    mouth = layout.loops["mouth"]
    value = np.zeros(layout.count)
    fixed = np.zeros(layout.count, bool)
    edge_line = -30.0 - 0.35 * (f - 10.0)  # from the nose's wings to the ear's lobe
    still = (z > -54.0) & (np.abs(x) < 30.0) | (z > -26.0) | (f < -88.0) | (z < -160.0)
    still |= (z > edge_line + 6) & (f < -55.0)
    fixed[still] = True
    bone = (z < -84.0) & (f > -42.0) & (z > -121.0) & (np.abs(x) < 46.0)
    fixed[bone], value[bone] = True, 1.0
    columns = [c % nc for c in range(-corner + 1, corner)]
    upper, lower = layout.grid[row - 4 : row + 1, :][:, columns], layout.grid[row + 1 : row + 5, :][:, columns]
    copies = np.array([layout.lower_copy[int(v)] for v in layout.grid[row, columns]])
    sideways = np.abs(np.arange(-corner + 1, corner)) / corner  # towards the corners both lips share the movement
    fixed[upper], value[upper] = True, 0.40 * sideways**4
    for ids in (lower, copies[None]):
        fixed[ids], value[ids] = True, 1.0 - 0.58 * sideways**3
    for position in mouth.corners:
        fixed[mouth.edge[position]], value[mouth.edge[position]] = True, 0.42
    rings = np.concatenate([loop.rings.ravel() for loop in layout.loops.values()])
    fixed[rings], value[rings] = True, 0.0
    graph = Graph(layout.count, edges_of([fc for fc in layout.faces if max(fc) < rings.min()]))
    solved = graph.harmonic(fixed, value[:, None])
    soft = graph.smooth(solved, 6, 0.5)[:, 0]
    lips = np.concatenate([mouth.edge, upper.ravel(), lower.ravel()])
    keep = np.zeros(layout.count, bool)
    keep[lips] = True
    soft = np.where(keep, solved[:, 0], soft)
    soft[rings] = soft[layout.parent[rings]]
    return np.clip(soft, 0.0, 1.0)


def eye_centres() -> Float:
    """(2, 3) neutral eyeball centres, the character's left first."""
    return np.stack([EYE_CENTRE, EYE_CENTRE * _MIRROR])
