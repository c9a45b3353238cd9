# SPDX-License-Identifier: Apache-2.0
"""The turn of the benchmark of many photos: its frames, what is wrong with some, what is compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import load_source
from benchmarks.many_photos import PHOTOS, sitters, source_of, turn
from benchmarks.many_photos_swaps import (
    ALL,
    ONE,
    ManyRow,
    at_random,
    bars_of,
    cases_of,
    chosen,
    first,
    lines_of,
    mean_row,
)
from benchmarks.performers import Cast
from tests.faceswap.synthetic import write_source

USUAL = SwapSettings().photos


def test_a_turn_goes_from_side_to_side_and_has_bad_frames_but_the_first() -> None:
    frames = turn(0)
    assert frames == turn(0) != turn(1)
    assert len(frames) == PHOTOS and (frames[0].yaw, frames[0].pitch) == (0, 0)
    yaws = [f.yaw for f in frames[1:]]
    assert yaws == sorted(yaws) and (yaws[0], yaws[-1]) == (-60, 60)
    assert max(abs(f.pitch) for f in frames) <= 20
    assert sum(f.blurred for f in frames) == 6 and sum(f.dark for f in frames) == 4
    assert not any(f.blurred and f.dark for f in frames) and not (frames[0].blurred or frames[0].dark)
    assert [f.name for f in frames] == sorted(f.name for f in frames)


def test_everybody_sits_once_for_all_frames() -> None:
    people = sitters(True, 2)
    assert all(p.one_sided and len(p.sittings) == PHOTOS for p in people)
    sitting = people[1].sittings["frame_03"]
    assert sitting.turn == (turn(1)[3].pitch, turn(1)[3].yaw, 0.0)
    assert len({s.lamp for s in people[1].sittings.values()}) == 1, "one sitting has one light"


def test_what_is_compared_has_as_many_photos_as_it_says() -> None:
    frames = turn(0)
    cases = cases_of(frames)
    assert [len(c.frames) for c in cases[ONE] + cases[ALL]] == [1, PHOTOS]
    assert cases[ALL][0].most == PHOTOS and cases[chosen(USUAL)][0].most == USUAL
    assert cases[first(USUAL)][0].frames == frames[:USUAL]
    drawn = cases[at_random(USUAL)]
    assert len(drawn) == 3 and all(len(c.frames) == USUAL and c.frames[0] == frames[0] for c in drawn)
    assert drawn[0].frames != drawn[1].frames


def test_bad_frames_are_spoilt_and_agreed_to(tmp_path: Path) -> None:
    person, frames = sitters(True, 1)[0], turn(0)
    bad = [next(f for f in frames if f.blurred), next(f for f in frames if f.dark)]
    cast = Cast(tmp_path, (person,))
    shown = [frames[0], *bad]
    for frame in shown:
        write_source(cast.of(person, frame.name), size=200, samples=1)
    photos = load_source(source_of(cast, person, shown, tmp_path / "source")).photos
    assert [p.path.stem for p in photos] == sorted(f.name for f in shown)
    good, blurred, dark = (next(p for p in photos if p.path.stem == f.name).image for f in shown)
    assert np.abs(np.diff(blurred, axis=0)).sum() < 0.8 * np.abs(np.diff(good, axis=0)).sum()
    assert abs(dark.mean() / good.mean() - 0.25) < 0.02
    rendered = json.loads((cast.of(person, bad[0].name) / "landmarks.json").read_text())
    assert photos[1].landmarks == {int(i): tuple(xy) for i, xy in rendered["points"].items()}


def test_bars_hold_where_choosing_loses_little_and_saves_time() -> None:
    row = ManyRow(30.0, 31.0, [31.0], 20.0, 30.0, 1.0)
    rows = dict.fromkeys((ONE, ALL, chosen(USUAL), first(USUAL), at_random(USUAL)), row)
    assert [bar.holds for bar in bars_of(rows)] == [True, True, True, False, True]
    fast = mean_row([ManyRow(30.0, 30.95, [30.95], 10.0, 12.0, 0.8), ManyRow(30.0, 30.87, [30.87], 12.0, 14.0, 0.9)])
    assert (fast.every, fast.each, fast.cpu, fast.memory) == (30.91, [30.95, 30.87], 13.0, 0.9)
    assert [bar.holds for bar in bars_of({**rows, chosen(USUAL): fast})] == [True, False, False, True, True]
    assert len(lines_of(rows)) == 1 + len(rows)
