# SPDX-License-Identifier: Apache-2.0
"""All that a run carries from step to step: what a checkpoint holds, and what a diverged run returns to."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.buffers import aligned_copy
from backend.kernels.parameters import AdamState, SplatParameters


@attrs.define
class RunState:
    """Where a run is. Plain numbers and lists, so that a checkpoint can hold it as JSON."""

    planned: int  # steps that the rates' decay is spread over
    iteration: int = 0  # steps done
    seconds: float = 0.0  # of training, over all sittings, measuring included
    measuring: float = 0.0  # seconds of these that went into measuring the held-out views
    round_loss: float = 0.0  # sum over the present round
    rounds: list[float] = attrs.field(factory=list)  # mean losses of the last rounds
    stopping: str = ""  # why the run ends before its planned steps: "plateau", "time budget" or nothing
    rate_cut: float = 1.0  # halved by each divergence
    divergences: int = 0
    evaluated: int = 0  # marks of the curve that are done
    curve: dict[str, list[float | None]] = attrs.field(
        factory=lambda: {"iteration": [], "loss": [], "psnr": [], "seconds": [], "splats": []}
    )
    recent_loss: list[float] = attrs.field(factory=list)  # since the curve's last point

    @property
    def fraction(self) -> float:
        """Part of the run that is done, 0..1."""
        return self.iteration / self.planned


@attrs.define(eq=False)
class FitState:
    """Everything that a run needs to go on as if it had never stopped."""

    digest: str  # of inputs and settings: a checkpoint of other ones is not used
    parameters: SplatParameters
    adam: AdamState
    run: RunState
    reach: float  # metres: the unit of the means' rate
    kind: str  # how the splats were started
    face: npt.NDArray[np.int32]  # (N,) where each was born, in the order of the cloud; -1: not on a mesh
    barycentric: npt.NDArray[np.float32]  # (N, 3)
    memory: dict[str, npt.NDArray[Any]] = attrs.field(factory=dict)  # what interventions keep between their turns

    def copy(self, earlier: FitState | None = None) -> FitState:
        """A deep copy. `earlier`: one that is no longer needed; its memory is used again where it fits."""
        if earlier is not None and earlier.parameters.block.shape == self.parameters.block.shape:
            return self._copy_over(earlier)
        moments = AdamState(aligned_copy(self.adam.first), aligned_copy(self.adam.second))
        memory = {name: array.copy() for name, array in self.memory.items()}
        return FitState(
            self.digest, self.parameters.copy(), moments, attrs.evolve(self.run), self.reach, self.kind,
            self.face.copy(), self.barycentric.copy(), memory,
        )  # fmt: skip

    def _copy_over(self, other: FitState) -> FitState:
        """`other`, become a copy of this; splats and moments of both have one shape."""
        for own, theirs in zip(self.blocks(), other.blocks(), strict=True):
            np.copyto(theirs, own)
        parameters = attrs.evolve(self.parameters, block=other.parameters.block, order=self.parameters.order.copy())
        memory = {name: array.copy() for name, array in self.memory.items()}
        return attrs.evolve(
            self, parameters=parameters, adam=other.adam, run=attrs.evolve(self.run), face=self.face.copy(),
            barycentric=self.barycentric.copy(), memory=memory,
        )  # fmt: skip

    def blocks(self) -> tuple[npt.NDArray[np.float32], ...]:
        """Parameters and both moments, each (11 + 3 K, padded count)."""
        return self.parameters.block, self.adam.first, self.adam.second

    def is_finite(self) -> bool:
        """True if all of `blocks` is. A sum tells at once; only where it is not finite every number is looked at."""
        with np.errstate(over="ignore", invalid="ignore"):
            return all(np.isfinite(block.sum()) or np.isfinite(block).all() for block in self.blocks())

    def take_splats(self, other: FitState) -> None:
        """Become what `other` holds, except for `run`."""
        fresh = other.copy()
        self.parameters, self.adam = fresh.parameters, fresh.adam
        self.face, self.barycentric, self.memory = fresh.face, fresh.barycentric, fresh.memory
