# SPDX-License-Identifier: Apache-2.0
"""The avatar's irises: on which balls of the mesh they lie, how large they are there, and where on the texture.

A ball is a connected piece of an object of part "eyes" that fits a sphere of an eye's size. The iris is the disc on it
whose rim steps from dark to bright most (the operator of Daugman, "High confidence visual recognition of persons",
1993, on the sphere), sought around the way the avatar looks; how large it should be is known: human irises measure
5.85 mm in radius, within some percent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy import sparse

from backend.kernels.mesh_rasterization import rasterize_uv
from interchange.mesh import Mesh

Floats = npt.NDArray[Any]
IRIS_MM = 5.85
LIDS = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47))
"""Landmarks around the character's right and left eye; both begin at the picture's left, the upper lid first."""
BAND = (0.5, 0.8)
"""Of the iris' radius: where colours of two people's irises are compared, off pupil and dark rim."""
WHITE = (1.2, 1.9)
"""Of the iris' radius: where the white of the eye is looked at."""
_EYES_APART_MM = 62.0  # between the middles of both eyes' landmarks
_BALL_MM = (8.0, 40.0)  # stylised avatars have large eyes; the pink mounds in the corners are smaller
_ROUND = 0.15  # of the radius: how far a ball may be from a sphere
_FORWARD = np.array([0.0, -1.0, 0.0])
_RIM, _EDGE = (0.9, 0.98), (0.88, 0.94)  # of the iris' radius
_LOOK = np.radians(50.0)  # how far from the axis texels are looked at
_TURN = np.radians(10.0)  # how far the pupil may lie off the way the avatar looks
_BIN = np.radians(0.5)
_SIZES = 0.25  # natural logarithm: how much avatars' irises differ
_LEAST_STEP = 0.06  # of encoded brightness at the rim
_PUPIL, _LEAST_PUPIL_STEP = 0.36, 0.02  # of the iris, where no step of brightness shows it
_MOST_TEXELS = 8_000


@attrs.frozen(eq=False)
class Eye:
    """One eyeball of the rest mesh. left: the character's. vertices: ids. centre (3,), radius: metres. axis: (3,) unit,
    through the iris' middle. iris: radians around the axis. pupil_axis, pupil: the same of the pupil, whose middle
    need not be the iris'."""

    left: bool
    vertices: npt.NDArray[np.intp]
    centre: npt.NDArray[np.float64]
    radius: float
    axis: npt.NDArray[np.float64]
    iris: float
    pupil_axis: npt.NDArray[np.float64]
    pupil: float


@attrs.frozen(eq=False)
class EyeTexture:
    """An eyes' texture (h, w, 3) uint8 sRGB with its eyes. ring: (h, w) 0..1, the iris with its rims towards pupil and
    white, which only their colours part; rim: (h, w) 0..1, the one towards the white. Where usual colours are read,
    (h, w) bool: band, of the iris; edge, just inside the rim; white, around it."""

    object_index: int
    pixels: npt.NDArray[np.uint8]
    eyes: tuple[Eye, ...]
    ring: npt.NDArray[np.float32]
    rim: npt.NDArray[np.float32]
    band: npt.NDArray[np.bool_]
    edge: npt.NDArray[np.bool_]
    white: npt.NDArray[np.bool_]


@attrs.frozen(eq=False)
class _Texels:
    """Of one ball's front: rows, columns (T,), direction (T,) from the centre, brightness (T,) encoded."""

    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]
    direction: Floats
    brightness: Floats


def face_scale(mesh: Mesh) -> float | None:
    """Metres of the avatar by metre of a human face, by the distance between the eyes; None without their landmarks."""
    ids = mesh.landmarks[np.array(LIDS)]
    if (ids < 0).any():
        return None
    right, left = np.asarray(mesh.rest_vertices, np.float64)[ids].mean(1)
    return float(np.linalg.norm(left - right)) / (_EYES_APART_MM / 1000) or None


