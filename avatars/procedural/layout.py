# SPDX-License-Identifier: Apache-2.0
"""The head's topology: a grid of rows and columns around the plain head, slit open at the eyes and the mouth.

Everything here is the same for all identities: vertex ids, faces, UVs, landmarks, mirror pairs. Rows run from the
crown down, columns from the face's midline over the character's left to the back and round. A slit is one row whose
vertices are doubled between two columns; the lower copies are appended after the grid. From each hole's edge loop
rings of vertices lead inwards (the thickness of lids and lips).
"""

from __future__ import annotations

from functools import lru_cache

import attrs
import numpy as np
import numpy.typing as npt

from .graph import Faces, Float, Graph, edges_of
from .surface import PlainHead

Ids = npt.NDArray[np.int64]

# Front columns by x (mm, at the height of the cheeks); 17.5 and 45.5 are the eye's corners, 25 is the mouth's.
FRONT = (0.0, 2.4, 4.8, 7.2, 9.8, 12.4, 15.0, 17.5, 20.0, 22.5, 25.0, 28.0, 31.2, 34.5, 37.7, 40.7, 43.3, 45.5, 48.0,
         51.0, 54.5, 58.5)
SIDE_COLUMNS = 17  # from there to the back's midline
# Rows by z (mm) on the midline, from the hairline to the chin.
ROWS = (66, 58, 50, 43, 37, 32, 28, 24.8, 22, 19.6, 17.3, 15.2, 13.2, 11.3, 9.5, 7.8, 6.2, 4.7, 3.3, 2.0, 0.8, -0.5,
        -1.6, -2.9, -4.3, -5.9, -7.6, -9.4, -11.4, -13.6, -16, -18.5, -21, -23.5, -26, -28.5, -31, -33.4, -35.6, -37.6,
        -39.5, -41.3, -43, -44.6, -46.2, -47.8, -49.6, -51.6, -53.7, -55.7, -57.5, -59.2, -60.8, -62.2, -63.6, -65,
        -66.3, -67.3, -68, -68.8, -70, -71.4, -73, -74.8, -76.6, -78.4, -80.2, -82.2, -84.5, -87, -89.7, -92.6, -95.7,
        -98.8, -101.8, -104.7, -107.5, -110.2, -112.8)
EYE_Z, MOUTH_Z = -0.5, -68.0
EYE_INNER, EYE_OUTER, MOUTH_CORNER = 17.5, 45.5, 25.0
UPPER_LIP_ROWS, LOWER_LIP_ROWS = 6, 7  # rows from the slit to the border of the red
EYE_RINGS, MOUTH_RINGS = 3, 5


def upper_lid(x: Float) -> Float:
    """Height z (mm) of the upper lid's edge over |x| between the eye's corners."""
    t = np.clip((x - EYE_INNER) / (EYE_OUTER - EYE_INNER), 0.0, 1.0)
    return _canthal_line(t) + 5.7 * _bow(t, 0.62, 0.74)


def lower_lid(x: Float) -> Float:
    """Height z (mm) of the lower lid's edge over |x| between the eye's corners."""
    t = np.clip((x - EYE_INNER) / (EYE_OUTER - EYE_INNER), 0.0, 1.0)
    return _canthal_line(t) - 4.5 * _bow(t, 0.92, 0.72)


def _canthal_line(t: Float) -> Float:
    return -2.2 + 3.0 * t


def _bow(t: Float, rise: float, fall: float) -> Float:
    """0 at both ends, 1 at the top; exponents below 1 make the ends blunt."""
    top = rise / (rise + fall)
    return t**rise * (1 - t) ** fall / (top**rise * (1 - top) ** fall)


def mouth_line(x: Float) -> Float:
    """Height z (mm) of the line between the lips: a small tubercle in the middle, corners a little lower."""
    a = np.abs(x) / MOUTH_CORNER
    return MOUTH_Z - 1.0 * np.exp(-((a / 0.2) ** 2)) + 0.7 * np.exp(-(((a - 0.42) / 0.25) ** 2)) - 0.9 * a**3


def upper_lip_border(x: Float) -> Float:
    """Height z (mm) of the upper vermilion border: Cupid's bow with its two peaks."""
    a = np.abs(x) / MOUTH_CORNER
    arch = 7.6 * np.clip(1 - a**1.7, 0, 1) ** 0.95
    return mouth_line(np.sign(x) * MOUTH_CORNER) + arch - 1.7 * np.exp(-((a / 0.13) ** 2)) + 0.3


