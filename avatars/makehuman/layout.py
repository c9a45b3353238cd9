# SPDX-License-Identifier: Apache-2.0
"""The head's fixed topology: which part of the base mesh is kept, how it is cut, and where its UVs go.

Everything here depends on the base mesh alone, so all identities share vertices, faces and UVs.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import numpy as np
import numpy.typing as npt

from .files import Obj, blender_from_makehuman

Float = npt.NDArray[np.floating]
Int = npt.NDArray[np.int64]

_BUST_HEIGHT, _BUST_RADII = 0.640, (0.135, 0.110)
"""Metres on the base mesh: below this height, what lies in this half ellipse (x, z) seen from the front is kept."""
_BUST_SLOPE = 0.45
"""How much higher the cut lies towards the back; it also spares the back's UV islands."""
_CAP_BOX = (0.895, 0.012, 0.985, 0.066)
"""Where the closed underside of the bust lies in the texture: free of islands."""


@attrs.frozen(eq=False)
class Blend:
    """Vertices as blends of two base vertices: position = (1 - t) base[first] + t base[second]. Each (n,)."""

    first: Int
    second: Int
    t: Float

    def __call__(self, values: npt.NDArray) -> npt.NDArray:  # (V, ...) per base vertex
        """Base values carried over: (n, ...)."""
        t = self.t.reshape(-1, *[1] * (values.ndim - 1))
        return values[self.first] * (1 - t) + values[self.second] * t


@attrs.frozen(eq=False)
class HeadLayout:
    """The cut head: how its vertices come from base vertices, its faces, and UVs per face corner (in face order).

    new_id: base vertex -> head vertex, -1 where cut away. The last faces close the bust from below.
    """

    blend: Blend
    faces: list[list[int]]
    uvs: Float  # (corners, 2)
    base_face: Int  # (F,) index of the face in the base OBJ, -1 for the closed underside
    new_id: Int

    def base_uvs(self, base: Obj) -> Float:
        """A UV of each vertex in the base mesh's own layout: (V, 2)."""
        result = np.zeros((len(self.blend.t), 2))
        for face, index in self._of_base():
            corners = base.uvs[base.face_uvs[index]]
            result[face] = corners if len(corners) == len(face) else corners.mean(axis=0)
        return result

    def rim(self) -> set[frozenset[int]]:
        """Edges between the skin and the closed underside; they stay sharp when the mesh is subdivided."""
        edges = [[frozenset(edge) for edge in zip(f, f[1:] + f[:1], strict=True)] for f in self.faces]
        cap = {e for es, i in zip(edges, self.base_face, strict=True) if i < 0 for e in es}
        return cap & {e for es, i in zip(edges, self.base_face, strict=True) if i >= 0 for e in es}

    def inside(self, base: Obj) -> Int:
        """Vertices of the mouth's cavity and of the eye sockets behind the lids, which have islands of their own."""
        found: set[int] = set()
        for face, index in self._of_base():
            u, v = base.uvs[base.face_uvs[index]].mean(axis=0)
            if (u < 0.155 and 0.53 < v < 0.65) or (u > 0.75 and v < 0.145):
                found.update(face)
        return np.array(sorted(found), np.int64)

    def _of_base(self) -> Iterator[tuple[list[int], int]]:
        """Faces that come from the base mesh, with their index there."""
        return ((f, int(i)) for f, i in zip(self.faces, self.base_face, strict=True) if i >= 0)


def cut_head(base: Obj) -> HeadLayout:
    """Clip the body faces of the base mesh to the bust and lay out the UVs."""
    points = blender_from_makehuman(base.vertices)
    slope = _BUST_SLOPE * np.maximum(points[:, 1] + 0.03, 0)
    drop = np.minimum(points[:, 2] - slope - _BUST_HEIGHT, 0)
    height = 1 - np.hypot(points[:, 0] / _BUST_RADII[0], drop / _BUST_RADII[1])
    clipper = _Clipper(np.where(np.abs(height) < 0.02, np.abs(height), height))
    for index, (group, face, corners) in enumerate(zip(base.groups, base.faces, base.face_uvs, strict=True)):
        if group == "body":
            clipper.add(index, face, base.uvs[corners])
    return clipper.finish(points)


