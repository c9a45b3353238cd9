# SPDX-License-Identifier: Apache-2.0
"""The normal term: splats that were born on a mesh are turned towards lying flat on it, between steps.

A splat's normal is the axis of its smallest scale; the loss is the angle between it and the normal of the triangle that
the splat was born on. As with `decay`, the pull does not go through Adam: it turns each splat a given part of the way.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.parameters import ROW_LOG_SCALE, ROW_OPACITY, ROW_QUAT

from .dataset import Dataset
from .decay import END, PERIOD
from .interventions import Work, every
from .sampling import surface_of
from .schedule import FINAL
from .state import FitState, RunState

MEMORY = "face_normals"
"""Where `FitState.memory` keeps the normals (F, 3) of the mesh, in the splat frame."""

Array = npt.NDArray[np.floating]


def remember_normals(state: FitState, dataset: Dataset) -> None:
    """Keep the mesh's normals with a state that started on it; nothing otherwise."""
    if state.kind == "mesh" and dataset.capture is not None:
        pose = next(p for p in dataset.capture.poses if p.name == dataset.pose)
        surface = surface_of(dataset.capture.load_mesh(pose))
        state.memory[MEMORY] = surface.face_normals.astype(np.float32)


@attrs.frozen
class Alignment:
    """Turns each splat `weight` of the way to its surface's normal in a step, less so as the learning rates fall."""

    weight: float

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        return every(PERIOD, 0.0, END, run, iteration)

    def watch(self, work: Work) -> None:
        """Nothing to see."""

    def act(self, work: Work) -> None:
        """See the class."""
        normals = work.state.memory.get(MEMORY)
        if normals is None:
            return
        work.session.pull()
        parameters = work.state.parameters
        block, face = parameters.block[:, : parameters.count], work.state.face[parameters.order]
        born = np.flatnonzero((face >= 0) & np.isfinite(block).all(axis=0))
        part = 1 - (1 - self.weight) ** (PERIOD * FINAL**work.state.run.fraction)
        quats = block[ROW_QUAT:ROW_LOG_SCALE, born].T.astype(np.float64)
        thin = block[ROW_LOG_SCALE:ROW_OPACITY, born].argmin(axis=0)
        block[ROW_QUAT:ROW_LOG_SCALE, born] = turned(quats, thin, normals[face[born]], part).T
        work.session.push()


def splat_normals(quats: Array, thin: npt.NDArray[np.integer]) -> Array:  # (N, 4) wxyz any length, (N,) 0..2
    """(N, 3) the axis `thin` of each splat in the world."""
    w, x, y, z = (quats / np.maximum(np.linalg.norm(quats, axis=1, keepdims=True), 1e-12)).T
    axes = np.stack([
        np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=1),
        np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=1),
        np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1),
    ])  # fmt: skip
    return np.asarray(axes[thin, np.arange(len(quats))])


def turned(quats: Array, thin: npt.NDArray[np.integer], normals: Array, part: float) -> Array:
    """(N, 4) the quaternions, their length kept, after `part` (0..1) of the shortest turn that lays them flat.

    A splat has no front: the nearer of the normal's two directions counts. A zero normal turns nothing.
    """
    axis = splat_normals(quats, thin)
    normals = np.asarray(normals, np.float64)
    cosine = (axis * normals).sum(axis=1)
    goal = normals * np.where(cosine < 0, -1.0, 1.0)[:, None]
    across = np.cross(axis, goal)
    sine = np.linalg.norm(across, axis=1)
    angle = np.arctan2(sine, np.abs(cosine)) * part
    direction = across / np.maximum(sine, 1e-12)[:, None]
    turn = np.concatenate([np.cos(angle / 2)[:, None], np.sin(angle / 2)[:, None] * direction], axis=1)
    return np.asarray(np.where((sine > 1e-9)[:, None], _product(turn, quats), quats))


def _product(a: Array, b: Array) -> Array:  # (N, 4) wxyz each
    """Hamilton's product: first b, then a."""
    aw, ax, ay, az = a.T
    bw, bx, by, bz = b.T
    return np.stack([
        aw * bw - ax * bx - ay * by - az * bz, aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx, aw * bz + ax * by - ay * bx + az * bw,
    ], axis=1)  # fmt: skip
