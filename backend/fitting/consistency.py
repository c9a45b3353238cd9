# SPDX-License-Identifier: Apache-2.0
"""Once in a few epochs: compare all pictures with the renders, and change how the loss sees the pictures."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from .colour_affine import AFFINE, IDENTITY, centred, matched, solve_affine
from .dataset import stop_if
from .interventions import Work, every
from .robust import WEIGHTS, patch_residual, pixel_weights, stored_weights, threshold
from .state import RunState

BEGIN, END = 0.15, 0.9
"""Part of the run in which pictures are compared: before, the renders say little."""
TURNS = 8
"""How many times they are compared in a run, about; never more than once an epoch."""


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
        found, residuals = [], list[npt.NDArray[np.float16]]()
        for number, view in enumerate(views):
            stop_if(work.cancelled)
            image = work.session.render(view.camera)[0]
            change = IDENTITY
            if self.colour_affine:
                change = solve_affine(view.rgb, view.alpha, image, stored_weights(memory, number))
                found.append(change)
            if self.trimmed > 0:
                residuals.append(patch_residual(matched(view.rgb, view.alpha, change), image).astype(np.float16))
        if self.colour_affine:
            memory[AFFINE] = centred(np.stack(found))
        if self.trimmed > 0:
            limit = threshold(residuals, [view.alpha for view in views], self.trimmed)
            for number, residual in enumerate(residuals):
                memory[f"{WEIGHTS}{number}"] = pixel_weights(residual, limit)
        work.targets_changed = True
