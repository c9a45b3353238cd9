# SPDX-License-Identifier: Apache-2.0
"""Points on a mesh's surface, and what the pictures say about points in space: seen or hidden, and which colour."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import attrs
import cv2
import numpy as np
import numpy.typing as npt

from backend.kernels.observation import add_colours, look_up
from backend.kernels.parameters import morton_order
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.mesh import Mesh, Region

from .dataset import FitView, never, stop_if

Array = npt.NDArray[np.floating]

_R2 = (0.7548776662466927, 0.5698402909980532)  # Roberts' low-discrepancy sequence: 1/g, 1/g^2 with g^3 = g + 1
_FACE_POINTS = np.array([[1, 1, 1], [4, 1, 1], [1, 4, 1], [1, 1, 4]]) / [[3], [6], [6], [6]]
"""Barycentric places at which a triangle's visibility is tested."""
_DENSE_REGIONS = (Region.EYE, Region.MOUTH, Region.LASHES)
_DETAIL_WINDOW = 5  # pixels
_STRETCH = 4096  # points that a thread takes at a time


@attrs.frozen(eq=False)
class Surface:
    """A capture's mesh in the splat frame; degenerate triangles are recognised by `areas` 0."""

    vertices: Array  # (V, 3)
    normals: Array  # (V, 3)
    faces: npt.NDArray[np.int32]  # (F, 3)
    areas: Array  # (F,) square metres, 0 for triangles without a finite, positive area
    face_normals: Array  # (F, 3) unit; zero for degenerate triangles
    face_weight: Array  # (F,) 0..1 how much of the triangle belongs to the face, eyes or mouth


@attrs.frozen(eq=False)
class SurfaceSamples:
    """N points on a surface, along the Morton order of their triangles."""

    points: Array  # (N, 3) splat frame
    normals: Array  # (N, 3) unit
    spacing: Array  # (N,) metres to the next sample, about
    face: npt.NDArray[np.int32]  # (N,) triangle of the mesh
    barycentric: npt.NDArray[np.float32]  # (N, 3) weights of the triangle's corners


def surface_of(mesh: Mesh) -> Surface:
    """Bring a mesh into the splat frame and measure its triangles."""
    vertices = mesh.vertices.astype(np.float64) @ SPLAT_FROM_BLENDER.T
    normals = mesh.normals.astype(np.float64) @ SPLAT_FROM_BLENDER.T
    corners = vertices[mesh.faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(cross, axis=1)
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1, initial=0)
    usable = np.isfinite(length) & (length > 1e-6 * longest**2) & (length > 0)
    areas = np.where(usable, length / 2, 0)
    face_normals = np.where(usable[:, None], cross / np.where(usable, length, 1)[:, None], 0)
    weight = np.clip(mesh.region_face[mesh.faces].mean(axis=1), 0, 1)
    weight = np.where(np.isin(mesh.face_region, _DENSE_REGIONS), 1, weight)
    return Surface(vertices, normals, mesh.faces, areas, face_normals, weight)


def visible_faces(
    surface: Surface, views: list[FitView], cancelled: Callable[[], bool] = never
) -> npt.NDArray[np.bool_]:
    """(F,) True where at least one view sees a triangle, tested at its centre and, failing that, near its corners."""
    seen = np.zeros(len(surface.faces), bool)
    with ThreadPoolExecutor(_threads()) as pool:
        for place in _FACE_POINTS:
            for some in _groups(views, _threads()):  # those after them need not look for what these have seen
                stop_if(cancelled)
                left = np.flatnonzero((surface.areas > 0) & ~seen)
                points = np.einsum("k,nkc->nc", place, surface.vertices[surface.faces[left]])
                normals = surface.face_normals[left]
                for index in pool.map(functools.partial(_seen_by, points, normals), some):
                    seen[left[index]] = True
    return seen


def _seen_by(points: Array, normals: Array, view: FitView) -> npt.NDArray[np.int32]:
    return look_up(points, normals, view.camera, view.alpha, view.depth)[0]


def _threads() -> int:
    """Kernels and numpy's array operations let other threads run."""
    return os.cpu_count() or 1


def _groups(views: list[FitView], size: int) -> list[list[FitView]]:
    return [views[i : i + size] for i in range(0, len(views), size)]


def detail_of_faces(
    surface: Surface, views: list[FitView], cancelled: Callable[[], bool] = never
) -> Array:
    """(F,) how much fine structure the pictures show on each triangle, in units of the mean over the seen area.

    Structure is the length of the brightness's gradient, averaged over a small window: strands of hair, lashes and
    brows have ten times that of a cheek.
    """
    centres = surface.vertices[surface.faces].mean(axis=1)

    def one(view: FitView) -> tuple[npt.NDArray[np.int32], Array, Array]:
        stop_if(cancelled)
        index, uv, _, _, cosine = look_up(centres, surface.face_normals, view.camera, view.alpha, view.depth)
        grey = cv2.cvtColor(view.rgb, cv2.COLOR_RGB2GRAY)
        slopes = [cv2.Scharr(grey, cv2.CV_32F, *axis) for axis in ((1, 0), (0, 1))]
        strength = cv2.blur(cv2.magnitude(*slopes), (_DETAIL_WINDOW, _DETAIL_WINDOW))
        column, row = uv.astype(np.int64).T
        return index, strength[row, column], cosine**2

    total, weights = np.zeros(len(centres)), np.zeros(len(centres))
    with ThreadPoolExecutor(_threads()) as pool:
        for index, strength, weight in pool.map(one, views):
            total[index] += weight * strength
            weights[index] += weight
    seen = (weights > 0) & (surface.areas > 0)
    detail = np.where(seen, total / np.where(seen, weights, 1), 0)
    mean = np.average(detail[seen], weights=surface.areas[seen]) if seen.any() else 0
    return np.where(seen, detail / mean, 1) if mean > 0 else np.ones(len(centres))


