# SPDX-License-Identifier: Apache-2.0
"""What choosing among many photos is worth: the swap with all of them, with those that it chooses, with the first few
by name, with as many at random; how near each comes to the truth, in how many seconds and how much memory."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np

from backend.faceswap.settings import SwapSettings
from interchange.capture import read_json
from interchange.png import write_png

from .bars import Bar, Outcome
from .many_photos import PHOTOS, Frame, sheet_of, sitters, source_of, turn
from .performers import CastSettings, Performer, render_cast
from .stage import Stage
from .swap_time import cost_of

SEEDS = (0, 1, 2)
COUNTS = (3, 5, 7, 9)
ALL, ONE = f"all {PHOTOS}", "the first alone"
SWAPPED = "swapped"
"""Folder of the swap that was measured last."""
_PORTRAIT = 384  # pixels
_NEAR = 36.0  # degrees: the views of swap_retrieval
_LOST, _SHARE = 0.1, 0.6  # dB that choosing may lose against all photos; of their processor time that it may take


@attrs.frozen
class Case:
    """frames: the source folder; most: the setting `photos`."""

    frames: list[Frame]
    most: int


@attrs.frozen
class ManyRow:
    """Mean over performers (and seeds): dB in the face in views to 35 degrees and in all, each performer's, wall and
    processor seconds; memory: GiB, the largest."""

    near: float
    every: float
    each: list[float]
    wall: float
    cpu: float
    memory: float


def run_many(makehuman: Path | None, count: int, folder: Path | None, sheet: Path | None) -> Outcome:
    """Render, swap, measure; prints the table and writes a sheet of all photos with those that are chosen framed."""
    drawn = CastSettings.of(None, makehuman, count)
    settings = attrs.evolve(drawn, portrait_size=_PORTRAIT, side=70.0, views=5, turned=0)
    root = folder or Path(tempfile.gettempdir()) / "digidouble-benchmarks" / f"many-{settings.name}"
    cast = render_cast(settings, root, sitters(makehuman is not None, count), {"skin.png": "truth"})
    stage = Stage.of(cast)
    found: dict[str, list[ManyRow]] = {}
    sheets = []
    for index, person in enumerate(cast.performers):
        for name, cases in cases_of(turn(index)).items():
            found.setdefault(name, []).append(mean_row([_measured(stage, person, case) for case in cases]))
            print(f"  {person.name}: {name}: {found[name][-1].every:.2f} dB", flush=True)
            if name == chosen(SwapSettings().photos):
                report = read_json(cast.of(person, SWAPPED) / "swap.json", "digidouble-swap", 1)
                sheets.append(sheet_of(cast, person, turn(index), [p["photo"] for p in report["choice"]["kept"]]))
    place = sheet or root / "sheet.png"
    write_png(place, np.concatenate(sheets))
    print(f"  all photos, those that were chosen framed: {place}")
    rows = {name: mean_row(each) for name, each in found.items()}
    print("\n".join(lines_of(rows)))
    return Outcome(bars_of(rows), {"many photos": {name: attrs.asdict(row) for name, row in rows.items()}})


def cases_of(frames: list[Frame]) -> dict[str, list[Case]]:
    """What is compared, by name; several where it depends on chance."""
    usual = SwapSettings().photos
    found = {ONE: [Case(frames[:1], 1)], ALL: [Case(frames, PHOTOS)]}
    found |= {chosen(n): [Case(frames, n)] for n in sorted({*COUNTS, usual})}
    found[first(usual)] = [Case(frames[:usual], usual)]
    found[at_random(usual)] = [Case(_drawn(frames, usual, seed), usual) for seed in SEEDS]
    return found


def chosen(count: int) -> str:
    """Name of a case."""
    return f"{count} chosen"


def first(count: int) -> str:
    """Name of a case."""
    return f"the first {count} by name"


def at_random(count: int) -> str:
    """Name of a case."""
    return f"the first and {count - 1} at random"


def _drawn(frames: list[Frame], count: int, seed: int) -> list[Frame]:
    others = np.random.default_rng([17, seed]).choice(np.arange(1, len(frames)), count - 1, replace=False)
    return [frames[0], *(frames[i] for i in sorted(others))]


def _measured(stage: Stage, person: Performer, case: Case) -> ManyRow:
    source = source_of(stage.cast, person, case.frames, stage.cast.of(person, "many"))
    out = stage.cast.of(person, SWAPPED)
    shutil.rmtree(out, ignore_errors=True)
    command = ["swap", "--capture", stage.cast.capture, "--source", source, "--out", out, "--engine", "cpu",
               "--photos", case.most, "--eye-colour", 0]  # fmt: skip
    cost = cost_of([sys.executable, "-m", "backend.cli", *map(str, command)])
    figures = np.array(stage.truth_psnrs(person, stage.pictures(out)))
    near = figures[[abs(azimuth) < _NEAR for azimuth in stage.azimuths()]]
    every = float(figures.mean())
    return ManyRow(float(near.mean()), every, [every], cost.wall, cost.cpu, cost.memory)


def mean_row(rows: Sequence[ManyRow]) -> ManyRow:
    """Of performers or seeds."""

    def mean(name: str) -> float:
        return round(float(np.mean([getattr(row, name) for row in rows])), 3)

    each = [round(row.every, 3) for row in rows]
    memory = round(max(row.memory for row in rows), 3)
    return ManyRow(mean("near"), mean("every"), each, mean("wall"), mean("cpu"), memory)


def bars_of(rows: dict[str, ManyRow]) -> list[Bar]:
    """Choosing costs little quality and much less time, and is better than chance."""
    usual = SwapSettings().photos
    mine, every = rows[chosen(usual)], rows[ALL]
    return [
        Bar(f"{usual} chosen above all {PHOTOS}", mine.every - every.every, "dB", at_least=-_LOST),
        Bar(f"{usual} chosen above the first {usual} by name", mine.every - rows[first(usual)].every, "dB", at_least=0),
        Bar(f"{usual} chosen above {usual} at random", mine.every - rows[at_random(usual)].every, "dB", at_least=0),
        Bar("processor time, chosen / all", mine.cpu / every.cpu, "x", at_most=_SHARE),
        Bar("memory, chosen / all", mine.memory / every.memory, "x", at_most=1),
    ]


def lines_of(rows: dict[str, ManyRow]) -> list[str]:
    """The table for the terminal."""
    lines = [f"{'dB in the face':<28}{'to 35':>8}{'to 70':>8}{'wall s':>8}{'cpu s':>8}{'GiB':>7}   each, to 70"]
    return lines + [
        f"{name:<28}{r.near:>8.2f}{r.every:>8.2f}{r.wall:>8.1f}{r.cpu:>8.1f}{r.memory:>7.2f}   {r.each}"
        for name, r in rows.items()
    ]
