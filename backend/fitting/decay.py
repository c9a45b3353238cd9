# SPDX-License-Identifier: Apache-2.0
"""Regularisers of opacity and scale, applied between steps: a pull towards nothing that the pictures must outweigh.

As weight decay in AdamW (Loshchilov & Hutter 2019), the pull does not go through Adam, whose step has the same length
however weak a gradient is. It happens where the splats are (`Session.decay`).
"""

from __future__ import annotations

import math

import attrs

from .interventions import Work, every
from .schedule import FINAL
from .state import RunState

PERIOD = 10
"""Steps between two turns."""
END = 0.9
"""Part of the run after which it stops, so that opacities are right at the end."""


@attrs.frozen
class Decay:
    """Multiplies, in effect, opacities and widths by (1 - decay) each step, less so as the learning rates fall."""

    opacity: float  # per step
    scale: float

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        return every(PERIOD, 0.0, END, run, iteration)

    def watch(self, work: Work) -> None:
        """Nothing to see."""

    def act(self, work: Work) -> None:
        """See the class."""
        fall = PERIOD * FINAL**work.state.run.fraction
        work.session.decay((1 - self.opacity) ** fall, math.log1p(-self.scale) * fall)