def lower_lip_border(x: Float) -> Float:
    """Height z (mm) of the lower vermilion border."""
    a = np.abs(x) / MOUTH_CORNER
    return mouth_line(np.sign(x) * MOUTH_CORNER) - 9.3 * np.clip(1 - a**2.3, 0, 1) ** 0.9 - 0.2


@attrs.frozen(eq=False)
class Loop:
    """The edge loop of a hole, and the rings that lead inwards from it.

    kind: "eye.L", "eye.R" or "mouth". edge: (N,) ids, from one corner over the upper edge to the other corner and back
    along the lower edge. upper: (N,) bool. corners: positions in `edge`. rings: (R, N) ids.
    """

    kind: str
    edge: Ids
    upper: npt.NDArray[np.bool_]
    corners: tuple[int, int]
    rings: Ids


@attrs.frozen(eq=False)
class Layout:
    """Topology and UVs of the head without ears; see the module's text.

    params: (V, 2) surface parameters (u, v) of the sculpted layout. uvs: (V, 2) by vertex (the back seam is cut by
    face). seam_faces: ids of faces that straddle u = 1 (their columns beyond the seam take uv + (1, 0) side values).
    """

    grid: Ids
    faces: Faces
    count: int
    params: Float
    uv_params: Float
    mirror: Ids
    loops: dict[str, Loop]
    lower_copy: dict[int, int]
    columns: Float
    rows: Float
    parent: Ids


def _row_parameters(head: PlainHead) -> tuple[Float, Float]:
    """v of each row, and its z on the midline."""
    fine = np.linspace(0.0, head.rows - 1.0, 4000)
    z = head.evaluate(np.zeros_like(fine), fine)[:, 2]
    begin = int(np.argmax(z < 110))  # above, z barely changes
    hairline = float(np.interp(-74.0, -z[begin:], fine[begin:]))
    chin = float(np.interp(112.8, -z[begin:], fine[begin:]))
    crown = np.linspace(0.0, hairline, 11)[1:]
    front = np.interp(-np.array(ROWS), -z[begin:], fine[begin:])
    below = np.concatenate([
        chin + np.array([0.22, 0.45, 0.7, 1.0, 1.4, 1.85, 2.35, 2.9, 3.4]),
        np.linspace(chin + 3.95, head.rows - 1.0, 16),
    ])
    v = np.concatenate([crown, front, below])
    return v, head.evaluate(np.zeros_like(v), v)[:, 2]


def _column_parameters(head: PlainHead) -> Float:
    """u of each column on the left half, midlines included."""
    fine = np.linspace(0.0, 8.0, 2000)
    v_cheek = np.full_like(fine, 10.0)
    x = head.evaluate(fine, v_cheek)[:, 0]
    rising = int(np.argmax(x > 60.0))
    front = np.interp(np.array(FRONT), x[:rising], fine[:rising])
    side = front[-1] + (11.0 - front[-1]) * np.linspace(0, 1, SIDE_COLUMNS + 1)[1:] ** 1.12
    return np.concatenate([front, side])


