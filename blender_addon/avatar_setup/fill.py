# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks that an artist has not placed, guessed from those that are. No bpy.

The most likely face of a small linear model (mean and modes of sample heads, `face_shape`) given the placed points;
what the model cannot explain is spread from them smoothly; then every guess moves to the nearest fitting vertex.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .._interchange import errors
from . import face_shape
from .landmarks import COUNT, PARTNER

Array = npt.NDArray[Any]

FEWEST = 4
_NOISE = 0.02  # of the eye distance: how far a placed point may be from what the modes can make
_REACH = 1.0  # of the eye distance: how far a correction spreads
_UNLIKE = 0.16  # of the eye distance: a mean distance that no face has, but a mirrored or scattered one
_INSIDE = np.array([0.0, 0.7, -0.1])  # a point within the head, in the table's units
_MIRROR = np.array([-1.0, 1.0, 1.0])


@attrs.frozen(eq=False)
class Placement:
    """A similarity: world = scale * rotation @ p + offset."""

    scale: float
    rotation: Array  # (3, 3)
    offset: Array  # (3,)

    def __call__(self, points: Array) -> Array:  # (n, 3)
        """To the world."""
        return self.scale * points @ self.rotation.T + self.offset

    def back(self, points: Array) -> Array:  # (n, 3)
        """From the world."""
        return (points - self.offset) @ self.rotation / self.scale


def mean_face() -> Array:
    """(68, 3): face along -Y, z up, outer corners of the eyes 1 apart."""
    return _both_halves(np.array(face_shape.MEAN, np.float64).reshape(1, -1, 3))[0] / 1000


def modes() -> Array:
    """(m, 68, 3) symmetric displacements of one standard deviation each."""
    return _both_halves(np.array(face_shape.MODES, np.float64).reshape(-1, len(face_shape.HALF), 3)) / 1000


def _both_halves(half: Array) -> Array:
    full = np.zeros((len(half), COUNT, 3))
    full[:, np.array(PARTNER)[list(face_shape.HALF)]] = half * _MIRROR
    full[:, list(face_shape.HALF)] = half
    return full


def place(points: Array, goal: Array) -> Placement:
    """The similarity that takes `points` (n, 3) to `goal` (n, 3) with the least squared error (Umeyama 1991)."""
    a, b = points - points.mean(axis=0), goal - goal.mean(axis=0)
    left, size, right = np.linalg.svd(b.T @ a)
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    scale = float((size * sign).sum() / (a * a).sum())
    rotation = left * sign @ right
    return Placement(scale, rotation, goal.mean(axis=0) - scale * rotation @ points.mean(axis=0))


def guess(ids: Array, points: Array) -> tuple[Array, Placement]:
    """All 68 landmarks (68, 3) of a face whose landmarks `ids` (k,) lie at `points` (k, 3), and how the mean face is
    put there. The placed ones are returned unchanged. Axes and units are those of `points`; none are presumed.

    Raises InputError if there are too few, if they lie on a line, or if they are no face.
    """
    ids = np.asarray(ids)
    points = np.asarray(points, np.float64)
    _check_spread(points)
    mean, shapes = mean_face(), modes()
    amounts = np.zeros(len(shapes))
    basis = shapes[:, ids].reshape(len(shapes), -1).T
    for _ in range(8):  # shape and placement in turn; converges to a hundredth of a millimetre in five
        placement = place((mean + np.tensordot(amounts, shapes, 1))[ids], points)
        off = (placement.back(points) - mean[ids]).ravel()
        amounts = np.linalg.solve(basis.T @ basis + _NOISE**2 * np.eye(len(amounts)), basis.T @ off)
    face = placement(mean + np.tensordot(amounts, shapes, 1))
    rest = points - face[ids]
    if np.linalg.norm(rest, axis=1).mean() > _UNLIKE * placement.scale:
        raise errors.InputError(
            "The placed landmarks do not form a face.",
            "Right ones belong on the character's right, which is on the left when you look at it. Take back the "
            "wrong ones, or clear all.",
        )
    return face + _spread(points, rest, face, _REACH * placement.scale), placement


def _check_spread(points: Array) -> None:
    if len(points) < FEWEST:
        raise errors.InputError(
            f"{len(points)} landmarks are placed; at least {FEWEST} are needed to guess the others.",
            "Place the tip of the nose, the outer corners of the eyes and the corners of the mouth.",
        )
    size = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    if size[1] < 0.05 * size[0] or size[0] == 0:
        raise errors.InputError(
            "The placed landmarks lie on one line.", "Place the tip of the nose and the corners of the mouth as well."
        )


def _spread(known: Array, moves: Array, at: Array, reach: float) -> Array:
    """Displacements (n, 3) at `at` that are `moves` at `known` and fade over `reach`."""
    kernel = np.exp(-np.linalg.norm(known[:, None] - known[None], axis=2) / reach)
    weights = np.linalg.solve(kernel + 1e-6 * np.eye(len(known)), moves)
    return np.exp(-np.linalg.norm(at[:, None] - known[None], axis=2) / reach) @ weights


def complete(known: dict[int, int], vertices: Array, normals: Array) -> Array:
    """(68,) vertex ids: `known` landmark -> vertex kept, all others guessed. vertices, normals (V, 3) of the head at
    rest in any axes. No vertex is taken twice. Raises InputError as `guess` does.
    """
    ids = np.array(sorted(known))
    face, placement = guess(ids, vertices[[known[i] for i in ids]])
    result = np.full(COUNT, -1)
    result[ids] = [known[i] for i in ids]
    centre = placement(_INSIDE[None])[0]
    free = np.ones(len(vertices), bool)
    free[result[ids]] = False
    for index in np.setdiff1d(np.arange(COUNT), ids):
        result[index] = _nearest(face[index], centre, placement.scale, vertices, normals, free)
        free[result[index]] = False
    return result


def _nearest(point: Array, centre: Array, scale: float, vertices: Array, normals: Array, free: Array) -> int:
    """The nearest free vertex on the outside: the mouth's cavity and the eye sockets face the other way."""
    distance = np.linalg.norm(vertices - point, axis=1)
    outside = normals @ (point - centre) > 0
    allowed = free & outside & (distance < 0.5 * scale)
    if not allowed.any():
        allowed = free
    return int(np.argmin(np.where(allowed, distance, np.inf)))
