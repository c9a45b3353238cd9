# SPDX-License-Identifier: Apache-2.0
"""How long a run goes on: its end moves forward when nothing improves any more, or when its time will be up."""

from __future__ import annotations

from .settings import FitSettings
from .state import RunState

PLATEAU = 0.005
"""A run goes on as long as the loss of the last rounds is lower, by this part at least, than that of those before."""
PATIENCE = 4
"""Rounds (epochs of at least 25 steps) that are compared with as many before."""
LAST_PART = 0.15
"""Share of the run that is still done, with falling rates, once a plateau is reached."""
_ROUND_STEPS = 25
_BUDGET_WARM_UP = 10  # steps before the time budget is turned into a number of steps


def round_steps(view_count: int) -> int:
    """Steps of a round: whole epochs, 25 steps at least."""
    return view_count * -(-_ROUND_STEPS // view_count)


def watch_plateau(run: RunState, loss: float, steps: int, settings: FitSettings, earliest: int) -> None:
    """Count a step's loss; after each round of `steps`: has it still fallen? If not, let the rates decay and end.

    `earliest`: a step before which the loss says nothing, because splats are still being added or pictures change.
    """
    run.round_loss += loss
    if run.iteration % steps:
        return
    run.rounds = [*run.rounds, run.round_loss / steps][-2 * PATIENCE :]
    run.round_loss = 0.0
    if not settings.early_stop or run.stopping or len(run.rounds) < 2 * PATIENCE or run.iteration < earliest:
        return
    left = max(steps, round(LAST_PART * run.planned))
    before, now = sum(run.rounds[:PATIENCE]), sum(run.rounds[PATIENCE:])
    if now > before * (1 - PLATEAU) and run.iteration + left < run.planned:
        run.planned, run.stopping = run.iteration + left, "plateau"


def fit_time_budget(run: RunState, settings: FitSettings, pace: float) -> None:
    """Plan as many steps as the time budget allows at `pace` seconds a step, but no more than were asked for."""
    budget = settings.time_budget_s
    if budget is None or run.iteration < _BUDGET_WARM_UP:
        return
    affordable = run.iteration + max(0, int((budget - run.seconds) / max(pace, 1e-9)))
    wanted = run.planned if run.stopping == "plateau" else settings.iterations
    if affordable < wanted:
        run.planned, run.stopping = affordable, "time budget"
    elif run.stopping == "time budget":  # it was slower at first
        run.planned, run.stopping = settings.iterations, ""
