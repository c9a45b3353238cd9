# SPDX-License-Identifier: Apache-2.0
"""The performer's shape from photos: where the 68 landmarks of the target's rest mesh would lie on the performer.

Cameras and landmarks are solved for together (bundle adjustment with the prior of `prior.py`). One photo tells nothing
about depth, so the prior leaves it as it is; photos from several sides fill it in. What a photo cannot tell apart from
a camera's move (place, turn and size of the whole face) is not taken for shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from interchange.errors import InputError
from interchange.mesh import Mesh

from ..registration import Registration
from ..source import Photo
from .prior import ShapePrior

Floats = npt.NDArray[Any]
_NOISE = 0.004  # of the face's size in the photo, standard deviation of a landmark
_GAUGE = 0.002  # of the face's size: how far the whole may move, turn or grow
_FOCAL_SPREAD = 0.15  # natural logarithm, about the registration's own
_LEAST_NOISE_PX = 0.7
# Points that an expression moves say less about the bones: brows, eyelids, lips, and the chin with the jaw.
_EXPRESSIVE = {**dict.fromkeys(range(17, 27), 2.0), **dict.fromkeys(range(37, 42), 1.5),
               **dict.fromkeys(range(43, 48), 1.5), **dict.fromkeys(range(48, 68), 2.5),
               **dict.fromkeys(range(5, 12), 1.5)}  # fmt: skip


@attrs.frozen(eq=False)
class IdentityShape:
    """offset: (V, 3) metres in the avatar's own axes, of every rest vertex. landmarks: number of points used. photos:
    of how many. residual_px: root mean square distance of the landmarks that is left. largest_mm: of the offsets."""

    offset: npt.NDArray[np.float32]
    landmarks: int
    photos: int
    residual_px: float
    largest_mm: float

    def report(self) -> dict[str, Any]:
        """For swap.json."""
        return {k: v for k, v in attrs.asdict(self, recurse=False).items() if k != "offset"}


@attrs.frozen(eq=False)
class _Sight:
    """A photo's part: which rows of the landmarks it has, where they lie, how exactly."""

    rows: npt.NDArray[np.intp]
    pixels: Floats  # (R, 2)
    noise: Floats  # (R,) pixels
    start: Floats  # (7,) rotation vector, translation, log focal in pixels
    centre: Floats  # (2,)


def identity_shape(mesh: Mesh, photos: Sequence[Photo], registrations: Sequence[Registration]) -> IdentityShape:
    """Solve for the shape; `registrations` are those of the photos, from which the cameras start.

    Raises InputError if the landmarks contradict each other so much that nothing fits.
    """
    ids = np.unique(np.concatenate([r.ids for r in registrations]))
    ids = ids[np.unique(mesh.landmarks[ids], return_index=True)[1]]  # two ids may share a vertex
    rest = np.asarray(mesh.rest_vertices, np.float64)
    points = rest[mesh.landmarks[ids]]
    prior = ShapePrior(points, float(np.linalg.norm(np.ptp(points, axis=0))))
    sights = [_sight(photo, fit, ids) for photo, fit in zip(photos, registrations, strict=True)]
    moved, residual = _solve(points, prior, sights)
    offset = prior.spread_to(rest, moved)
    largest = float(np.linalg.norm(offset, axis=1).max())
    if not np.isfinite(largest) or largest > 0.3 * prior.size:
        raise InputError(
            "No face fits the landmarks of all photos together.", "Check that they show one person, and the points."
        )
    return IdentityShape(offset.astype(np.float32), len(ids), len(sights), residual, 1e3 * largest)


def _sight(photo: Photo, fit: Registration, ids: npt.NDArray) -> _Sight:
    rows = np.flatnonzero(np.isin(ids, fit.ids))
    camera = fit.camera
    turn = Rotation.from_matrix(camera.rotation).as_rotvec()
    start = np.concatenate([turn, camera.world_to_camera[:3, 3], [np.log(camera.K[0, 0])]])
    noise = max(_NOISE * fit.face_size, _LEAST_NOISE_PX) * np.array([_EXPRESSIVE.get(int(i), 1.0) for i in ids[rows]])
    pixels = np.array([photo.landmarks[int(i)] for i in ids[rows]])
    return _Sight(rows, pixels, noise, start, camera.K[:2, 2])


