# SPDX-License-Identifier: Apache-2.0
"""The mean face: where its 68 points lie in space, and how it is laid over points on a photo.

The table is the mean of our fifteen sample avatars at rest (three procedural, twelve of MakeHuman; vertices of
`digidouble_landmarks`), made symmetric. It suggests where points may go, tells a mirrored set, and tells a face from
points strewn at random; what a face looks like it does not decide.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

# x to the right and y down as in a picture of the face, z away from who looks; the middle between the outer corners of
# the eyes is 0, their distance 1.
MEAN_FACE: Floats = np.array([
    (-0.813, -0.002, 0.676), (-0.802, 0.266, 0.648), (-0.764, 0.530, 0.675), (-0.698, 0.750, 0.543),
    (-0.596, 0.984, 0.513), (-0.482, 1.116, 0.393), (-0.338, 1.218, 0.250), (-0.176, 1.265, 0.030),
    (0.000, 1.266, -0.042),
    (0.176, 1.265, 0.030), (0.338, 1.218, 0.250), (0.482, 1.116, 0.393), (0.596, 0.984, 0.513),
    (0.698, 0.750, 0.543), (0.764, 0.530, 0.675), (0.802, 0.266, 0.648), (0.813, -0.002, 0.676),
    (-0.552, -0.165, -0.029), (-0.467, -0.204, -0.105), (-0.371, -0.220, -0.153), (-0.275, -0.221, -0.183),
    (-0.118, -0.152, -0.186),
    (0.118, -0.152, -0.186), (0.275, -0.221, -0.183), (0.371, -0.220, -0.153), (0.467, -0.204, -0.105),
    (0.552, -0.165, -0.029),
    (0.000, 0.013, -0.170), (0.000, 0.145, -0.222), (0.000, 0.305, -0.327), (0.000, 0.460, -0.392),
    (-0.186, 0.530, -0.161), (-0.066, 0.560, -0.233), (0.000, 0.574, -0.243), (0.066, 0.560, -0.233),
    (0.186, 0.530, -0.161),
    (-0.500, 0.000, 0.000), (-0.401, -0.039, -0.079), (-0.302, -0.036, -0.083), (-0.188, 0.028, -0.055),
    (-0.306, 0.055, -0.068), (-0.434, 0.049, -0.052),
    (0.188, 0.028, -0.055), (0.302, -0.036, -0.083), (0.401, -0.039, -0.079), (0.500, 0.000, 0.000),
    (0.434, 0.049, -0.052), (0.306, 0.055, -0.068),
    (-0.280, 0.786, -0.108), (-0.198, 0.725, -0.198), (-0.057, 0.698, -0.260), (0.000, 0.701, -0.268),
    (0.057, 0.698, -0.260), (0.198, 0.725, -0.198), (0.280, 0.786, -0.108), (0.206, 0.860, -0.157),
    (0.078, 0.912, -0.202), (0.000, 0.916, -0.213), (-0.078, 0.912, -0.202), (-0.206, 0.860, -0.157),
    (-0.259, 0.781, -0.111), (-0.123, 0.778, -0.187), (0.000, 0.786, -0.206), (0.123, 0.778, -0.187),
    (0.259, 0.781, -0.111), (0.127, 0.786, -0.184), (0.000, 0.799, -0.214), (-0.127, 0.786, -0.184),
])  # fmt: skip
MEAN_FACE.flags.writeable = False

MIRRORED = -0.05
"""Of `turned`: below it a set is mirrored or exchanged."""

_PULL = 1e-3
_ROUNDS = 8


def turned(points: Mapping[int, tuple[float, float]]) -> float:
    """How a set of points faces the viewer: about 1 from the front, below 0 for a mirrored or exchanged set.

    The flat map that takes the mean face to the points, its determinant over the mean of its squared sizes: the measure
    by which the backend refuses a mirrored set, there with the avatar's own points.
    """
    ids, pixels = _arrays(points)
    flat = np.column_stack([MEAN_FACE[ids, :2], np.ones(len(ids))])
    solution = np.linalg.lstsq(flat, pixels, rcond=None)[0][:2]
    return float(np.linalg.det(solution) / max(float((solution**2).sum() / 2), 1e-12))


def pose(points: Mapping[int, tuple[float, float]]) -> Floats:
    """(2, 4) scaled orthographic view of the mean face that fits the points, with strays pulling less (soft L1)."""
    ids, pixels = _arrays(points)
    space = np.column_stack([MEAN_FACE[ids], np.ones(len(ids))])
    weights = np.ones(len(ids))
    view = _frontal(ids, pixels)
    size = max(face_size(points), 1e-9)
    for _ in range(_ROUNDS):
        weighted = space * weights[:, None]
        # The pull holds what few or flat points leave open (depth) at the view from the front.
        normal = weighted.T @ space + _PULL * len(ids) * np.diag([1.0, 1.0, 1.0, 0.0])
        right = weighted.T @ pixels + _PULL * len(ids) * (np.diag([1.0, 1.0, 1.0, 0.0]) @ _frontal(ids, pixels).T)
        view = _scaled_orthographic(np.linalg.lstsq(normal, right, rcond=None)[0].T)
        view[:, 3] = np.average(pixels - MEAN_FACE[ids] @ view[:, :3].T, axis=0, weights=weights)
        error = np.linalg.norm(space @ view.T - pixels, axis=1) / (0.05 * size)
        weights = 1 / np.sqrt(1 + error**2)
    return view


def misfit(points: Mapping[int, tuple[float, float]]) -> dict[int, float]:
    """How far each point lies from where the mean face has it, in units of the face's size."""
    ids, pixels = _arrays(points)
    view, size = pose(points), max(face_size(points), 1e-9)
    distance = np.linalg.norm(MEAN_FACE[ids] @ view[:, :3].T + view[:, 3] - pixels, axis=1)
    return {int(i): float(d / size) for i, d in zip(ids, distance, strict=True)}


