# SPDX-License-Identifier: Apache-2.0
"""The pieces of a job that a GPU does not take over, each called as the job calls it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import attrs
import numpy as np

from backend.evaluation.evaluate import evaluate
from backend.evaluation.held_out import held_out_scores
from backend.evaluation.perceptual import find_judges
from backend.faceswap.registry import UvSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from backend.faceswap.swap import swap
from backend.faceswap.swapper import PreparedSwap
from backend.fitting.dataset import Dataset, load_dataset
from backend.fitting.engines import EngineChoice
from backend.fitting.first_state import first_state
from backend.fitting.fit import export
from backend.fitting.initialisation import Start, initialise
from backend.fitting.settings import FitSettings
from backend.fitting.state import FitState
from backend.fitting.trainer import Observer, Trainer
from backend.fitting.usual import interventions_for
from backend.kernels.exr_blocks import BLOCKS
from backend.pipeline import sign
from interchange.capture import Capture, View, ViewImages, write_preview, write_view

from .idle import IdleEngine
from .meter import Cost, measure

Item = TypeVar("Item")
Result = TypeVar("Result")


@attrs.frozen
class Row:
    """A line of the table. views: that the work is done for, 0 where it does not grow with them."""

    name: str
    cost: Cost
    views: int = 0


@attrs.frozen
class Plan:
    """What is measured. threads: views at a time, None for one a core."""

    capture: Path
    source: Path
    work: Path
    splats: int
    rounds: int
    threads: int | None

    @property
    def side_by_side(self) -> int:
        """Views at a time."""
        return self.threads or os.cpu_count() or 1

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
        """As a job works on views."""
        with ThreadPoolExecutor(self.side_by_side) as pool:
            return list(pool.map(work, items))


def swap_rows(plan: Plan) -> list[Row]:
    """Reading, skin, changing, writing; then the stage as a whole."""
    capture, source = Capture.load(plan.capture), load_source(plan.source)
    settings = SwapSettings(engine="cpu", threads=plan.threads)

    def prepare() -> PreparedSwap:
        return UvSwapper().prepare(capture, source, settings, None, lambda: False)

    prepare()  # compiles
    skin, prepared = measure(prepare, plan.rounds)
    rows = [Row("swap: the new skin", skin), *_view_rows(plan, capture, prepared)]
    out = plan.work / "swapped"
    whole, _ = measure(
        lambda: swap(plan.capture, plan.source, out, settings), plan.rounds, lambda: shutil.rmtree(out, True)
    )
    return [*rows, Row("swap as a whole", whole, len(capture.views))]


def _view_rows(plan: Plan, capture: Capture, prepared: PreparedSwap) -> list[Row]:
    """What is done with each view, one after the other; few are held in memory at a time."""
    mesh, views = capture.load_mesh(), capture.views
    layers = {*getattr(prepared, "layers", ()), "depth", "mask"} if getattr(prepared, "layers", None) else None

    def read(view: View) -> ViewImages:
        return capture.load_view(view, layers, BLOCKS)

    some = views[: 2 * plan.side_by_side]
    held = plan.each(read, some)

    def change(k: int) -> ViewImages:
        rgb = prepared.change(held[k], mesh, some[k].camera)
        return ViewImages(rgb=rgb, alpha=held[k].alpha, depth=held[k].depth, masks=held[k].masks)

    change(0)  # compiles
    reading, _ = measure(lambda: plan.each(lambda view: read(view) is None, views), plan.rounds)
    changing, results = measure(lambda: plan.each(change, range(len(some))), plan.rounds)
    folder = plan.work / "written"
    folder.mkdir(parents=True, exist_ok=True)

    def write(k: int) -> None:
        write_view(folder / f"{k}.exr", results[k], BLOCKS)
        write_preview(folder / f"{k}.png", results[k])

    writing, _ = measure(lambda: plan.each(write, range(len(some))), plan.rounds)
    return [
        Row("swap: reading views", reading, len(views)),
        Row("swap: changing views on the CPU", changing, len(some)),
        Row("swap: writing views", writing, len(some)),
    ]


def fit_rows(plan: Plan) -> list[Row]:
    """Of the swapped capture: reading, placing, what goes on beside the steps, export."""
    capture = Capture.load(plan.work / "swapped")
    read, dataset = measure(lambda: load_dataset(capture), plan.rounds)
    rows = [Row("fit: reading views", read, len(capture.views))]
    for degree in (2, 3):
        settings = FitSettings(splats=plan.splats, sh_degree=degree)
        initialise(dataset, attrs.evolve(settings, splats=2000))  # compiles
        placing, start = measure(lambda settings=settings: initialise(dataset, settings), plan.rounds)  # type: ignore[misc]
        rows.append(Row(f"fit: placing splats, SH {degree}", placing, len(dataset.train)))
        if degree == 2:
            rows += _after_placing(plan, dataset, settings, start)
    return rows


def _after_placing(plan: Plan, dataset: Dataset, settings: FitSettings, start: Start) -> list[Row]:
    engine = IdleEngine(np.clip(dataset.held_out[0].rgb * np.float32(1.02), 0, 1))
    double = plan.work / "double"

    def train() -> FitState:
        state = first_state(start, settings)
        Trainer(engine, state, dataset.train, dataset.held_out, settings, Observer(), lambda: None,
                interventions_for(settings, state, len(dataset.train))).train()  # fmt: skip
        return state

    beside, state = measure(train, plan.rounds)
    held_out_scores(engine.picture[:64, :64], engine.picture[:64, :64], None, find_judges())  # compiles
    choice = EngineChoice("cpu", "")
    exported, _ = measure(
        lambda: export(double, engine, choice, dataset, settings, state, [], None), plan.rounds,
        lambda: shutil.rmtree(double, True),
    )  # fmt: skip
    shown = len(dataset.held_out)
    return [
        Row(f"fit: beside its steps, {settings.evaluations} looks", beside, shown),
        Row("fit: export", exported, shown),
    ]


def report_rows(plan: Plan) -> list[Row]:
    """What a job does with the double after the fit."""
    swapped, double = plan.work / "swapped", plan.work / "double"
    views = len(Capture.load(plan.capture).views)
    judged, _ = measure(lambda: evaluate(plan.capture, swapped, double), plan.rounds)
    signed, _ = measure(lambda: sign(double, plan.capture, plan.source, {}, swapped), plan.rounds)
    return [Row("evaluate", judged, views), Row("sign", signed, views)]
