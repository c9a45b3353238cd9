# SPDX-License-Identifier: Apache-2.0
"""The training loop: one view a step, rates that fall with the run, curves, early stop, time budget, NaN guard.

All that a run carries from step to step is in `RunState`, the parameters and Adam's moments; everything random is a
function of the step (`schedule`). So a checkpoint of these three resumes bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import attrs
import numpy as np
import numpy.typing as npt

from backend.evaluation.metrics import psnr
from backend.kernels.parameters import ROW_OPACITY, ROW_QUAT, AdamState, SplatParameters
from backend.kernels.rasterizer import LossWeights, Rasterizer, Session, Step, StepResult, Target
from interchange.errors import Cancelled, InputError, Progress

from .dataset import FitView, never
from .schedule import background, learning_rates, view_index
from .settings import FitSettings

PLATEAU = 0.005
"""A run goes on as long as the loss of the last rounds is lower, by this part at least, than that of those before."""
PATIENCE = 4
"""Rounds (epochs of at least 25 steps) that are compared with as many before."""
_ROUND_STEPS = 25
LAST_PART = 0.15
"""Share of the run that is still done, with falling rates, once a plateau is reached."""
MAX_DIVERGENCES = 3
MAX_BROKEN = 0.01
"""Share of splats whose numbers may break without the run counting as diverged."""
_DEAD_LOGIT = -20.0
_REPORT_EVERY_S = 0.2
_BUDGET_WARM_UP = 10  # steps before the time budget is turned into a number of steps
_BUDGET_EVERY = 5  # steps between two looks at it


@attrs.define
class RunState:
    """Where a run is. Plain numbers and lists, so that a checkpoint can hold it as JSON."""

    planned: int  # steps that the rates' decay is spread over
    iteration: int = 0  # steps done
    seconds: float = 0.0  # of training, over all sittings
    round_loss: float = 0.0  # sum over the present round
    rounds: list[float] = attrs.field(factory=list)  # mean losses of the last rounds
    stopping: str = ""  # why the run ends before its planned steps: "plateau", "time budget" or nothing
    rate_cut: float = 1.0  # halved by each divergence
    divergences: int = 0
    evaluated: int = 0  # marks of the curve that are done
    curve: dict[str, list[float | None]] = attrs.field(
        factory=lambda: {"iteration": [], "loss": [], "psnr": [], "seconds": []}
    )
    recent_loss: list[float] = attrs.field(factory=list)  # since the curve's last point


@attrs.frozen
class Observer:
    """Who watches a run and may end it. Every field may be left out."""

    progress: Progress | None = None
    cancelled: Callable[[], bool] = never
    preview_wanted: Callable[[], bool] = lambda: False
    preview: Callable[[npt.NDArray[np.uint8], int], None] | None = None  # gets (H, W, 3) sRGB over black, and the step
    clock: Callable[[], float] = time.monotonic


@attrs.define(eq=False)
class Trainer:
    """Fits `parameters` to views. `save` writes a checkpoint; it is called every `checkpoint_every_s` and on cancel."""

    engine: Rasterizer
    parameters: SplatParameters
    adam: AdamState
    views: list[FitView]
    held_out: list[FitView]
    reach: float  # metres: the unit of the means' rate
    settings: FitSettings
    run: RunState
    observer: Observer
    save: Callable[[], None]
    _session: Session = attrs.field(init=False)
    _good: tuple[npt.NDArray, npt.NDArray, npt.NDArray, RunState] | None = attrs.field(init=False, default=None)
    _marks: dict[str, float] = attrs.field(init=False, factory=dict)

    def train(self) -> None:
        """Run to the end. Raises Cancelled (after a checkpoint) when told, InputError if the fit diverges for good."""
        weights = LossWeights(self.settings.ssim_weight, self.settings.alpha_weight)
        targets = [Target(view.camera, view.rgb, view.alpha) for view in self.views]
        self._session = self.engine.begin(self.parameters, self.adam, targets, weights)
        try:
            self._train()
        finally:
            self._session.close()

    def _train(self) -> None:
        now = self.observer.clock()
        self._marks = {"start": now - self.run.seconds, "saved": now, "reported": -math.inf, "budgeted": -math.inf}
        self._remember()
        while self.run.iteration < self.run.planned:
            if self.observer.cancelled():
                self._save()
                raise Cancelled
            self._advance()
            self._keep_time()
            if self.run.iteration >= self.run.planned:
                self._evaluate()  # which may find the run diverged and send it back

    def _advance(self) -> None:
        """Hand the engine as many steps as it likes at a time, but none across a round's or the curve's mark."""
        run = self.run
        last = min(run.iteration + self.engine.steps_at_once, self._next_mark())
        results = self._session.run([self._plan(i) for i in range(run.iteration + 1, last + 1)])
        for result in results:
            run.iteration += 1
            if not self._take_note(result):
                return
        due = run.iteration * self.settings.evaluations >= (run.evaluated + 1) * run.planned
        if due and run.iteration < run.planned:
            self._evaluate()

    def _next_mark(self) -> int:
        """The next step after which the plan may change (end of a round) or the curve wants a point."""
        run = self.run
        marks = [run.planned, run.iteration + self._round_steps() - run.iteration % self._round_steps()]
        if self.settings.evaluations:
            marks.append(-(-(run.evaluated + 1) * run.planned // self.settings.evaluations))
        return max(run.iteration + 1, min(marks))

    def _plan(self, iteration: int) -> Step:
        run, settings = self.run, self.settings
        rates = learning_rates(settings, self.reach, iteration / run.planned)
        return Step(
            view_index(iteration, len(self.views), settings.seed),
            iteration,
            self.parameters.learning_rates(**{name: rate * run.rate_cut for name, rate in rates.items()}),
            background(iteration, settings),
        )

    def _take_note(self, result: StepResult) -> bool:
        """Count a step that was taken; False if it has broken the run and the run went back."""
        if not math.isfinite(result.loss):
            self._go_back()
            return False
        self.run.recent_loss.append(result.loss)
        self._watch_plateau(result.loss)
        return True

    def _save(self) -> None:
        self._session.pull()
        self.save()

    def _round_steps(self) -> int:
        return len(self.views) * -(-_ROUND_STEPS // len(self.views))

    def _watch_plateau(self, loss: float) -> None:
        """After each round: has the loss still fallen? If not, let the rates decay now and end."""
        run, steps = self.run, self._round_steps()
        run.round_loss += loss
        if run.iteration % steps:
            return
        run.rounds = [*run.rounds, run.round_loss / steps][-2 * PATIENCE :]
        run.round_loss = 0.0
        if not self.settings.early_stop or run.stopping or len(run.rounds) < 2 * PATIENCE:
            return
        left = max(steps, round(LAST_PART * run.planned))
        before, now = sum(run.rounds[:PATIENCE]), sum(run.rounds[PATIENCE:])
        if now > before * (1 - PLATEAU) and run.iteration + left < run.planned:
            run.planned, run.stopping = run.iteration + left, "plateau"

    def _keep_time(self) -> None:
        """Clock, time budget, checkpoint, report, preview."""
        run, now = self.run, self.observer.clock()
        run.seconds = now - self._marks["start"]
        budget = self.settings.time_budget_s
        if budget is not None and run.iteration >= max(_BUDGET_WARM_UP, self._marks["budgeted"] + _BUDGET_EVERY):
            self._marks["budgeted"] = run.iteration
            affordable = run.iteration + max(0, int((budget - run.seconds) / (run.seconds / run.iteration)))
            wanted = run.planned if run.stopping == "plateau" else self.settings.iterations
            if affordable < wanted:
                run.planned, run.stopping = affordable, "time budget"
        if now - self._marks["saved"] >= self.settings.checkpoint_every_s and run.iteration < run.planned:
            self._save()
            self._marks["saved"] = self.observer.clock()
        if now - self._marks["reported"] >= _REPORT_EVERY_S:
            self._marks["reported"] = now
            self._report()
        if self.observer.preview is not None and self.observer.preview_wanted():
            image, _ = self._session.render(self.views[0].camera)
            self.observer.preview(to_8_bit(image), run.iteration)

    def _report(self) -> None:
        run = self.run
        if self.observer.progress is None or not run.recent_loss:
            return
        eta = (run.planned - run.iteration) * run.seconds / run.iteration
        quality = [p for p in run.curve["psnr"] if p is not None][-1:]
        decibel = f", held-out {quality[0]:.1f} dB" if quality else ""
        message = f"step {run.iteration} of {run.planned}, loss {run.recent_loss[-1]:.4f}{decibel}, {eta:.0f} s left"
        self.observer.progress("fit", run.iteration / run.planned, message)

    def _evaluate(self) -> None:
        """Remember the present state as sound, if it is, and add a point to the curve."""
        iteration = self.run.iteration
        self._remember()
        run = self.run
        if run.iteration < iteration or iteration in run.curve["iteration"][-1:]:
            return
        run.evaluated = run.iteration * self.settings.evaluations // run.planned
        run.seconds = self.observer.clock() - self._marks["start"]
        losses, run.recent_loss = run.recent_loss, []
        scores = [psnr(np.clip(self._session.render(v.camera)[0], 0, 1), v.rgb) for v in self.held_out]
        run.curve["iteration"].append(run.iteration)
        run.curve["loss"].append(float(np.mean(losses)) if losses else None)
        run.curve["psnr"].append(float(np.mean(scores)) if scores else None)
        run.curve["seconds"].append(round(run.seconds, 3))

    def _remember(self) -> None:
        """Keep a copy to go back to; a few splats with broken numbers are buried first (invisible, at rest)."""
        self._session.pull()
        block, first, second = self.parameters.block, self.adam.first, self.adam.second
        broken = ~(np.isfinite(block).all(axis=0) & np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0))
        if self._good is not None and broken.mean() > MAX_BROKEN:
            self._go_back()
            return
        if broken.any():
            block[:, broken] = 0
            block[ROW_QUAT, broken], block[ROW_OPACITY, broken] = 1, _DEAD_LOGIT  # a unit quaternion, no opacity
            first[:, broken] = second[:, broken] = 0
            self._session.push()
        self._good = (block.copy(), first.copy(), second.copy(), attrs.evolve(self.run))

    def _go_back(self) -> None:
        """The loss is not a number: return to the last sound state and go on with half the rates."""
        assert self._good is not None
        block, first, second, run = self._good
        divergences = self.run.divergences + 1
        if divergences > MAX_DIVERGENCES:
            raise InputError(
                f"The fit diverges: its loss is not a number at step {self.run.iteration}, "
                f"after {MAX_DIVERGENCES} restarts with smaller rates.",
                "Lower rate_scale, or check the capture's cameras.",
            )
        self.parameters.block[...] = block
        self.adam.first[...] = first
        self.adam.second[...] = second
        self._session.push()
        self.run.iteration, self.run.round_loss, self.run.rounds = run.iteration, run.round_loss, run.rounds
        self.run.divergences, self.run.rate_cut = divergences, self.run.rate_cut / 2
        self.run.recent_loss = []


def to_8_bit(image: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:  # (H, W, 3) 0..1
    """Clip and round to 0..255."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
