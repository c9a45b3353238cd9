# SPDX-License-Identifier: Apache-2.0
"""Who sits for the benchmark of one photo against three, and how its figures become bars."""

from __future__ import annotations

from benchmarks.performers import performers
from benchmarks.swap_photos import ONE, ONE_SIDED, SYMMETRIC, THREE, UNTOUCHED, PhotosRow, bars_of, lines_of, people_of


def test_everybody_sits_twice_three_times_and_once_one_sided() -> None:
    people = people_of(True, 2)
    assert [p.one_sided for p in people] == [False, False, True, True]
    assert len({p.name for p in people}) == 4
    assert [p.identity for p in people] == 2 * [p.identity for p in performers(True, 2)]
    assert all(set(p.sittings) == {"yaw_+0", "yaw_+45", "yaw_-45"} for p in people)
    assert [people[0].sittings, people[1].sittings] == [people[2].sittings, people[3].sittings]


def test_bars_say_what_two_more_photos_bring() -> None:
    found = {UNTOUCHED: 20.0, ONE: 30.0, THREE: 32.0}
    rows = {
        f"{kind}, {name}": PhotosRow(near, near + 1, [near])
        for kind in (SYMMETRIC, ONE_SIDED)
        for name, near in found.items()
    }
    rows[f"{ONE_SIDED}, {THREE}"] = PhotosRow(31.0, 33.0, [31.0])
    bars = bars_of(rows)
    assert [bar.value for bar in bars] == [2, 2, 1, 2]
    assert [bar.holds for bar in bars] == [True, True, False, True]
    assert len(lines_of(rows)) == 1 + len(rows)