class _Clipper:
    """Sutherland-Hodgman against one scalar field; cut vertices are shared between the faces of an edge."""

    def __init__(self, height: Float) -> None:
        self._height = height
        self._faces: list[list[tuple[int, int]]] = []
        self._uvs: list[Float] = []
        self._origin: list[int] = []

    def add(self, index: int, face: list[int], uvs: Float) -> None:
        inside = self._height[face] >= 0
        if not inside.any():
            return
        polygon, corners = [], []
        for k, vertex in enumerate(face):
            after = (k + 1) % len(face)
            if inside[k]:
                polygon.append((vertex, vertex))
                corners.append(uvs[k])
            if inside[k] != inside[after]:
                keep, drop = (k, after) if inside[k] else (after, k)
                t = self._fraction(face[keep], face[drop])
                polygon.append((face[keep], face[drop]))
                corners.append(uvs[keep] * (1 - t) + uvs[drop] * t)
        if len(polygon) >= 3:
            self._faces.append(polygon)
            self._uvs.append(np.array(corners))
            self._origin.append(index)

    def _fraction(self, keep: int, drop: int) -> float:
        return float(self._height[keep] / (self._height[keep] - self._height[drop]))

    def finish(self, points: Float) -> HeadLayout:  # (V, 3) base vertices
        """Number the kept vertices: originals first, in the base mesh's order, then the cut ones; close the cut."""
        used = sorted({key for face in self._faces for key in face}, key=lambda key: (key[0] != key[1], key))
        number = {key: i for i, key in enumerate(used)}
        pairs = np.array(used, np.int64)
        t = np.array([0.0 if a == b else self._fraction(a, b) for a, b in used])
        new_id = np.full(len(points), -1, np.int64)
        whole = pairs[:, 0] == pairs[:, 1]
        new_id[pairs[whole, 0]] = np.flatnonzero(whole)
        faces = [[number[key] for key in face] for face in self._faces]
        blend = Blend(pairs[:, 0], pairs[:, 1], t)
        kept = blend(points)
        ladders = [_ladder(rim, kept) for rim in _rims(faces, ~whole)]
        cap = [face for rungs, _ in ladders for face in rungs]
        uvs = [remap_uvs(c) for c in self._uvs] + [_box(c[:, 0], c[:, 1], (0, 0, 1, 1), _CAP_BOX) for _, c in ladders]
        origin = np.array(self._origin + [-1] * len(cap))
        return HeadLayout(blend, faces + cap, np.concatenate(uvs), origin, new_id)


def _rims(faces: list[list[int]], is_cut: npt.NDArray) -> list[list[int]]:  # (V,) bool
    """Closed loops of open edges between cut vertices, in the direction that faces closing them have."""
    edges = {(a, b) for face in faces for a, b in zip(face, face[1:] + face[:1], strict=True)}
    after = {b: a for a, b in edges if (b, a) not in edges and is_cut[a] and is_cut[b]}
    loops = []
    while after:
        start, vertex = after.popitem()
        loop = [start]
        while vertex != start:
            loop.append(vertex)
            vertex = after.pop(vertex)
        loops.append(loop)
    return loops


def _ladder(loop: list[int], points: Float) -> tuple[list[list[int]], Float]:
    """Fill a loop that is symmetric about x = 0 with rungs from side to side, beginning at its front.

    Returns the faces, and UVs of their corners in the unit square: a strip, whatever the loop's shape.
    """
    front = int(np.argmin(points[loop, 1] + np.abs(points[loop, 0])))
    around = loop[front:] + loop[:front]
    count, half = len(around), len(around) // 2
    at = {0: (0.5, 0.0)}  # place in `around` -> UV
    at |= {i: (1.0, i / half) for i in range(1, half)} | {count - i: (0.0, i / half) for i in range(1, half)}
    at[half] = (0.5, 1.0) if count % 2 == 0 else (1.0, 1.0)
    if count % 2:
        at[half + 1] = (0.0, 1.0)
    places = [[count - 1, 0, 1]]
    places += [[count - i - 1, count - i, i, i + 1] for i in range(1, (count - 1) // 2)]
    if count % 2 == 0:
        places.append([half + 1, half - 1, half])
    uvs = np.array([at[k] for face in places for k in face])
    return [[around[k] for k in face] for face in places], uvs


def remap_uvs(uvs: Float) -> Float:  # (k, 2), corners of one face
    """From the body's layout to the head's: the face island turned upright, its middle enlarged; neck, eye sockets
    and mouth in the lower strip. A fixed map of each island, one to one, so nothing folds.
    """
    u, v = uvs[:, 0], uvs[:, 1]
    middle_u, middle_v = float(u.mean()), float(v.mean())
    if middle_u > 0.625 and 0.145 < middle_v < 0.82:
        across = _enlarge((v - 0.484) / 0.337, 1.9, 0.30)
        top, up, bottom = (
            _enlarge((0.862 - edge) / 0.235, 0.9, 0.55) for edge in (np.array(0.626), u, np.array(0.9945))
        )
        return np.stack([0.5 + 0.488 * across, 0.25 + (up - bottom) / (top - bottom) * 0.738], axis=1)
    if middle_u < 0.08 and 0.53 < middle_v < 0.65:
        return _box(u, v, (0.0105, 0.546, 0.078, 0.634), (0.640, 0.020, 0.755, 0.225))
    if middle_u < 0.155 and 0.53 < middle_v < 0.65:
        return _box(u, v, (0.085, 0.546, 0.1525, 0.634), (0.765, 0.020, 0.880, 0.225))
    if middle_u > 0.75 and middle_v < 0.145:
        return _box(u, v, (0.755, 0.010, 0.925, 0.140), (0.890, 0.075, 0.990, 0.225))
    return _box(u, v, (0.205, 0.727, 0.556, 0.977), (0.012, 0.012, 0.625, 0.232))


def _enlarge(t: Float, strength: float, floor: float) -> Float:
    """Monotone map of -1..1 onto itself that is steep in the middle, with slope at least about `floor` outside."""
    return floor * t + (1 - floor) * np.tanh(strength * t) / np.tanh(strength)


def _box(u: Float, v: Float, source: tuple[float, ...], goal: tuple[float, ...]) -> Float:
    scale_u = (goal[2] - goal[0]) / (source[2] - source[0])
    scale_v = (goal[3] - goal[1]) / (source[3] - source[1])
    return np.stack([goal[0] + (u - source[0]) * scale_u, goal[1] + (v - source[1]) * scale_v], axis=1)
