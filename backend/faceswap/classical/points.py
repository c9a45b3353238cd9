# SPDX-License-Identifier: Apache-2.0
"""The points by which a photo is pulled over a view: the 68 landmarks, and anchors along the upper rim of the face.

They are vertices of the mesh, so a view shows them where its camera puts them, and its depth says which it hides. Their
triangles are the same in all views: they are laid out once, on a cylinder around the head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy.spatial import Delaunay, QhullError

from backend.kernels.mesh_rasterization import Raster
from interchange.cameras import Camera
from interchange.errors import InputError
from interchange.mesh import Mesh

from ..atlas import vertex_normals
from ..regions import DRAW_REGION, NO_REGION
from ..registration import Registration
from ..source import Photo

Floats = npt.NDArray[Any]
FindPoints = Callable[[Floats, Camera], Floats]
"""(N, 2) pixels at which the mesh puts the points in a view of this camera, to where they are taken to be, (N, 2)."""
_ANCHORS = 15
_RIM = 0.5  # of the face's soft mask: where the anchors stand
_FACING = 0.02  # cosine to the camera below which a point counts as turned away
_ROUNDS = 3  # of dropping triangles that stand alone
_DEPTH_TOLERANCE = 0.004  # metres
_STRETCH = 3.0  # times the usual magnification: beyond that a triangle would smear
_SQUEEZE = 5.0  # times smaller than usual: seen at so much of a slant that what lies between its corners is hidden


@attrs.frozen(eq=False)
class ControlPoints:
    """N points. vertices: (N,) of the mesh. landmark: (N,) whether it is one of the 68. photo: (N, 2) pixels, centres
    at +0.5. triangles: (T, 3), clockwise in a picture of the face. neighbours: (T, 3) triangles that share a
    side, -1 where none does."""

    vertices: npt.NDArray[np.intp]
    landmark: npt.NDArray[np.bool_]
    photo: npt.NDArray[np.float64]
    triangles: npt.NDArray[np.intp]
    neighbours: npt.NDArray[np.intp]


@attrs.frozen(eq=False)
class SeenPoints:
    """The points in a view. pixels: (N, 2). visible: (N,). drawn: (T,) triangles that can be painted: all corners seen,
    not turned over, not stretched. yaw: degrees, positive when the face turns to its left. share: 0..1,
    of the face as the photo shows it, that is drawn."""

    pixels: npt.NDArray[np.float64]
    visible: npt.NDArray[np.bool_]
    drawn: npt.NDArray[np.bool_]
    yaw: float
    share: float


def control_points(mesh: Mesh, photo: Photo, registration: Registration) -> ControlPoints:
    """Choose the points, place them in the photo (landmarks as given, anchors by the registered mesh), join them.

    Raises InputError when they span no face.
    """
    ids = registration.ids
    rest = np.asarray(mesh.rest_vertices, np.float64)
    landmarks, first = np.unique(mesh.landmarks[ids], return_index=True)
    given = np.array([photo.landmarks[int(i)] for i in ids[first]])
    outward = vertex_normals(rest, mesh.faces)[landmarks].mean(0)
    outward[2] = 0
    outward /= max(float(np.linalg.norm(outward)), 1e-9)
    chart = _cylinder(rest, rest[landmarks], outward)
    anchors = np.setdiff1d(_anchors(mesh, chart, chart[landmarks].mean(0)), landmarks)
    vertices = np.concatenate([landmarks, anchors]).astype(np.intp)
    placed = registration.camera.project(registration.vertices[anchors])[0]
    try:
        joined = Delaunay(chart[vertices])
    except QhullError:
        raise InputError(f"The landmarks of {photo.path} lie on one line.", "Place more of the 68 points.") from None
    triangles, neighbours = joined.simplices.astype(np.intp), joined.neighbors.astype(np.intp)
    turned = signed_areas(chart[vertices], triangles) < 0
    triangles[turned] = triangles[turned][:, ::-1]
    is_landmark = np.arange(len(vertices)) < len(landmarks)
    return ControlPoints(vertices, is_landmark, np.concatenate([given, placed]), triangles, neighbours)


def _cylinder(points: Floats, landmarks: Floats, outward: Floats) -> npt.NDArray[np.float64]:
    """(V, 2) x to the right and y down as in a picture of the face, metres, unrolled about an upright axis."""
    right = np.cross([0.0, 0.0, 1.0], outward)
    radius = float(np.ptp(landmarks @ right)) / 2
    away = points - (landmarks.mean(0) - radius * outward)
    turn = np.arctan2(away @ right, away @ outward)
    return np.stack([turn * radius, -away[:, 2]], axis=1)


def _anchors(mesh: Mesh, chart: Floats, middle: Floats) -> npt.NDArray[np.intp]:
    """Vertices on the face's rim above its middle, evenly in angle; below, the jaw's landmarks are the rim."""
    face = np.flatnonzero(mesh.region_face > _RIM)
    if not len(face):
        raise InputError(NO_REGION, DRAW_REGION)
    away = chart[face] - middle
    chosen = []
    for angle in np.linspace(np.radians(5), np.radians(175), _ANCHORS):
        along, across = np.array([np.cos(angle), -np.sin(angle)]), np.array([np.sin(angle), np.cos(angle)])
        near = np.abs(away @ across) < 0.1 * np.maximum(away @ along, 0)
        if near.any():
            chosen.append(face[np.argmax(np.where(near, away @ along, -np.inf))])
    return np.unique(np.array(chosen, np.intp))


def signed_areas(points: Floats, triangles: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:  # (N, 2), (T, 3)
    """(T,) positive where the corners run clockwise on the screen (x right, y down)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area: npt.NDArray[np.float64] = 0.5 * (
        (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    )
    return area


def as_projected(pixels: Floats, camera: Camera) -> Floats:
    """The points where the mesh puts them, which is exact."""
    return pixels


def see_points(
    points: ControlPoints, mesh: Mesh, camera: Camera, raster: Raster, find: FindPoints = as_projected
) -> SeenPoints:
    """Find the points in a view. `raster`: what of the mesh can hide them, one sample a pixel. `find`: where a point
    that is seen is taken to be.

    Hair is not in it: it hides pixels, and their mask says so, but where skin lies under it is known all the same.
    """
    vertices = np.asarray(mesh.vertices, np.float64)[points.vertices]
    pixels, depth = camera.project(vertices)
    towards = camera.position - vertices
    cosine = (mesh.normals[points.vertices] * towards).sum(1) / np.linalg.norm(towards, axis=1)
    visible = (cosine > _FACING) & (depth > 0) & _nearest(pixels, depth, raster)
    pixels = find(pixels, camera)
    before, after = signed_areas(points.photo, points.triangles), signed_areas(pixels, points.triangles)
    seen = visible[points.triangles].all(1) & (before > 0) & (after > 0)
    growth = after / np.maximum(before, 1e-9)
    usual = float(np.sum(after[seen]) / max(float(np.sum(before[seen])), 1e-9)) if seen.any() else 1.0
    drawn = seen & (growth < _STRETCH * usual) & (growth > usual / _SQUEEZE)
    drawn = _without_islands(drawn, points.neighbours)
    share = float(before[drawn].sum() / max(float(before[before > 0].sum()), 1e-9))
    return SeenPoints(pixels, visible, drawn, _yaw(points, mesh, camera), share)


def _without_islands(drawn: npt.NDArray[np.bool_], neighbours: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Drop triangles most of whose neighbours are not drawn: alone they would be chips of another face."""
    exists = neighbours >= 0
    for _ in range(_ROUNDS):
        beside = drawn[neighbours] & exists
        drawn = drawn & (2 * beside.sum(1) > exists.sum(1))
    return drawn


def _nearest(pixels: Floats, depth: Floats, raster: Raster) -> npt.NDArray[np.bool_]:
    """(N,) whether the point is what its pixel, or one beside it, shows."""
    height, width = raster.depth.shape
    column, row = np.floor(pixels).astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = np.zeros(len(pixels), bool)
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            y, x = np.clip(row + down, 0, height - 1), np.clip(column + across, 0, width - 1)
            found |= raster.covered[y, x] & (np.abs(raster.depth[y, x] - depth) < _DEPTH_TOLERANCE)
    return found & inside


def _yaw(points: ControlPoints, mesh: Mesh, camera: Camera) -> float:
    """Degrees, positive when the face turns to its left, as of a registered photo."""
    marks = points.vertices[points.landmark]
    outward = np.asarray(mesh.normals, np.float64)[marks].mean(0)
    towards = camera.position - np.asarray(mesh.vertices, np.float64)[marks].mean(0)
    angle = np.arctan2(towards[0], -towards[1]) - np.arctan2(outward[0], -outward[1])
    return float(-np.degrees((angle + np.pi) % (2 * np.pi) - np.pi))
