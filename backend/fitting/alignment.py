# SPDX-License-Identifier: Apache-2.0
"""The normal term: splats that were born on a mesh are turned towards lying flat on it, between steps.

A splat's normal is the axis of its smallest scale; the loss is the angle between it and the normal of the triangle that
the splat was born on. As with `decay`, the pull does not go through Adam: it turns each splat a given part of the way,
where the splats are (`Session.align`).
"""

from __future__ import annotations

import attrs
import numpy as np

from .dataset import Dataset
from .decay import END, PERIOD
from .interventions import Work, every
from .sampling import surface_of
from .schedule import FINAL
from .state import FitState, RunState

MEMORY = "face_normals"
"""Where `FitState.memory` keeps the normals (F, 3) of the mesh, in the splat frame."""


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
        if normals is not None:
            part = 1 - (1 - self.weight) ** (PERIOD * FINAL**work.state.run.fraction)
            work.session.align(part, normals, work.state.face)
