# SPDX-License-Identifier: Apache-2.0
"""How long a fit takes to reach a quality: what benchmarks of the whole trainer ask for. Nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import attrs

from .dataset import Dataset
from .engines import choose_engine, open_engine
from .first_state import first_state
from .initialisation import initialise
from .settings import FitSettings
from .trainer import Observer, Trainer
from .usual import interventions_for

STEPS_BETWEEN = 25
"""Held-out views are measured once in so many steps; that time does not count."""


@attrs.frozen
class QualityTime:
    """A run's curve, in seconds of the clock that was given, from the start of placing splats."""

    placing: float  # seconds of it that went into the first splats
    curve: dict[str, list[float | None]]  # iteration, loss, psnr (mean over held-out views, dB), seconds, splats
    reached: dict[float, float | None]  # dB -> seconds until it was first measured; None: not reached


def time_to_quality(
    dataset: Dataset,
    settings: FitSettings,
    decibels: Sequence[float],
    clock: Callable[[], float] = time.monotonic,
    steps_between: int = STEPS_BETWEEN,
) -> QualityTime:
    """Fit once, without checkpoints, and see when the held-out views' mean PSNR reaches each of `decibels`.

    It is measured every `steps_between` steps.

    The kernels should be compiled. On a machine shared with others, `lambda: time.process_time() / cores` is fairer
    than the wall's clock. Reading the pictures does not count: the caller has done it.
    """
    evaluations = max(1, settings.iterations // steps_between)
    settings = attrs.evolve(settings, evaluations=evaluations, checkpoint_every_s=1e9, early_stop=False)
    engine = open_engine(choose_engine(settings), settings, [v.camera for v in dataset.train + dataset.held_out])
    began = clock()
    start = initialise(dataset, settings)
    state = first_state(start, settings)
    run = state.run
    run.seconds = placing = clock() - began
    interventions = interventions_for(settings, state, len(dataset.train))
    Trainer(engine, state, dataset.train, dataset.held_out, settings, Observer(clock=clock), lambda: None,
            interventions).train()  # fmt: skip
    points = list(zip(run.curve["psnr"], run.curve["seconds"], strict=True))
    reached = {
        level: next((seconds for psnr, seconds in points if psnr is not None and psnr >= level), None)
        for level in decibels
    }
    return QualityTime(placing, run.curve, reached)
