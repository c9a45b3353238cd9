# SPDX-License-Identifier: Apache-2.0
"""Once in a few epochs: compare all pictures with the renders, and change how the loss sees the pictures."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from .colour_affine import AFFINE, IDENTITY, centred, solve_affine
from .dataset import FitView, Image, stop_if
from .interventions import Work, every
from .robust import WEIGHTS, Residual, patch_residual, pixel_weights, threshold
from .state import RunState

BEGIN, END = 0.15, 0.9
"""Part of the run in which pictures are compared: before, the renders say little."""
TURNS = 8
"""How many times they are compared in a run, about; never more than once an epoch."""
WAITING = 24
"""Renders that may wait to be compared; each takes 12 MB at 1024 x 1024."""
_Look = tuple[npt.NDArray[np.float32], Residual | None]  # change of colours, residual


@attrs.frozen
class Consistency:
    """Per-view colour changes (`colour_affine`) and per-pixel weights (`robust`, the part that is trimmed)."""

    colour_affine: bool
    trimmed: float  # 0: no weights
    view_count: int
    steps: int  # of the run as planned at first

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        epochs = max(1, round((END - BEGIN) * self.steps / (TURNS * self.view_count)))
        return every(epochs * self.view_count, BEGIN, END, run, iteration)

    def watch(self, work: Work) -> None:
        """Nothing to see."""

    def act(self, work: Work) -> None:
        """See the class. What is found is stored only at the end, so that a cancel finds nothing half done."""
        memory, views = work.state.memory, work.views
        looks: list[Future[_Look]] = []
        with ThreadPoolExecutor() as pool:  # which compare while the engine renders the next view
            for number, view in enumerate(views):
                stop_if(work.cancelled)
                if number >= WAITING:
                    looks[number - WAITING].result()
                image = work.session.render(view.camera)[0]
                looks.append(pool.submit(self._compare, view, image, memory.get(f"{WEIGHTS}{number}")))
            found = [look.result() for look in looks]
        if self.colour_affine:
            memory[AFFINE] = centred(np.stack([change for change, _ in found]))
        if self.trimmed > 0:
            residuals = [residual for _, residual in found if residual is not None]
            limit = threshold(residuals, [view.alpha for view in views], self.trimmed)
            for number, weights in enumerate(pixel_weights(residuals, limit)):
                memory[f"{WEIGHTS}{number}"] = weights
        work.targets_changed = True

    def _compare(self, view: FitView, image: Image, weights: npt.NDArray[Any] | None) -> _Look:
        change = solve_affine(view.rgb, view.alpha, image, weights) if self.colour_affine else IDENTITY
        residual = patch_residual(view.rgb, view.alpha, change, image) if self.trimmed > 0 else None
        return change, residual