class _Builder:
    """Collects vertices and faces of the layout."""

    def __init__(self, head: PlainHead) -> None:
        self.head = head
        half = _column_parameters(head)
        self.half = len(half) - 1
        self.u = np.concatenate([half, 22.0 - half[-2:0:-1]])
        self.v, self.z = _row_parameters(head)
        self.nc, self.nr = len(self.u), len(self.v)
        self.grid = 1 + np.arange(self.nr * self.nc).reshape(self.nr, self.nc)
        u, v = np.meshgrid(self.u, self.v)
        self.params = [np.array([[0.0, 0.0]]), np.stack([u.ravel(), v.ravel()], axis=1)]
        self.count = 1 + self.grid.size
        self.lower_copy: dict[int, int] = {}
        self.mirror = np.concatenate([[0], self.grid[:, (-np.arange(self.nc)) % self.nc].ravel()])

    def row(self, z: float) -> int:
        return int(np.argmin(np.abs(self.z - z)))

    def column(self, x: float) -> int:
        return FRONT.index(x)

    def slit(self, kind: str, row: int, columns: list[int]) -> Loop:
        """Double the inner vertices of `columns` in `row`; returns the edge loop (no rings yet)."""
        top = self.grid[row, columns]
        inner = top[1:-1]
        copies = self.count + np.arange(len(inner))
        self.count += len(inner)
        self.params.append(np.stack([self.u[columns[1:-1]], np.full(len(inner), self.v[row])], axis=1))
        self.lower_copy.update({int(a): int(b) for a, b in zip(inner, copies, strict=True)})
        edge = np.concatenate([top, copies[::-1]])
        upper = np.zeros(len(edge), bool)
        upper[1 : len(top) - 1] = True
        return Loop(kind, edge, upper, (0, len(top) - 1), np.zeros((0, len(edge)), np.int64))

    def rings(self, loop: Loop, number: int) -> Loop:
        ids = self.count + np.arange(number * len(loop.edge)).reshape(number, -1)
        self.count += ids.size
        return attrs.evolve(loop, rings=ids)

    def faces(self, slits: dict[int, Ids], loops: list[Loop]) -> Faces:
        out: Faces = [(0, int(self.grid[0, i]), int(self.grid[0, (i + 1) % self.nc])) for i in range(self.nc)]
        for j in range(self.nr - 1):
            for i in range(self.nc):
                k = (i + 1) % self.nc
                a, b = int(self.grid[j, i]), int(self.grid[j, k])
                if j in slits:
                    a, b = self.lower_copy.get(a, a), self.lower_copy.get(b, b)
                out.append((a, int(self.grid[j + 1, i]), int(self.grid[j + 1, k]), b))
        for loop in loops:
            chain = [loop.edge, *loop.rings]
            for outer, inner in zip(chain[:-1], chain[1:], strict=True):
                n = len(outer)
                # The edge runs with growing u above the hole: this winding faces out of the hole.
                out.extend((int(outer[k]), int(inner[k]), int(inner[(k + 1) % n]), int(outer[(k + 1) % n]))
                           for k in range(n))
        return out


@lru_cache(maxsize=1)
def build_layout() -> Layout:
    """The one layout of all procedural heads (cached; about half a second)."""
    head = PlainHead()
    b = _Builder(head)
    eye_row, mouth_row = b.row(EYE_Z), b.row(MOUTH_Z)
    inner, outer, corner = b.column(EYE_INNER), b.column(EYE_OUTER), b.column(MOUTH_CORNER)
    left = b.slit("eye.L", eye_row, list(range(inner, outer + 1)))
    right = b.slit("eye.R", eye_row, [(-c) % b.nc for c in range(inner, outer + 1)])
    mouth = b.slit("mouth", mouth_row, [c % b.nc for c in range(-corner, corner + 1)])
    left, right = b.rings(left, EYE_RINGS), b.rings(right, EYE_RINGS)
    mouth = b.rings(mouth, MOUTH_RINGS)
    loops = {loop.kind: loop for loop in (left, right, mouth)}
    right_flipped = attrs.evolve(right, edge=right.edge[::-1], rings=right.rings[:, ::-1])
    faces = b.faces({eye_row: left.edge, mouth_row: mouth.edge}, [left, right_flipped, mouth])
    mirror = np.concatenate([b.mirror, np.zeros(b.count - len(b.mirror), np.int64)])
    parent = np.arange(b.count)
    for one, other in ((left, right), (right, left)):
        mirror[one.edge], mirror[one.rings] = other.edge, other.rings
    flip = _mirror_order(mouth)
    mirror[mouth.edge], mirror[mouth.rings] = mouth.edge[flip], mouth.rings[:, flip]
    for loop in loops.values():
        parent[loop.rings] = loop.edge[None, :]
    base = np.concatenate(b.params)
    base = np.concatenate([base, base[parent[len(base):]]])
    surface = Graph(b.count, edges_of(faces))
    layout = Layout(b.grid, faces, b.count, base, base, mirror, loops, b.lower_copy, b.u, b.z, parent)
    return attrs.evolve(layout, params=_arranged(head, layout, surface, mouth_gap=0.0),
                        uv_params=_arranged(head, layout, surface, mouth_gap=2.4))


def _mirror_order(loop: Loop) -> Ids:
    """Positions in the mouth's loop of the mirrored vertices."""
    n, last = len(loop.edge), loop.corners[1]
    return np.array([(last - k) % n for k in range(n)])