def _solve(points: Floats, prior: ShapePrior, sights: Sequence[_Sight]) -> tuple[Floats, float]:
    """Offsets (L, 3) of the landmarks, and what is left of their distances in pixels.

    Unknowns: seven numbers a camera, and the offsets in whitened form (standard normal under the prior).
    """
    factor = np.linalg.cholesky(prior.covariance())
    rigid = _similarity_modes(points)
    cameras = 7 * len(sights)

    def offsets(unknowns: Floats) -> Floats:
        return (factor @ unknowns[cameras:]).reshape(-1, 3)

    def residuals(unknowns: Floats) -> Floats:
        moved = offsets(unknowns)
        parts: list[Floats] = [unknowns[cameras:], rigid.T @ moved.ravel() / (_GAUGE * prior.size)]
        for number, sight in enumerate(sights):
            camera = unknowns[7 * number : 7 * number + 7]
            error = _project(camera, (points + moved)[sight.rows], sight.centre) - sight.pixels
            parts += [(error / sight.noise[:, None]).ravel(), (camera[6:7] - sight.start[6]) / _FOCAL_SPREAD]
        return np.concatenate(parts)

    def jacobian(unknowns: Floats) -> Floats:
        # Shape's part is exact; the seven numbers of each camera by differences.
        moved, here = offsets(unknowns), residuals(unknowns)
        result = np.zeros((len(here), len(unknowns)))
        shapes = factor.shape[1]
        result[:shapes, cameras:] = np.eye(shapes)
        result[shapes : shapes + 7, cameras:] = rigid.T @ factor / (_GAUGE * prior.size)
        row = shapes + 7
        for number, sight in enumerate(sights):
            camera, at = unknowns[7 * number : 7 * number + 7], (points + moved)[sight.rows]
            slopes = _slopes(camera, at) / sight.noise[:, None, None]  # (R, 2, 3)
            stacked = factor.reshape(-1, 3, shapes)[sight.rows]
            count = 2 * len(sight.rows)
            result[row : row + count, cameras:] = (slopes @ stacked).reshape(count, shapes)
            for k in range(7):
                step = np.zeros(7)
                step[k] = 1e-6 * max(1.0, abs(camera[k]))
                change = _project(camera + step, at, sight.centre) - _project(camera - step, at, sight.centre)
                change = change / (2 * step[k] * sight.noise[:, None])
                result[row : row + count, 7 * number + k] = change.ravel()
            result[row + count, 7 * number + 6] = 1 / _FOCAL_SPREAD
            row += count + 1
        return result

    start = np.concatenate([*(s.start for s in sights), np.zeros(factor.shape[1])])
    fit = least_squares(residuals, start, jac=jacobian, x_scale="jac", loss="linear", max_nfev=60)
    moved = offsets(fit.x)
    errors = [
        _project(fit.x[7 * n : 7 * n + 7], (points + moved)[s.rows], s.centre) - s.pixels for n, s in enumerate(sights)
    ]
    return moved, float(np.sqrt((np.concatenate(errors) ** 2).sum(1).mean()))


def _similarity_modes(points: Floats) -> Floats:
    """(3 L, 7) orthonormal: three moves, three turns, one growth of the whole."""
    centred = points - points.mean(0)
    moves = [np.tile(axis, (len(points), 1)).ravel() for axis in np.eye(3)]
    turns = [np.cross(axis, centred).ravel() for axis in np.eye(3)]
    return np.linalg.qr(np.stack([*moves, *turns, centred.ravel()], axis=1))[0]


def _project(camera: Floats, points: Floats, centre: Floats) -> Floats:
    local = points @ Rotation.from_rotvec(camera[:3]).as_matrix().T + camera[3:6]
    depth = np.maximum(local[:, 2:], 1e-6)
    return np.exp(camera[6]) * local[:, :2] / depth + centre


def _slopes(camera: Floats, points: Floats) -> Floats:
    """(R, 2, 3) derivative of the pixel by the point."""
    rotation = Rotation.from_rotvec(camera[:3]).as_matrix()
    local = points @ rotation.T + camera[3:6]
    depth = np.maximum(local[:, 2], 1e-6)
    by_local = np.zeros((len(points), 2, 3))
    by_local[:, 0, 0] = by_local[:, 1, 1] = 1 / depth
    by_local[:, :, 2] = -local[:, :2] / depth[:, None] ** 2
    return np.exp(camera[6]) * by_local @ rotation