def find_irises(mesh: Mesh, object_index: int, pixels: npt.NDArray[np.uint8], scale: float) -> EyeTexture | None:
    """The irises of one object of part "eyes" on its texture (h, w, 3); None if it shows none."""
    shape = pixels.shape[:2]
    ring, rim = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    band, edge, white = (np.zeros(shape, bool) for _ in range(3))
    eyes = []
    for faces, vertices, centre, radius in _balls(mesh, object_index, scale):
        texels = _front_texels(mesh, faces, centre, pixels)
        eye = None if texels is None else _iris(texels, vertices, centre, radius, scale)
        if eye is None or texels is None:
            continue
        eyes.append(eye)
        share = _angles(texels.direction, eye.axis) / eye.iris
        off_pupil = _angles(texels.direction, eye.pupil_axis) / eye.pupil
        at = texels.rows, texels.columns
        ring[at] = np.maximum(ring[at], _smooth(off_pupil, 0.7, 0.9) * (1 - _smooth(share, 1.0, 1.08)))
        rim[at] = np.maximum(rim[at], _smooth(share, *_RIM))
        edge[at] |= (share > _EDGE[0]) & (share < _EDGE[1])
        band[at] |= (share > BAND[0]) & (off_pupil > 1.2) & (share < BAND[1])
        white[at] |= (share > WHITE[0]) & (share < WHITE[1])
    if not eyes or not band.any():
        return None
    return EyeTexture(object_index, pixels, tuple(eyes), ring, rim, band, edge, white & (ring == 0))


def _balls(
    mesh: Mesh, object_index: int, scale: float
) -> Sequence[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats, float]]:
    """Faces, vertices, centre and radius of an object's pieces that are balls of an eye's size."""
    own = np.flatnonzero(mesh.face_object == object_index)
    corners = mesh.faces[own]
    edges = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]]])
    count = len(mesh.vertices)
    graph = sparse.coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    piece = sparse.csgraph.connected_components(graph, directed=False)[1]
    rest = np.asarray(mesh.rest_vertices, np.float64)
    found = []
    for label in np.unique(piece[corners[:, 0]]):
        vertices = np.flatnonzero(piece == label)
        if len(vertices) < 12:
            continue
        centre, radius, error = _sphere(rest[vertices])
        if error < _ROUND and _BALL_MM[0] < 1000 * radius / scale < _BALL_MM[1]:
            found.append((own[piece[corners[:, 0]] == label], vertices, centre, radius))
    return found


def _sphere(points: Floats) -> tuple[Floats, float, float]:
    """Centre, radius and relative error of the sphere that fits points (N, 3) best (linear least squares)."""
    middle = points.mean(0)
    local = points - middle
    system = np.concatenate([2 * local, np.ones((len(local), 1))], axis=1)
    solution = np.linalg.lstsq(system, (local**2).sum(1), rcond=None)[0]
    radius = float(np.sqrt(max(solution[3] + solution[:3] @ solution[:3], 0)))
    distance = np.linalg.norm(local - solution[:3], axis=1)
    return middle + solution[:3], radius, float(np.sqrt(((distance - radius) ** 2).mean()) / max(radius, 1e-9))


def _front_texels(
    mesh: Mesh, faces: npt.NDArray[np.intp], centre: Floats, pixels: npt.NDArray[np.uint8]
) -> _Texels | None:
    middle = np.asarray(mesh.rest_vertices, np.float64)[mesh.faces[faces]].mean(1) - centre
    reach = np.cos(_LOOK + 2 * _TURN)  # the back often shares the front's place on the texture
    faces = faces[middle @ _FORWARD > reach * np.linalg.norm(middle, axis=1)]
    if not len(faces):
        return None
    raster = rasterize_uv(mesh.face_uvs[faces], pixels.shape[1], pixels.shape[0])
    rows, columns = np.nonzero(raster.covered)
    corners = np.asarray(mesh.rest_vertices, np.float64)[mesh.faces[faces[raster.face[rows, columns]]]]
    away = np.einsum("tc,tcx->tx", raster.weights[rows, columns], corners) - centre
    direction = away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-9)
    front = direction @ _FORWARD > np.cos(_LOOK + _TURN)
    if front.sum() < 200:
        return None
    rows, columns = rows[front], columns[front]
    return _Texels(rows, columns, direction[front], brightness(pixels[rows, columns] / np.float32(255)))