def _arranged(head: PlainHead, layout: Layout, graph: Graph, mouth_gap: float) -> Float:
    """Parameters (V, 2) after rows and columns were bent around eyes and lips.

    Edges of lids and lips and their borders are pinned where they belong in the front view, the rest follows
    harmonically; `mouth_gap` mm opens the slit (for the UV map, where the lips' inside needs room).
    """
    start = head.evaluate(layout.params[:, 0], layout.params[:, 1])
    half = layout.grid.shape[1] // 2
    fixed = np.ones(layout.count, bool)
    rows = np.nonzero((layout.rows < 45.0) & (layout.rows > -104.0))[0]
    nc = layout.grid.shape[1]
    columns = np.array([c % nc for c in range(-len(FRONT) - 1, len(FRONT) + 2)])
    fixed[layout.grid[np.ix_(rows, columns)]] = False
    fixed[list(layout.lower_copy.values())] = False
    ring_ids = np.concatenate([loop.rings.ravel() for loop in layout.loops.values()])
    pins: dict[int, tuple[float, float]] = {}
    for kind in ("eye.L", "eye.R"):
        loop = layout.loops[kind]
        x = np.abs(start[loop.edge, 0])
        side = 1.0 if kind == "eye.L" else -1.0
        x = np.interp(x, [x.min(), x.max()], [EYE_INNER, EYE_OUTER])
        z = np.where(loop.upper, upper_lid(x), lower_lid(x))
        pins.update({int(v): (side * a, c) for v, a, c in zip(loop.edge, x, z, strict=True)})
    pins.update(_mouth_pins(layout, start, mouth_gap))
    moves = np.zeros((layout.count, 2))
    for vertex, (x_to, z_to) in pins.items():
        fixed[vertex] = True
        moves[vertex] = x_to - start[vertex, 0], z_to - start[vertex, 2]
    fixed[ring_ids] = True
    main = np.array([e for e in edges_of([f for f in layout.faces if max(f) < ring_ids.min()])])
    moves = Graph(layout.count, main).harmonic(fixed, moves)
    moves[layout.grid[:, 0], 0] = 0.0
    moves[layout.grid[:, half], 0] = 0.0
    params = _shifted(head, layout.params, moves)
    params[ring_ids] = params[layout.parent[ring_ids]]
    return params


def _mouth_pins(layout: Layout, start: Float, gap: float) -> dict[int, tuple[float, float]]:
    loop = layout.loops["mouth"]
    nc = layout.grid.shape[1]
    corner = FRONT.index(MOUTH_CORNER)
    row = int(np.argmin(np.abs(layout.rows - MOUTH_Z)))
    reach = abs(float(start[layout.grid[row, corner], 0]))
    pins: dict[int, tuple[float, float]] = {}
    for c in range(-corner, corner + 1):
        top = int(layout.grid[row, c % nc])
        x = float(start[top, 0]) / reach * MOUTH_CORNER
        opening = gap * max(0.0, 1 - (x / MOUTH_CORNER) ** 2)
        line = float(mouth_line(np.array(x)))
        pins[top] = (x, line + opening)
        pins[layout.lower_copy.get(top, top)] = (x, line - opening) if top in layout.lower_copy else (x, line)
        if abs(c) < corner:
            high = float(upper_lip_border(np.array(x)))
            low = float(lower_lip_border(np.array(x)))
            for number, edge in ((UPPER_LIP_ROWS, high), (-LOWER_LIP_ROWS, low)):
                for k in range(1, abs(number) + 1):
                    sign, t = np.sign(number), k / abs(number)
                    height = line + (edge - line) * t + sign * opening
                    pins[int(layout.grid[row - sign * k, c % nc])] = (x, height)
    assert len(loop.edge) == 4 * corner
    return pins


def _shifted(head: PlainHead, params: Float, moves: Float) -> Float:
    """Parameters whose surface points lie `moves` (mm in x, z) from those of `params` (Newton, front side only)."""
    busy = np.abs(moves).sum(axis=1) > 1e-6
    # The right half's parameters run backwards from 22; near the midline they must stay on one sheet.
    at = params[busy].copy()
    target = head.evaluate(at[:, 0], at[:, 1])[:, [0, 2]] + moves[busy]
    h = 1e-3
    for _ in range(4):
        here = head.evaluate(at[:, 0], at[:, 1])[:, [0, 2]]
        du = (head.evaluate(at[:, 0] + h, at[:, 1])[:, [0, 2]] - here) / h
        dv = (head.evaluate(at[:, 0], at[:, 1] + h)[:, [0, 2]] - here) / h
        determinant = du[:, 0] * dv[:, 1] - du[:, 1] * dv[:, 0]
        error = target - here
        at[:, 0] += (error[:, 0] * dv[:, 1] - error[:, 1] * dv[:, 0]) / determinant
        at[:, 1] += (du[:, 0] * error[:, 1] - du[:, 1] * error[:, 0]) / determinant
    out = params.copy()
    out[busy] = at
    return out
