# SPDX-License-Identifier: Apache-2.0
"""A classical swap whose points are found anew in every view, as tools that swap frame by frame find them.

What it imitates: a detector's error, which is mostly one for the whole face and differs from view to view. What it does
not: faces that are missed, jaws that slip along the outline, errors that grow with the turn of the head. No detector
is run; the exact points of the mesh are moved by a draw that depends on seed and camera alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from backend.faceswap.classical.swapper import ClassicalSwapper
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import Source
from backend.faceswap.swap import swap
from backend.faceswap.swapper import PreparedSwap
from interchange.cameras import Camera
from interchange.capture import Capture
from interchange.errors import Progress

from .bars import Bar
from .swap_measures import MethodRow, beyond, cell, figures, over, table_head, table_line
from .swap_noise import SEEDS
from .swap_scene import Scene

Floats = npt.NDArray[Any]
SHIFT, TURN, SCALE, EACH = 0.5, 0.125, 0.125, 0.25
"""Shares of the error's variance: the whole set's shift, turn and scale, and what every point has for itself."""
PIXELS = (1.0, 2.0)
RAW, FUSED = "classical, points found {:g} px off", "classical + consistency, {:g} px off"


@attrs.frozen
class Wobble:
    """Where the points are found. pixels: standard deviation of a coordinate's whole error, over points and views."""

    pixels: float
    seed: int

    def __call__(self, points: Floats, camera: Camera) -> npt.NDArray[np.float64]:
        """(N, 2) pixels, exact to found."""
        view = zlib.crc32(np.round(camera.world_to_camera, 9).astype("<f8").tobytes())
        generator = np.random.default_rng([self.seed, view])
        away = points - points.mean(0)
        radius = max(float(np.sqrt((away**2).sum(1).mean() / 2)), 1e-9)  # of a coordinate
        across = np.stack([-away[:, 1], away[:, 0]], axis=1)
        shift = np.sqrt(SHIFT) * generator.normal(size=2)
        turn = np.sqrt(TURN) * generator.normal() * across / radius
        scale = np.sqrt(SCALE) * generator.normal() * away / radius
        each = np.sqrt(EACH) * generator.normal(size=points.shape)
        moved: npt.NDArray[np.float64] = points + self.pixels * (shift + turn + scale + each)
        return moved


class WobblingSwapper(ClassicalSwapper):
    """The classical swapper that finds its points by a Wobble."""

    def __init__(self, wobble: Wobble) -> None:
        super().__init__(wobble)
        self._wobble = wobble

    def prepare(
        self, capture: Capture, source: Source, settings: SwapSettings, progress: Progress | None,
        cancelled: Callable[[], bool],
    ) -> PreparedSwap:  # fmt: skip
        """See Swapper."""
        prepared = super().prepare(capture, source, settings, progress, cancelled)
        return attrs.evolve(prepared, digest=repr(self._wobble))


def wobble_rows(
    scene: Scene, root: Path, measured: Callable[[Capture], MethodRow], seeds: Sequence[int] = SEEDS
) -> dict[str, list[MethodRow]]:
    """For points that far off, view by view and through the consistency stage: a row a seed."""
    found: dict[str, list[MethodRow]] = {}
    for off in PIXELS:
        for title, consistency in ((RAW, False), (FUSED, True)):
            name = title.format(off)
            print(f"  swapping: {name}, {len(seeds)} seeds", flush=True)
            settings = SwapSettings(swapper="classical", consistency=consistency)
            found[name] = []
            for seed in seeds:
                folder = folder_of(root, off, seed, consistency)
                swap(scene.capture, scene.source, folder, settings, swapper=WobblingSwapper(Wobble(off, seed)))
                found[name].append(measured(Capture.load(folder)))
    return found


def folder_of(root: Path, pixels: float, seed: int, consistency: bool) -> Path:
    """Where such a swap is kept."""
    return root / "swapped" / f"wobble_{pixels:g}px_{seed}_{'one_skin' if consistency else 'each_view'}"


def summary(rows: Sequence[MethodRow]) -> dict[str, dict[str, float] | None]:
    """By figure: mean and sd over the seeds."""
    every = [figures(row) for row in rows]
    found: dict[str, dict[str, float] | None] = {}
    for title in every[0]:
        values = [f[title] for f in every]
        known = [v for v in values if v is not None]
        whole = len(known) == len(values)
        found[title] = {"mean": float(np.mean(known)), "sd": float(np.std(known))} if whole else None
    return found


def wobble_lines(rows: Mapping[str, Sequence[MethodRow]]) -> list[str]:
    """The table for the terminal."""
    lines = [table_head(next(iter(rows.values()))[0])]
    for name, seeds in rows.items():
        cells = {
            title: "-" if v is None else f"{cell(v['mean'], 2)} ± {cell(v['sd'], 2)}"
            for title, v in summary(seeds).items()
        }
        lines.append(table_line(name, cells))
    return lines


def wobble_bars(
    rows: Mapping[str, Sequence[MethodRow]], perfect: float | None, pixels: Sequence[float] = PIXELS
) -> list[Bar]:
    """By how much the stage betters what each view was given, means over the seeds. perfect: the true
    swap's disagreement of the change, a second render's noise and resampling."""
    bars = []
    for off in pixels:
        raw, fused = ({t: (v or {}).get("mean") for t, v in summary(rows[title.format(off)]).items()}
                      for title in (RAW, FUSED))  # fmt: skip

        def above(title: str, raw: Any = raw, fused: Any = fused) -> float | None:
            return None if raw[title] is None or fused[title] is None else fused[title] - raw[title]

        def added(figures: Any) -> float | None:
            return None if figures["change"] is None or perfect is None else beyond(figures["change"], perfect)

        bars += [
            Bar(f"points {off:g} px off: RMSE of whole pictures, each view / one skin",
                over(raw["RMSE"], fused["RMSE"]), "x"),
            Bar(f"points {off:g} px off: levels added, each view", raw["added"], "of 255"),
            Bar(f"points {off:g} px off: levels added, one skin", fused["added"], "of 255"),
            Bar(f"points {off:g} px off: RMSE of the change, each view / one skin",
                over(raw["change"], fused["change"]), "x"),
            Bar(f"points {off:g} px off: the same beyond the true swap's", over(added(raw), added(fused)), "x",
                at_least=8),
            Bar(f"points {off:g} px off: truth PSNR, one skin above each view", above("truth dB"), "dB", at_least=2),
            Bar(f"points {off:g} px off: the same where it is painted", above("painted dB"), "dB", at_least=2),
        ]  # fmt: skip
    return bars
