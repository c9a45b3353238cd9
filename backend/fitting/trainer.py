# SPDX-License-Identifier: Apache-2.0
"""The training loop: one view a step, rates that fall with the run, curves, early stop, time budget, NaN guard.

All that a run carries from step to step is in `FitState`; everything random is a function of the step (`schedule`). So
a checkpoint of it resumes bit for bit. Splats, moments and targets live in the engine's session while steps are taken;
what changes them between steps is in `interventions`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import attrs
import numpy as np
import numpy.typing as npt

from backend.evaluation.metrics import psnr
from backend.kernels.parameters import ROW_OPACITY, ROW_QUAT
from backend.kernels.rasterizer import LossWeights, Rasterizer, Session, Step, StepResult
from interchange.errors import Cancelled, InputError, Progress

from .dataset import FitView, never, stop_if
from .densification import DefaultDensification
from .initialisation import common_sphere
from .interventions import Intervention, Work
from .pacing import fit_time_budget, round_steps, watch_plateau
from .schedule import background, learning_rates, level_at, settled_after, view_index
from .settings import FitSettings
from .state import FitState, RunState
from .targets import prepare_targets

MAX_DIVERGENCES = 3
MAX_BROKEN = 0.01
"""Share of splats whose numbers may break without the run counting as diverged."""
_DEAD_LOGIT = -20.0
_REPORT_EVERY_S = 0.2
_BUDGET_EVERY = 5  # steps between two looks at the time budget


def first_view(train: Sequence[FitView], held_out: Sequence[FitView]) -> FitView:
    """The view that previews show if nothing else is asked for."""
    return train[0]


@attrs.frozen
class Observer:
    """Who watches a run and may end it. Every field may be left out."""

    progress: Progress | None = None
    cancelled: Callable[[], bool] = never
    preview_wanted: Callable[[], bool] = lambda: False
    preview: Callable[[npt.NDArray[np.uint8], int], None] | None = None  # gets (H, W, 3) sRGB over black, and the step
    preview_of: Callable[[Sequence[FitView], Sequence[FitView]], FitView] = first_view  # gets training, held-out views
    clock: Callable[[], float] = time.monotonic


@attrs.define(eq=False)
class Trainer:
    """Fits the state's splats to views. `save` writes a checkpoint, every `checkpoint_every_s` and on cancel."""

    engine: Rasterizer
    state: FitState
    views: list[FitView]
    held_out: list[FitView]
    settings: FitSettings
    observer: Observer
    save: Callable[[], None]
    interventions: list[Intervention] = attrs.field(factory=list)
    _session: Session = attrs.field(init=False)
    _good: FitState | None = attrs.field(init=False, default=None)
    _marks: dict[str, float] = attrs.field(init=False, factory=dict)
    _first: tuple[int, float] | None = attrs.field(init=False, default=None)  # step and time from which the pace counts

    @property
    def run(self) -> RunState:
        """Where the run is."""
        return self.state.run

    def train(self) -> None:
        """Run to the end. Raises Cancelled (after a checkpoint) when told, InputError if the fit diverges for good."""
        self._session = self._open()
        try:
            self._train()
        finally:
            self._session.close()

    def _open(self) -> Session:
        state, settings = self.state, self.settings
        length = 0.1 * 2 * common_sphere(self.views)[1] if settings.depth_weight else 1.0
        weights = LossWeights(settings.ssim_weight, settings.alpha_weight, settings.depth_weight, length)
        targets = prepare_targets(self.views, state.memory, settings)
        statistics = any(isinstance(i, DefaultDensification) for i in self.interventions)
        return self.engine.begin(state.parameters, state.adam, targets, weights, statistics)

    def _train(self) -> None:
        now = self.observer.clock()
        self._marks = {"start": now - self.run.seconds, "saved": now, "reported": -math.inf, "budgeted": -math.inf}
        self._first = None
        self._remember()
        while self.run.iteration < self.run.planned:
            try:
                stop_if(self.observer.cancelled)
                self._intervene()
            except Cancelled:
                self._save()
                raise
            self._advance()
            self._keep_time()
            if self.run.iteration >= self.run.planned:
                self._evaluate()  # which may find the run diverged and send it back

    def _intervene(self) -> None:
        """Let everything act that is due before the next step. The order is that of the list: see `usual`."""
        for intervention in self.interventions:
            if intervention.next_turn(self.run, self.run.iteration) == self.run.iteration:
                work = self._work()
                intervention.act(work)
                if work.targets_changed:
                    self._session.retarget(prepare_targets(self.views, self.state.memory, self.settings))

    def _work(self) -> Work:
        return Work(self.state, self._session, self.settings, self.views, self.observer.cancelled)

    def _advance(self) -> None:
        """Hand the engine as many steps as it likes at a time, but none across a mark."""
        run = self.run
        last = min(run.iteration + self.engine.steps_at_once, self._next_mark())
        results = self._session.run(self._plan(i) for i in range(run.iteration + 1, last + 1))
        for result in results:
            run.iteration += 1
            if not self._take_note(result):
                return
        for intervention in self.interventions:
            intervention.watch(self._work())
        due = run.iteration * self.settings.evaluations >= (run.evaluated + 1) * run.planned
        if due and run.iteration < run.planned:
            self._evaluate()

    def _next_mark(self) -> int:
        """The next step after which the plan may change (end of a round, a turn) or the curve wants a point."""
        run, steps = self.run, round_steps(len(self.views))
        marks = [run.planned, run.iteration + steps - run.iteration % steps]
        marks += [intervention.next_turn(run, run.iteration + 1) for intervention in self.interventions]
        if self.settings.evaluations:
            marks.append(-(-(run.evaluated + 1) * run.planned // self.settings.evaluations))
        return max(run.iteration + 1, min(marks))

    def _plan(self, iteration: int) -> Step:
        run, settings, parameters = self.run, self.settings, self.state.parameters
        rates = learning_rates(settings, self.state.reach, iteration / run.planned, run.planned)
        level = level_at(iteration / run.planned, settings)
        return Step(
            level * len(self.views) + view_index(iteration, len(self.views), settings.seed),
            iteration,
            parameters.learning_rates(**{name: rate * run.rate_cut for name, rate in rates.items()}),
            background(iteration, settings),
        )

    def _take_note(self, result: StepResult) -> bool:
        """Count a step that was taken; False if it has broken the run and the run went back."""
        if not math.isfinite(result.loss):
            self._go_back()
            return False
        self.run.recent_loss.append(result.loss)
        earliest = round(settled_after(self.settings) * self.run.planned)
        watch_plateau(self.run, result.loss, round_steps(len(self.views)), self.settings, earliest)
        return True

    def _save(self) -> None:
        self._session.pull()
        self.save()

    def _keep_time(self) -> None:
        """Clock, time budget, checkpoint, report, preview."""
        run, now = self.run, self.observer.clock()
        run.seconds = now - self._marks["start"]
        if self._first is None or run.iteration < self._first[0]:
            self._first = run.iteration, now
        if run.iteration >= self._marks["budgeted"] + _BUDGET_EVERY:
            self._marks["budgeted"] = run.iteration
            fit_time_budget(run, self.settings, self._pace(now) or run.seconds / run.iteration)
        if now - self._marks["saved"] >= self.settings.checkpoint_every_s and run.iteration < run.planned:
            self._save()
            self._marks["saved"] = self.observer.clock()
        if now - self._marks["reported"] >= _REPORT_EVERY_S:
            self._marks["reported"] = now
            self._report(now)
        if self.observer.preview is not None and self.observer.preview_wanted():
            view = self.observer.preview_of(self.views, self.held_out)
            image, _ = self._session.render(view.camera)
            self.observer.preview(to_8_bit(image), run.iteration)

    def _pace(self, now: float) -> float | None:
        """Seconds a step in this sitting, or None before there are enough: the first compiles the kernels."""
        done = self.run.iteration - self._first[0] if self._first else 0
        return (now - self._first[1]) / done if self._first and done > 0 else None

    def _report(self, now: float) -> None:
        run = self.run
        if self.observer.progress is None or not run.recent_loss:
            return
        pace = self._pace(now)
        left = "" if pace is None else f", {(run.planned - run.iteration) * pace:.0f} s left"
        quality = [p for p in run.curve["psnr"] if p is not None][-1:]
        decibel = f", held-out {quality[0]:.1f} dB" if quality else ""
        message = f"step {run.iteration} of {run.planned}, loss {run.recent_loss[-1]:.4f}{decibel}{left}"
        self.observer.progress("fit", run.iteration / run.planned, message)

    def _evaluate(self) -> None:
        """Remember the present state as sound, if it is, and add a point to the curve."""
        iteration, began = self.run.iteration, self.observer.clock()
        self._remember()
        run = self.run
        if run.iteration < iteration or iteration in run.curve["iteration"][-1:]:
            return
        run.evaluated = run.iteration * self.settings.evaluations // run.planned
        losses, run.recent_loss = run.recent_loss, []
        scores = self._held_out_scores()
        run.curve["iteration"].append(run.iteration)
        run.curve["loss"].append(float(np.mean(losses)) if losses else None)
        run.curve["psnr"].append(float(np.mean(scores)) if scores else None)
        run.curve["seconds"].append(round(began - self._marks["start"] - run.measuring, 3))
        run.curve["splats"].append(self.state.parameters.count)
        run.measuring += self.observer.clock() - began

    def _held_out_scores(self) -> list[float]:
        """PSNR of each held-out view, measured while the engine renders the next."""
        with ThreadPoolExecutor() as pool:
            shown = ((self._session.render(view.camera)[0], view.rgb) for view in self.held_out)
            return [one.result() for one in [pool.submit(_clipped_psnr, *pair) for pair in shown]]

    def _remember(self) -> None:
        """Keep a copy to go back to; a few splats with broken numbers are buried first (invisible, at rest)."""
        self._session.pull()
        if not self.state.is_finite() and not self._mend():
            self._go_back()
            return
        self._good = self.state.copy(self._good)

    def _mend(self) -> bool:
        """Bury the splats with broken numbers; False if they are so many that the run must go back."""
        block, first, second = self.state.blocks()
        broken = ~(np.isfinite(block).all(axis=0) & np.isfinite(first).all(axis=0) & np.isfinite(second).all(axis=0))
        if self._good is not None and broken.mean() > MAX_BROKEN:
            return False
        block[:, broken] = 0
        block[ROW_QUAT, broken], block[ROW_OPACITY, broken] = 1, _DEAD_LOGIT  # a unit quaternion, no opacity
        first[:, broken] = second[:, broken] = 0
        self._session.push()
        return True

    def _go_back(self) -> None:
        """The loss is not a number: return to the last sound state and go on with half the rates."""
        assert self._good is not None
        run, good = self.run, self._good.run
        divergences = run.divergences + 1
        if divergences > MAX_DIVERGENCES:
            raise InputError(
                f"The fit diverges: its loss is not a number at step {run.iteration}, "
                f"after {MAX_DIVERGENCES} restarts with smaller rates.",
                "Lower rate_scale, or check the capture's cameras.",
            )
        self.state.take_splats(self._good)
        self._session.close()
        self._session = self._open()  # the targets, too, may have changed since
        run.iteration, run.round_loss, run.rounds = good.iteration, good.round_loss, good.rounds
        run.divergences, run.rate_cut = divergences, run.rate_cut / 2
        run.recent_loss = []


def _clipped_psnr(image: npt.NDArray[np.float32], goal: npt.NDArray[np.float32]) -> float:
    return psnr(np.clip(image, 0, 1, out=image), goal)


def to_8_bit(image: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:  # (H, W, 3) 0..1
    """Clip and round to 0..255."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
