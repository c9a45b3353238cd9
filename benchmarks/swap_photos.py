# SPDX-License-Identifier: Apache-2.0
"""What more photos of the performer bring: uv with one frontal portrait, and with two more at 45 degrees to both sides.

The sample heads are symmetric but for some moles, and so is the completion of what no photo shows; people are not. So
every performer is also photographed with marks on one half of the face (`avatars --one-sided`: a scar, moles, a
birthmark, a parted brow, one side tanned), and both are measured: in views to 35 degrees, as in swap_retrieval, and
to 70, where the sides of the face are seen. Figures are dB in the face against the performer's true skin on the
target, by Cycles.

`--many`: instead, 24 photos of a performer who turns from side to side, and which of them to use (many_photos.py).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np
import numpy.typing as npt

from backend.faceswap.settings import SwapSettings

from .bars import Bar, Outcome
from .contact_sheet import contact_sheet, write_sheet
from .many_photos_swaps import run_many
from .performers import CastSettings, Performer, performers, render_cast, turned_folder
from .stage import Picture, Stage
from .swap_robustness import several_photos

ONE, THREE, UNTOUCHED = "one photo", "three photos", "untouched"
SYMMETRIC, ONE_SIDED = "symmetric", "one-sided"
_YAWS = (0, 45, -45)
_NEAR = 36.0  # degrees: the views of swap_retrieval
_TRUTH = {"skin.png": "truth"}
_BAR = 1.5  # dB that three photos are to bring


@attrs.frozen
class PhotosRow:
    """dB in the face: over performers the mean in views to 35 degrees, that of all views, and each performer's."""

    near: float
    every: float
    each: list[float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who, and where it is kept."""
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep renders and results here (default: a cache)")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use MakeHuman heads")
    parser.add_argument("--performers", type=int, default=3, metavar="N", help="how many of each kind (default 3)")
    parser.add_argument("--many", action="store_true", help="24 photos of each instead, and which of them to use")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="the contact sheet (default: sheet.png in --folder)")


def run(options: argparse.Namespace) -> Outcome:
    """Render, swap, measure; prints the table."""
    if options.many:
        return run_many(options.makehuman, options.performers, options.folder, options.sheet)
    drawn = CastSettings.of(None, options.makehuman, options.performers)
    settings = attrs.evolve(drawn, side=70.0, views=5, turned=options.performers)
    root = options.folder or Path(tempfile.gettempdir()) / "digidouble-benchmarks" / f"photos-{settings.name}"
    cast = render_cast(settings, root, people_of(options.makehuman is not None, options.performers), _TRUTH)
    stage = Stage.of(cast)
    pictures = {person.name: swapped(stage, person) for person in cast.performers}
    rows = {}
    for kind in (SYMMETRIC, ONE_SIDED):
        people = [p for p in cast.performers if p.one_sided == (kind == ONE_SIDED)]
        for name in (UNTOUCHED, ONE, THREE):
            rows[f"{kind}, {name}"] = _row(stage, people, [pictures[p.name][name] for p in people])
    sheet = options.sheet or root / "sheet.png"
    write_sheet(sheet, photos_sheet(stage, [p for p in cast.performers if p.one_sided], pictures))
    print("\n".join(lines_of(rows)))
    print(f"  contact sheet: {sheet}")
    return Outcome(bars_of(rows), {"photos": {name: attrs.asdict(row) for name, row in rows.items()}})


def people_of(makehuman: bool, count: int) -> list[Performer]:
    """The first performers of swap_retrieval with the three portraits of interest, and each again, one-sided."""
    found = []
    for one_sided in (False, True):
        for person in performers(makehuman, count, count):
            sittings = {turned_folder(yaw): person.sittings[turned_folder(yaw)] for yaw in _YAWS}
            name = person.name + ("_one_sided" if one_sided else "")
            found.append(attrs.evolve(person, name=name, sittings=sittings, one_sided=one_sided))
    return found


def swapped(stage: Stage, person: Performer) -> dict[str, list[Picture]]:
    """The target's views by how many photos were given."""
    settings = SwapSettings(threads=2, eye_colour=0.0)  # the truths keep the target's eyes
    cast = stage.cast
    folders = {f"photo_{yaw:+d}": cast.of(person, turned_folder(yaw)) for yaw in _YAWS}
    three = several_photos(folders, cast.of(person, "three_photos"))
    print(f"  swapping: {person.name}", flush=True)
    return {
        UNTOUCHED: [i.display() for i in stage.images],
        ONE: stage.swapped(person, "uv_one", settings, folders["photo_+0"]),
        THREE: stage.swapped(person, "uv_three", settings, three),
    }


def _row(stage: Stage, people: Sequence[Performer], pictures: Sequence[Sequence[Picture]]) -> PhotosRow:
    figures = np.array([stage.truth_psnrs(p, views) for p, views in zip(people, pictures, strict=True)])
    near = [abs(azimuth) < _NEAR for azimuth in stage.azimuths()]
    return PhotosRow(
        round(float(figures[:, near].mean()), 3), round(float(figures.mean()), 3),
        [round(float(f), 3) for f in figures.mean(1)],
    )  # fmt: skip


def bars_of(rows: dict[str, PhotosRow]) -> list[Bar]:
    """What the two more photos bring."""
    bars = []
    for kind in (SYMMETRIC, ONE_SIDED):
        one, three = rows[f"{kind}, {ONE}"], rows[f"{kind}, {THREE}"]
        bars.append(Bar(f"{kind}: three above one, views to 35", three.near - one.near, "dB", at_least=_BAR))
        bars.append(Bar(f"{kind}: three above one, views to 70", three.every - one.every, "dB", at_least=_BAR))
    return bars


def lines_of(rows: dict[str, PhotosRow]) -> list[str]:
    """The table for the terminal."""
    lines = [f"{'dB in the face':<32}{'views to 35':>12}{'to 70':>8}   each performer's, all views"]
    return lines + [f"{name:<32}{row.near:>12.2f}{row.every:>8.2f}   {row.each}" for name, row in rows.items()]


def photos_sheet(stage: Stage, people: Sequence[Performer], pictures: Mapping[str, Mapping[str, list[Picture]]]
                 ) -> npt.NDArray[np.uint8]:  # fmt: skip
    """Rows: each performer with one photo, with three, and the truth; columns: the views."""
    rows: dict[str, list[Picture]] = {}
    for person in people:
        shown = {**{n: pictures[person.name][n] for n in (ONE, THREE)},
                 "true skin": stage.pictures(stage.cast.of(person, "truth"))}  # fmt: skip
        rows |= {f"{person.kin}: {name}": views for name, views in shown.items()}
    titles = [f"{angle:+.0f} degrees" for angle in stage.azimuths()]
    return contact_sheet(rows, [i.masks["face"] for i in stage.images], titles)