def suggest(points: Mapping[int, tuple[float, float]]) -> dict[int, tuple[float, float]]:
    """Where the points that are missing may lie: the mean face in the pose of `points`, bent so that it meets them.

    What the pose leaves over is spread by a spline with the kernel r, as the backend spreads it over the avatar
    (Duchon 1977). At least five points are needed.
    """
    ids, pixels = _arrays(points)
    view = pose(points)
    placed = MEAN_FACE @ view[:, :3].T + view[:, 3]
    at = MEAN_FACE[ids]
    count = len(ids)
    system = np.zeros((count + 1, count + 1))
    system[:count, :count] = -_distances(at, at) + 1e-6 * np.eye(count)
    system[:count, count] = system[count, :count] = 1
    solution = np.linalg.solve(system, np.vstack([pixels - placed[ids], np.zeros((1, 2))]))
    bent = placed - _distances(MEAN_FACE, at) @ solution[:count] + solution[count]
    return {i: (float(x), float(y)) for i, (x, y) in enumerate(bent) if i not in points}


def face_size(points: Mapping[int, tuple[float, float]]) -> float:
    """The diagonal of the points' box, in pixels."""
    return float(np.linalg.norm(np.ptp(_arrays(points)[1], axis=0)))


def _arrays(points: Mapping[int, tuple[float, float]]) -> tuple[npt.NDArray[np.intp], Floats]:
    ids = sorted(points)
    return np.array(ids, np.intp), np.array([points[i] for i in ids], np.float64).reshape(-1, 2)


def _frontal(ids: npt.NDArray[np.intp], pixels: Floats) -> Floats:
    """(2, 4) the view from the front that is as large as the points are."""
    size = np.linalg.norm(np.ptp(pixels, axis=0)) / max(float(np.linalg.norm(np.ptp(MEAN_FACE[ids, :2], axis=0))), 1e-9)
    view = np.zeros((2, 4))
    view[0, 0] = view[1, 1] = size
    view[:, 3] = pixels.mean(axis=0) - size * MEAN_FACE[ids, :2].mean(axis=0)
    return view


def _scaled_orthographic(view: Floats) -> Floats:
    left, size, right = np.linalg.svd(view[:, :3], full_matrices=False)
    return np.column_stack([left @ right * size.mean(), view[:, 3]])


def _distances(a: Floats, b: Floats) -> Floats:
    return np.linalg.norm(a[:, None] - b[None], axis=-1)
