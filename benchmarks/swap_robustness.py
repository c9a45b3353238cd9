# SPDX-License-Identifier: Apache-2.0
"""How a swap takes what is not ideal: landmarks that are off, a head that is turned away; and what more photos bring.

Figures are PSNR in the face against the performer's true skin on the target (in the avatar's tone for a swapper that
keeps it), mean over the target's views, over performers and seeds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from backend.faceswap.settings import SwapSettings
from interchange.capture import write_json
from interchange.consent import sha256_of_file

from .performers import SOURCE, YAWS, Cast, Performer, turned_folder
from .stage import Stage
from .swap_noise import with_noise

SEEDS = (0, 1, 2)
NOISE = (0.0, 1.0, 2.0)
"""Standard deviation of each coordinate, pixels of the portrait."""
SWAPPERS = {
    "uv": SwapSettings(threads=2, eye_colour=0.0),  # the truths keep the eyes of the target
    "classical": SwapSettings(swapper="classical", consistency=False, threads=2),
}
Rows = dict[str, dict[str, dict[str, float]]]
"""By swapper and case: mean, sd, least, of how many swaps."""


def robustness(stage: Stage) -> Rows:
    """All cases for all swappers, by the performers who sat with their head turned."""
    return {name: _rows(stage, name, settings) for name, settings in SWAPPERS.items()}


def _rows(stage: Stage, swapper: str, settings: SwapSettings) -> dict[str, dict[str, float]]:
    cases: dict[str, list[tuple[Performer, Callable[[], Path]]]] = {}
    for performer in stage.cast.turned:
        for pixels in NOISE:
            for seed in SEEDS if pixels else SEEDS[:1]:
                made = _noisy(stage.cast, performer, pixels, seed)
                cases.setdefault(f"landmarks off by {pixels:g} px", []).append((performer, made))
        for yaw in YAWS:
            made = _turned(stage.cast, performer, yaw)
            cases.setdefault(f"head turned by {yaw} degrees", []).append((performer, made))
        cases.setdefault("three photos: 0, 45, -45 degrees", []).append((performer, _three(stage.cast, performer)))
    found = {}
    for case, swaps in cases.items():
        print(f"  {swapper}: {case}", flush=True)
        figures = [_figure(stage, performer, f"{swapper} {case} {i}", settings, made())
                   for i, (performer, made) in enumerate(swaps)]  # fmt: skip
        found[case] = {"mean": round(float(np.mean(figures)), 3), "sd": round(float(np.std(figures)), 3),
                       "least": round(min(figures), 3), "swaps": len(figures)}  # fmt: skip
    return found


def _figure(stage: Stage, performer: Performer, name: str, settings: SwapSettings, source: Path) -> float:
    truth = "truth" if settings.swapper == "uv" else "truth_toned"
    return stage.truth_psnr(performer, stage.swapped(performer, f"robust/{name}", settings, source), truth)


def _noisy(cast: Cast, performer: Performer, pixels: float, seed: int) -> Callable[[], Path]:
    source = cast.of(performer, SOURCE)
    return lambda: with_noise(source, cast.of(performer, f"robust/source_{pixels:g}px_{seed}"), pixels, seed)


def _turned(cast: Cast, performer: Performer, yaw: int) -> Callable[[], Path]:
    return lambda: cast.of(performer, turned_folder(yaw))


def _three(cast: Cast, performer: Performer) -> Callable[[], Path]:
    folders = {f"photo_{yaw:+d}": cast.of(performer, turned_folder(yaw)) for yaw in (0, 45, -45)}
    return lambda: several_photos(folders, cast.of(performer, "robust/three_photos"))


def several_photos(sources: Mapping[str, Path], out: Path) -> Path:
    """One source folder out of several of the same person; photos are named by the mapping's keys."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    digests, consent = {}, {}
    for name, folder in sources.items():
        consent = json.loads((folder / "consent.json").read_text(encoding="utf-8"))
        landmarks = json.loads((folder / "landmarks.json").read_text(encoding="utf-8"))
        picture = out / f"{name}.png"
        shutil.copyfile(folder / landmarks["image"], picture)
        write_json(out / f"landmarks_{name}.json", landmarks | {"image": picture.name})
        digests[picture.name] = sha256_of_file(picture)
    write_json(out / "consent.json", consent | {"source_sha256": digests})
    return out


def robustness_lines(rows: Rows) -> list[str]:
    """The table for the terminal."""
    lines = []
    for swapper, cases in rows.items():
        for case, found in cases.items():
            lines.append(f"{swapper + ', ' + case:<52}{found['mean']:6.2f} ± {found['sd']:.2f} dB, "
                         f"least {found['least']:.2f} of {found['swaps']}")  # fmt: skip
    return lines
