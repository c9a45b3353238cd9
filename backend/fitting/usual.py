# SPDX-License-Identifier: Apache-2.0
"""Which interventions a run's settings ask for, in the order in which they act."""

from __future__ import annotations

import attrs

from .alignment import MEMORY, Alignment
from .consistency import Consistency
from .decay import Decay
from .densification import DefaultDensification
from .interventions import Intervention, Work, every
from .mcmc import Noise, Relocation
from .schedule import SH_GROWTH, sh_degree_at
from .settings import FitSettings
from .state import FitState, RunState

PERIOD = 10
"""Steps between two looks at whether the degree of the spherical harmonics should rise."""
MCMC_OPACITY_DECAY = 3e-4
"""Measured on runs of 1000 steps; ten times as much, as the paper's regulariser amounts to, costs half a decibel."""


def interventions_for(settings: FitSettings, state: FitState, view_count: int) -> list[Intervention]:
    """For a run in `state`, which may come from a checkpoint.

    Comparing pictures comes first: it can be cancelled, which it must be before anything is changed.
    """
    result: list[Intervention] = []
    if settings.robust > 0 or settings.colour_affine:
        result.append(Consistency(settings.colour_affine, settings.robust, view_count, settings.iterations))
    if sh_degree_at(0, settings) < settings.sh_degree:
        result.append(ShGrowth(settings))
    mcmc = settings.densify == "mcmc"
    opacity = settings.opacity_decay
    opacity = (MCMC_OPACITY_DECAY if mcmc else 0.0) if opacity is None else opacity
    if opacity or settings.scale_decay:
        result.append(Decay(opacity, settings.scale_decay))
    if MEMORY in state.memory:
        result.append(Alignment(settings.normal_weight))
    if settings.densify == "default":
        result.append(DefaultDensification(settings.most_splats, settings.seed))
    if mcmc:
        result += [Relocation(settings.most_splats, settings.seed), Noise(settings.seed)]
    return result


@attrs.frozen
class ShGrowth:
    """Adds bands of spherical harmonics to the splats as the run goes on: fewer bands are faster, and overfit less."""

    settings: FitSettings

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        bands = self.settings.sh_degree - sh_degree_at(0, self.settings)
        return every(PERIOD, SH_GROWTH, SH_GROWTH * bands + 0.1, run, iteration)

    def watch(self, work: Work) -> None:
        """Nothing to see."""

    def act(self, work: Work) -> None:
        """See the class."""
        state = work.state
        degree = sh_degree_at(state.run.fraction, self.settings)
        if degree <= state.parameters.sh_degree:
            return
        work.session.pull()
        work.replace(state.parameters.with_sh_degree(degree), state.adam.with_sh_degree(degree))
