# SPDX-License-Identifier: Apache-2.0
"""Splats as samples of a distribution (Kheradmand et al. 2024, "3D Gaussian Splatting as Markov Chain Monte Carlo").

Splats without opacity are moved onto others, chosen in proportion to opacity; the number grows the same way, up to a
bound; and nearly transparent ones wander by noise until they find something to show. It needs the pressure of
`opacity_decay` and `scale_decay`, which free splats that are not needed.
"""

from __future__ import annotations

from math import comb

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.parameters import ROW_LOG_SCALE, ROW_OPACITY
from backend.kernels.regularization import DEAD_OPACITY

from .columns import Columns
from .densification import shared_logit
from .interventions import Work, every
from .schedule import DENSIFY_BEGIN, DENSIFY_END, learning_rates
from .state import RunState

PERIOD = 50
"""Steps between two turns."""
MAX_COPIES = 51
NOISE = 8.0
"""Length of the noise of one step: this times the means' rate, for a transparent splat as wide as its neighbours'
distance. (The paper's 5e5 times the rate times the covariance, made free of the scene's unit.)"""
NOISE_PERIOD = 10
"""Noise is added once in so many steps, longer by the square root."""
NOISE_END = 0.8


@attrs.frozen
class Relocation:
    """Moves dead splats onto living ones, and adds more, so that `max_splats` are reached at the end of the window."""

    max_splats: int
    seed: int

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        return every(PERIOD, DENSIFY_BEGIN, DENSIFY_END, run, iteration)

    def watch(self, work: Work) -> None:
        """Nothing to see."""

    def act(self, work: Work) -> None:
        """See the class."""
        work.session.pull_shapes()
        run, columns = work.state.run, Columns.of(work.state)
        rng = np.random.default_rng([self.seed, 3, run.iteration])
        turns_left = 1 + max(0, int((DENSIFY_END * run.planned - run.iteration) // PERIOD))
        growth = (max(self.max_splats, len(columns)) / len(columns)) ** (1 / turns_left)
        wanted = min(max(self.max_splats, len(columns)), round(len(columns) * growth))
        work.rearrange(relocated(columns, wanted, rng))


def relocated(columns: Columns, wanted: int, rng: np.random.Generator) -> Columns:
    """`wanted` (>= N) splats: living ones, of which some are copied onto each other in place of the dead and the new.

    n copies of a splat look like it: opacity and width by the paper's equation 9.
    """
    opacities = columns.opacities.astype(np.float64)
    alive = np.flatnonzero(opacities > DEAD_OPACITY)
    if len(alive) == 0:
        return columns
    missing = wanted - len(alive)
    chances = np.cumsum(opacities[alive])
    chosen = alive[np.minimum(np.searchsorted(chances, rng.random(missing) * chances[-1]), len(alive) - 1)]
    copies = np.bincount(chosen, minlength=len(columns))
    copied = np.flatnonzero(copies)
    n = np.minimum(copies[copied] + 1, MAX_COPIES)
    logits = shared_logit(columns.block[ROW_OPACITY, copied], n)
    floor = np.float32(np.log(DEAD_OPACITY / (1 - DEAD_OPACITY)))
    shrink = _shrink(opacities[copied], 1 / (1 + np.exp(-logits.astype(np.float64))), n)
    columns.block[ROW_OPACITY, copied] = np.maximum(logits, floor)
    columns.block[ROW_LOG_SCALE:ROW_OPACITY, copied] += np.log(shrink).astype(np.float32)
    columns.rest(copied)
    return columns.take(np.concatenate([alive, chosen]))


def _shrink(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], copies: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Factor of the widths when splats of opacity `before` become `copies` coincident ones of opacity `after`.

    The paper's double sum over i and k, with that over i done: it is a binomial coefficient.
    """
    result = np.ones(len(before))
    for n in np.unique(copies):
        mine = copies == n
        total = sum(comb(n, k) * (-1) ** (k - 1) * after[mine] ** k / np.sqrt(k) for k in range(1, int(n) + 1))
        result[mine] = before[mine] / np.maximum(total, 1e-12)
    return np.clip(result, 0.05, 1)


@attrs.frozen
class Noise:
    """Lets nearly transparent splats wander, each along its own ellipsoid, where they are (`Session.wander`)."""

    seed: int

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        return every(NOISE_PERIOD, 0.0, NOISE_END, run, iteration)

    def watch(self, work: Work) -> None:
        """Nothing to see."""

    def act(self, work: Work) -> None:
        """See the class."""
        state, run = work.state, work.state.run
        rate = learning_rates(work.settings, state.reach, run.fraction, run.planned)["means"] * run.rate_cut
        work.session.wander(NOISE * rate * NOISE_PERIOD**0.5, state.reach, self.seed, run.iteration)
