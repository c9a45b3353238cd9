# SPDX-License-Identifier: Apache-2.0
"""Adaptive density control: splats are added where the loss pulls hardest, and dropped where nothing is left of them.

After Kerbl et al. 2023, section 5, with the opacities of children corrected as by Rota Bulò et al. 2024 ("Revising
Densification in Gaussian Splatting"), and two changes for runs of a thousand steps instead of thirty thousand: the
window is a part of the run, and where more splats ask to be copied than may be added, those with the largest pull go
first. Opacities are not reset: in runs this short the loss has no time to get over it.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT

from .columns import Columns
from .interventions import Work, every
from .schedule import DENSIFY_BEGIN, DENSIFY_END
from .state import RunState

PERIOD = 50
"""Steps between two turns."""
PULL = 2e-4
"""Mean gradient of a splat's place on the screen, the frame's sides being 2 long, from which it is copied."""
LARGE = 0.01
"""Splats wider than this, in units of the cloud's radius, are split in two, narrower ones copied."""
HUGE = 0.1
"""Splats wider than this are dropped."""
DEAD_OPACITY = 0.005
SHRINK = 1.6
"""Both halves of a split splat are narrower by this factor."""
_GRADIENT, _SEEN = "densification.gradient", "densification.seen"


@attrs.frozen
class DefaultDensification:
    """Clone, split, prune. Needs a session that was begun with statistics; keeps their sums in float64."""

    max_splats: int
    seed: int

    def next_turn(self, run: RunState, iteration: int) -> int:
        """See `Intervention.next_turn`."""
        return every(PERIOD, DENSIFY_BEGIN, DENSIFY_END, run, iteration)

    def watch(self, work: Work) -> None:
        """Add the steps' statistics up, here rather than on the device, so that a checkpoint may come at any time."""
        if work.state.run.fraction > DENSIFY_END:
            return
        found, memory = work.session.statistics(), work.state.memory
        for name, values in ((_GRADIENT, found.gradient_norm), (_SEEN, found.seen)):
            memory[name] = memory.get(name, np.zeros(len(values))) + values

    def act(self, work: Work) -> None:
        """See the module's text. Without statistics (a time budget may just have moved the window) nothing happens."""
        memory = work.state.memory
        if _SEEN not in memory:
            return
        work.session.pull_shapes()
        columns = Columns.of(work.state)
        pull = memory.pop(_GRADIENT) / np.maximum(memory.pop(_SEEN), 1)
        rng = np.random.default_rng([self.seed, 3, work.state.run.iteration])
        work.rearrange(densified(columns, pull, self.max_splats, rng))


def densified(
    columns: Columns,
    pull: npt.NDArray[np.float64],  # (N,)
    max_splats: int,
    rng: np.random.Generator,
) -> Columns:
    """Drop what is dead or huge; where `pull` exceeds PULL, split what is large and copy what is small.

    At least one splat stays. Children lie at random within their parent, inherit its place on the mesh and start
    without moments.
    """
    radius = cloud_radius(columns)
    width = np.exp(columns.block[ROW_LOG_SCALE:ROW_OPACITY]).max(axis=0)
    alive = (columns.opacities >= DEAD_OPACITY) & (width < HUGE * radius)
    if not alive.any():
        return columns
    columns, pull, width = columns.take(alive), pull[alive], width[alive]
    room = max(0, max_splats - len(columns))
    asking = np.flatnonzero(pull > PULL)
    chosen = np.sort(asking[np.argsort(-pull[asking], kind="stable")[:room]])
    children = columns.take(chosen)
    large = width[chosen] > LARGE * radius
    for half, where in ((columns, chosen), (children, np.arange(len(chosen)))):
        half.block[ROW_OPACITY, where] = shared_logit(half.block[ROW_OPACITY, where], 2)
        half.block[ROW_LOG_SCALE:ROW_OPACITY, where[large]] -= np.float32(np.log(SHRINK))
    shift = children.offsets(rng)
    children.block[ROW_MEAN:ROW_QUAT] += shift
    columns.block[ROW_MEAN:ROW_QUAT, chosen[large]] -= shift[:, large]
    columns.rest(chosen[large])
    children.rest(np.arange(len(children)))
    return columns.joined(children)


def cloud_radius(columns: Columns) -> float:
    """Half the diagonal of the box around the inner 96 % of the splats along each axis; scene units."""
    low, high = np.percentile(columns.block[ROW_MEAN:ROW_QUAT], [2, 98], axis=1)
    return max(float(np.linalg.norm(high - low)) / 2, 1e-9)


def shared_logit(logits: npt.NDArray[np.float32], copies: int | npt.NDArray) -> npt.NDArray[np.float32]:
    """Opacity logits with which `copies` coincident splats cover what one did: 1 - (1 - opacity)^(1 / copies)."""
    through = 1 / (1 + np.exp(logits.astype(np.float64)))  # 1 - opacity
    opacity = np.clip(1 - through ** (1 / np.asarray(copies, np.float64)), 1e-6, 1 - 1e-6)
    return np.asarray(np.log(opacity / (1 - opacity)), np.float32)
