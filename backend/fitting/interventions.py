# SPDX-License-Identifier: Apache-2.0
"""What may happen between two training steps, beyond the steps themselves: splats added, targets changed, and so on.

An intervention acts before the steps that follow certain iterations. When it is due is a function of the run alone, and
what it remembers lies in `FitState.memory`, so a run that resumes from a checkpoint does the same again, bit for bit.
The splats are reached through the session only: `decay`, `align` and `wander` change them where they are. For what the
host must do, `work.session.pull()` brings them to `work.state` (`pull_shapes()` all but colours and moments), and
`push()`, `work.replace()` or `work.rearrange()` hands them back. In between, the engine may hold newer ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import attrs

from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rasterizer import Session

from .columns import Columns
from .dataset import FitView
from .settings import FitSettings
from .state import FitState, RunState

NEVER = 1 << 60
"""An iteration that no run reaches."""


@attrs.define(eq=False)
class Work:
    """What an intervention may use and change."""

    state: FitState
    session: Session
    settings: FitSettings
    views: list[FitView]
    cancelled: Callable[[], bool]
    targets_changed: bool = False  # set it, and the trainer makes the targets anew from the state's memory

    def replace(self, parameters: SplatParameters, adam: AdamState) -> None:
        """Other splats, also more or fewer, from now on."""
        self.state.parameters, self.state.adam = parameters, adam
        self.session.replace(parameters, adam)

    def rearrange(self, columns: Columns) -> None:
        """Other splats, made of the present ones. The host's colours and moments are out of date until a pull."""
        arranged = columns.put_into(self.state)
        self.state.parameters, self.state.adam = arranged.parameters, arranged.adam
        self.session.rearrange(arranged.parameters, arranged.adam, arranged.source, arranged.rested)


class Intervention(Protocol):
    """One of the things that may happen between steps."""

    def next_turn(self, run: RunState, iteration: int) -> int:
        """The first iteration >= `iteration` after which it wants to act; NEVER if none."""

    def act(self, work: Work) -> None:
        """Change splats, moments or targets. May raise Cancelled, but only before it has changed anything."""

    def watch(self, work: Work) -> None:
        """Look at the session after each group of steps; must not change the splats."""


def every(period: int, begin: float, end: float, run: RunState, iteration: int) -> int:
    """The first multiple of `period` >= `iteration` in the part begin..end (0..1) of the run; NEVER if none."""
    first = max(iteration, round(begin * run.planned), 1)
    turn = -(-first // period) * period
    return turn if turn <= end * run.planned else NEVER