def brightness(encoded: Floats) -> Floats:  # (..., 3) sRGB
    """(...) what parts irises of any colour from the white: blue ones are dark in red, brown ones in green."""
    return encoded[..., :2].mean(-1)


def _iris(
    texels: _Texels, vertices: npt.NDArray[np.intp], centre: Floats, radius: float, scale: float
) -> Eye | None:
    expected = float(np.arcsin(np.clip(IRIS_MM / 1000 * scale / radius, 0.15, 0.75)))
    every = max(1, len(texels.rows) // _MOST_TEXELS)
    direction, bright = texels.direction[::every], texels.brightness[::every]
    ways = ((_TURN, np.radians(2)), (np.radians(2), np.radians(0.5)))
    axis, (step, size) = _search(_FORWARD, ways, lambda a: _rim(_profile(direction, bright, a), expected))
    if step < _LEAST_STEP:
        return None
    nearby = ((0.2 * size, 0.04 * size),)
    pupil_axis, (_, pupil) = _search(axis, nearby, lambda a: _pupil(_profile(direction, bright, a), size))
    return Eye(bool(centre[0] > 0), vertices, centre, radius, axis, size, pupil_axis, pupil)


def _search(
    start: Floats, ways: Sequence[tuple[float, float]], look: Callable[[Floats], tuple[float, float]]
) -> tuple[Floats, tuple[float, float]]:
    """The axis around which `look` sees the highest step, and what it sees there: step and size. ways: reach and step
    in radians of each round, each around the best of the one before."""
    axis, best = start, look(start)
    for reach, step in ways:
        around = axis
        for sideways in np.arange(-reach, reach + step / 2, step):
            for upward in np.arange(-reach, reach + step / 2, step):
                candidate = around + np.array([sideways, 0.0, upward])
                candidate = candidate / np.linalg.norm(candidate)
                seen = look(candidate)
                if seen[0] > best[0]:
                    axis, best = candidate, seen
    return axis, best


def _profile(direction: Floats, bright: Floats, axis: Floats) -> Floats:
    """Mean brightness by angle around an axis, in steps of _BIN; what has no texel takes its neighbours'."""
    count = int(_LOOK / _BIN)
    bins = (_angles(direction, axis) / _BIN).astype(int)
    inside = bins < count
    number = np.bincount(bins[inside], minlength=count)
    total = np.bincount(bins[inside], bright[inside], minlength=count)
    known = np.flatnonzero(number)
    return np.interp(np.arange(count), known, total[known] / number[known])


def _rim(profile: Floats, expected: float) -> tuple[float, float]:
    """The iris' rim in a profile: how much brighter it is outside than inside, and its angle. The less a size is usual,
    the less it is believed."""
    width = max(1, round(0.12 * expected / _BIN))
    added = np.concatenate([[0], np.cumsum(profile)])
    at = np.arange(1, len(profile))
    outer, inner = np.minimum(at + width, len(profile)), np.maximum(at - width, 0)
    step = (added[outer] - added[at]) / (outer - at) - (added[at] - added[inner]) / (at - inner)
    step = step * np.exp(-0.5 * (np.log(at * _BIN / expected) / _SIZES) ** 2)
    best = int(step.argmax())
    return float(step[best]), float(at[best] * _BIN)


def _pupil(profile: Floats, iris: float) -> tuple[float, float]:
    """The pupil's rim in a profile, as `_rim` gives it; of usual size where nothing shows it."""
    share = np.arange(0.15, 0.7, 0.01)
    angles = (np.arange(len(profile)) + 0.5) * _BIN
    step = np.interp((share + 0.06) * iris, angles, profile) - np.interp((share - 0.06) * iris, angles, profile)
    best = int(step.argmax())
    if step[best] < _LEAST_PUPIL_STEP:
        return float(step[best]), _PUPIL * iris
    return float(step[best]), float(share[best]) * iris


def _angles(direction: Floats, axis: Floats) -> Floats:
    return np.arccos(np.clip(direction @ axis, -1, 1))


def _smooth(values: Floats, low: float, high: float) -> Floats:
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