def sample_surface(
    surface: Surface, visible: npt.NDArray[np.bool_], count: int, face_density: float, seed: int,
    detail: Array | None = None,
) -> SurfaceSamples:  # fmt: skip
    """`count` points by area (times `face_density` on the face, times `detail` (F,)), on triangles marked visible (F,).

    Systematic resampling along the triangles' Morton order, so that neighbours share the remainders and no patch is
    left bare. The mesh must have at least one visible triangle with an area.
    """
    weight = np.where(visible, 1 + (face_density - 1) * surface.face_weight, 0)
    if detail is not None:
        weight = weight * detail
    mass = weight * surface.areas
    centres = surface.vertices[surface.faces].mean(axis=1)
    usable = np.flatnonzero(mass > 0)
    order = usable[morton_order(centres[usable])]
    cumulative = np.cumsum(mass[order])
    shifts = np.random.default_rng([seed, 0]).random(3)
    steps = (np.arange(count) + shifts[0]) / count * cumulative[-1]
    chosen = order[np.minimum(np.searchsorted(cumulative, steps, side="right"), len(order) - 1)]
    root = np.sqrt((shifts[1] + np.arange(count) * _R2[0]) % 1)  # uniform in a triangle: Turk, Graphics Gems I
    along = (shifts[2] + np.arange(count) * _R2[1]) % 1
    barycentric = np.stack([1 - root, root * (1 - along), root * along], axis=1)
    corners = surface.faces[chosen]
    points = np.einsum("nk,nkc->nc", barycentric, surface.vertices[corners])
    normals = np.einsum("nk,nkc->nc", barycentric, surface.normals[corners])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    sound = np.isfinite(length) & (length > 1e-3)
    normals = np.where(sound, normals / np.where(sound, length, 1), surface.face_normals[chosen])
    spacing = np.sqrt(cumulative[-1] / (count * weight[chosen]))
    return SurfaceSamples(points, normals, spacing, chosen.astype(np.int32), barycentric.astype(np.float32))


@attrs.frozen(eq=False)
class Observation:
    """What one view says about the points that it sees."""

    view: FitView
    index: npt.NDArray[np.int32]  # (n,) which points
    colour: npt.NDArray[np.float32]  # (n, 3) sRGB 0..1, not premultiplied
    weight: npt.NDArray[np.float32]  # (n,) how much it counts: coverage times cosine squared

    def of(self, part: slice) -> tuple[int, int]:
        """Where in the lists the points of a stretch are; `index` is in ascending order."""
        first, last = np.searchsorted(self.index, (part.start, part.stop))
        return int(first), int(last)


def observe(
    points: Array, normals: Array | None, views: list[FitView], cancelled: Callable[[], bool] = never
) -> list[Observation]:
    """Look points (N, 3), with unit normals (N, 3) if they have any, up in all views."""
    def one(view: FitView) -> Observation:
        stop_if(cancelled)
        index, _, colour, alpha, cosine = look_up(points, normals, view.camera, view.alpha, view.depth, view.rgb)
        weight = np.where(alpha > 0.5, alpha, 0) * cosine**2
        return Observation(view, index, colour, weight.astype(np.float32))

    with ThreadPoolExecutor(_threads()) as pool:
        return list(pool.map(one, views))


def mean_colours(count: int, observations: list[Observation]) -> tuple[Array, npt.NDArray[np.bool_]]:
    """Robust mean colour of each of `count` points: (count, 3) sRGB 0..1, and (count,) True where a view saw it.

    In a second pass colours far from the first mean (highlights, slips past an edge) count less, by Cauchy's weight at
    a width of 0.1.
    """
    mean, _ = _mean_colours(np.zeros((count, 3)), observations, robust=False)
    mean, weights = _mean_colours(mean, observations, robust=True)
    return np.clip(mean, 0, 1), weights > 1e-6


def _mean_colours(about: Array, observations: list[Observation], robust: bool) -> tuple[Array, Array]:
    """Mean colours (N, 3) and sums of weights (N,); `about` (N, 3): what colours are far from, if that matters."""
    total, weights = np.zeros_like(about), np.full(len(about), 1e-12)

    def add(part: slice) -> None:
        for seen in observations:
            first, last = seen.of(part)
            add_colours(seen.index, seen.colour, seen.weight, first, last, about, robust, total, weights)

    in_stretches(len(about), add)
    return total / weights[:, None], weights


def in_stretches(count: int, work: Callable[[slice], None]) -> None:
    """`work` on stretches of `count` points, side by side in threads."""
    with ThreadPoolExecutor(_threads()) as pool:
        list(pool.map(work, [slice(i, min(count, i + _STRETCH)) for i in range(0, count, _STRETCH)]))
