# SPDX-License-Identifier: Apache-2.0
"""A day in the life of a service: nothing is lost, and nothing grows but what should.

`DIGIDOUBLE_SOAK_HOURS=0.4 pytest -m soak tests/service/test_soak.py -rP` takes 24 minutes instead of a day; -rP prints
the figures. With `DIGIDOUBLE_SOAK_FILE=FILE` the samples are kept, a JSON object a line.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import attrs
import pytest

from .artists import OFTEN, Artist
from .soak import Sample, Soak, describe, growths

HOURS = float(os.environ.get("DIGIDOUBLE_SOAK_HOURS", "24"))
MIB = 1 << 20
SLACK = 3 * MIB
"""Memory that a life of the service may take more whatever its length: allocators do not count in bytes."""


def report(soak: Soak, artists: list[Artist]) -> None:
    """On the terminal, and in a file if one is wanted."""
    print(describe(soak, artists))
    file = os.environ.get("DIGIDOUBLE_SOAK_FILE")
    if file:
        Path(file).write_text("".join(json.dumps(attrs.asdict(sample)) + "\n" for sample in soak.samples))


def check_what_was_done(soak: Soak, artists: list[Artist]) -> None:
    """Every artist got what was to be had, and the service had nothing to complain of."""
    assert [artist.problem for artist in artists if artist.problem] == []
    assert soak.killed["kill -9"] == soak.killed["SIGTERM"] == 1
    log = (soak.service.state / "server.log").read_text()
    assert not re.findall(r"^.*(?:Traceback| ERROR ).*$", log, re.MULTILINE)
    assert len(log) < 2000 * sum(artist.jobs for artist in artists) + 50_000


@pytest.mark.slow
def test_a_short_while(tmp_path: Path) -> None:
    """Half a minute, busier than a day: the long test itself is tested."""
    soak = Soak(tmp_path, length_s=30.0, pause_s=1.5)
    artists = soak.run()
    report(soak, artists)
    check_what_was_done(soak, artists)
    assert sum(artist.jobs for artist in artists) > 5 and len(soak.samples) > 5


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_day(tmp_path: Path) -> None:
    soak = Soak(tmp_path, length_s=HOURS * 3600)
    artists = soak.run()
    report(soak, artists)
    check_what_was_done(soak, artists)
    if HOURS > 0.3:
        assert set(OFTEN) == {what for artist in artists for what in artist.done}
        assert growths(soak.samples)
    for growth in growths(soak.samples):
        assert growth.memory < max(SLACK, growth.hours * MIB), growth
        assert growth.descriptors <= 2 and growth.threads <= 1, growth
    check_what_is_kept(soak.samples)
    assert soak.idle < 0.01


def check_what_is_kept(samples: list[Sample]) -> None:
    """Jobs go as soon as they may, so that from the second quarter on nothing becomes more."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]
    assert max(sample.journal for sample in samples) < 32 * MIB
    assert max(sample.memory for sample in samples) < 150 * MIB
    for name, slack in (("database", MIB), ("disk", 20 * MIB), ("folders", 10)):
        before, after = (max(getattr(sample, name) for sample in part) for part in (early, late))
        assert after < 1.5 * before + slack, name
    pings = sorted(sample.ping_s for sample in samples)
    assert pings[len(pings) // 2] < 0.2
