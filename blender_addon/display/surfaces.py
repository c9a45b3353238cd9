# SPDX-License-Identifier: GPL-3.0-or-later
"""Which triangle of a base mesh lies under each triangle captured from its subdivision. No bpy: arrays only."""

from __future__ import annotations

import time
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from mathutils import Vector
from mathutils.bvhtree import BVHTree

from .._interchange import cameras

Array = npt.NDArray[Any]

_MOST_LEVELS = 6
_POINTS, _TRIANGLES = 256, 1 << 17  # looked up, or put into a tree, between two pauses


@attrs.frozen(eq=False)
class Shape:
    """What is asked of an object's own mesh."""

    vertices: int
    sizes: Array  # (P,) corners of each polygon
    corners: Array  # (T, 3) vertices of its triangles
    owner: Array  # (T,) polygon of each triangle


@attrs.frozen(eq=False)
class Candidates:
    """The triangles of each polygon of a base mesh, and the polygon under each captured triangle."""

    first: Array  # (P,)
    count: Array  # (P,)
    polygon_of_face: Array  # (F,)


def base_triangles(shape: Shape, own: Array, places: Array) -> tuple[Candidates, int] | None:
    """How captured triangles (F, 3) of vertices at `places` (V, 3) lie on those of a mesh, and how many vertices it has
    without its subdivision (-1 if it has none); None if what was captured is no subdivision of it.
    """
    sizes = shape.sizes
    if shape.vertices > len(places) or not len(sizes):
        return None
    for level in range(_MOST_LEVELS + 1):
        quads = np.where(sizes == 4, 4**level, sizes * 4 ** max(level - 1, 0))
        each = sizes - 2 if level == 0 else 2 * quads  # triangles that a polygon became
        if each.sum() == len(own):
            break
    else:
        return None
    first = np.searchsorted(shape.owner, np.arange(len(sizes)))
    under = np.repeat(np.arange(len(sizes)), each)
    if not _lies_on(own, places, shape.corners, shape.owner, under, len(sizes)):
        return None
    return Candidates(first, sizes - 2, under), shape.vertices if level else -1


def _lies_on(own: Array, places: Array, corners: Array, owner: Array, under: Array, polygons: int) -> bool:
    """Whether the middle of the captured triangles over a polygon is near the polygon's own, for all but a few."""
    size = np.zeros(polygons)
    np.maximum.at(size, owner, np.ptp(places[corners], axis=1).max(axis=1))

    def middles(triangles: Array, of: Array) -> Array:
        total = np.stack(
            [np.bincount(of, places[triangles][:, :, k].mean(axis=1), polygons) for k in range(3)], axis=1
        )
        return total / np.maximum(np.bincount(of, minlength=polygons), 1)[:, None]

    apart = np.linalg.norm(middles(own, under) - middles(corners, owner), axis=1)
    return bool((apart <= 0.5 * size + 1e-9).mean() > 0.99)


def best_triangle(candidates: Candidates, corners: Array, places: Array, polygon: Array, points: Array) -> Array:
    """(M,) of each point's polygon the triangle that it lies in, or is least outside of."""
    best, score = np.zeros(len(points), np.int64), np.full(len(points), -np.inf)
    for turn in range(int(candidates.count.max())):
        triangle = candidates.first[polygon] + np.minimum(turn, candidates.count[polygon] - 1)
        inside = barycentric(places[corners[triangle]], points).min(axis=1)
        better = inside > score
        best[better], score[better] = triangle[better], inside[better]
    return best


def barycentric(triangles: Array, points: Array) -> Array:  # (M, 3, 3), (M, 3)
    """(M, 3) of the points' feet on the triangles' planes; far outside where a triangle has no area."""
    edge_1, edge_2 = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    across = np.cross(edge_1, edge_2)
    doubled = np.einsum("ij,ij->i", across, across)
    offset = points - triangles[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        second = np.einsum("ij,ij->i", np.cross(offset, edge_2), across) / doubled
        third = np.einsum("ij,ij->i", np.cross(edge_1, offset), across) / doubled
    result = np.stack([1 - second - third, second, third], axis=1)
    return np.where(np.isfinite(result), result, -1e9)


def across(triangles: Array) -> Array:
    return np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])


def first_vertices(mesh: Any, parts: int) -> Array:
    """(parts + 1,) where the vertices of each part begin: behind the last one that the part before it uses."""
    starts = np.zeros(parts + 1, np.int64)
    for number in range(parts):
        used = mesh.faces[mesh.face_object == number]
        starts[number + 1] = used.max() + 1 if len(used) else starts[number]
    starts[parts] = len(mesh.vertices)
    return starts


def nearest(mesh: Any, means: Array) -> tuple[Array, Array]:
    """The captured triangle nearest to splats that were born on none, and their feet on it."""
    vertices, faces = _listed(mesh.vertices), _listed(mesh.faces)
    points = means @ cameras.SPLAT_FROM_BLENDER  # the inverse, since these are rows
    found, distance = np.zeros(len(points), np.int64), np.full(len(points), np.inf)
    for first in range(0, len(faces), _TRIANGLES):
        tree = BVHTree.FromPolygons(vertices, faces[first : first + _TRIANGLES], all_triangles=True)
        for start in range(0, len(points), _POINTS):
            part = slice(start, start + _POINTS)
            hits = [tree.find_nearest(Vector(point))[2:] for point in points[part].tolist()]
            index, away = (np.array(values) for values in zip(*hits, strict=True))
            closer = away < distance[part]
            found[part][closer], distance[part][closer] = index[closer] + first, away[closer]
            _pause()
    weights = np.clip(barycentric(mesh.vertices[mesh.faces[found]].astype(np.float64), points), 0, 1)
    return found, weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)


def _listed(rows: Array) -> list[Any]:
    """As `tolist`, a part at a time: it holds the interpreter, and Blender could draw no panel meanwhile."""
    listed: list[Any] = []
    for start in range(0, len(rows), 16 * _POINTS):
        listed += rows[start : start + 16 * _POINTS].tolist()
        _pause()
    return listed


def _pause() -> None:
    """Let Blender have the interpreter at once, if it waits for it; else it would get it after 5 ms."""
    time.sleep(1e-4)
