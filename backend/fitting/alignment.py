# SPDX-License-Identifier: Apache-2.0
"""The normal term: splats that were born on a mesh are turned towards lying flat on it, between steps.

A splat's normal is the axis of its smallest scale; the loss is the angle between it and the normal of the triangle that
the splat was born on. As with `decay`, the pull does not go through Adam: it turns each splat a given part of the way,
where the splats are (`Session.align`).
"""

from __future__ import annotations

import attrs

from .decay import END, PERIOD
from .interventions import Work, every
from .schedule import FINAL
from .state import RunState

MEMORY = "face_normals"
"""Where `FitState.memory` keeps the normals (F, 3) of the mesh, in the splat frame."""


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
        part = 1 - (1 - self.weight) ** (PERIOD * FINAL**work.state.run.fraction)
        work.session.align(part, work.state.memory[MEMORY], work.state.face)
