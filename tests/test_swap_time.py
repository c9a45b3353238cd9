# SPDX-License-Identifier: Apache-2.0
"""The benchmark of a swap's cost: copies of views, a process's cost, bars."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.swap_time import Cost, _copied, bars_of, cost_of
from interchange.capture import Capture
from interchange.errors import InputError

from .faceswap import synthetic


def test_copies_are_views_of_their_own(tmp_path: Path) -> None:
    first = synthetic.write_capture(tmp_path / "capture", views=(-40, 0, 50), size=48)
    for count in (2, 7):
        copy = Capture.load(_copied(first.folder, tmp_path / f"copy{count}", count))
        assert len(copy.views) == count == len({v.exr for v in copy.views})
        assert len(list((copy.folder / "views").iterdir())) == count
    assert copy.load_view(copy.views[3]).rgb.shape == (48, 48, 3)
    assert (copy.views[4].camera.world_to_camera == first.views[1].camera.world_to_camera).all()
    assert copy.load_mesh().vertices.shape == first.load_mesh().vertices.shape


def test_what_a_process_costs() -> None:
    work = "import time\nx = b'x' * 200_000_000\nwhile time.process_time() < 0.3: pass"
    cost = cost_of([sys.executable, "-c", work])
    assert 0.2 <= cost.cpu < 5 and cost.wall >= 0.2 and 0.19 < cost.memory < 0.6
    with pytest.raises(InputError, match="code 3: why"):
        cost_of([sys.executable, "-c", "import sys; print('why', file=sys.stderr); sys.exit(3)"])


def test_bars_hold_the_largest_number_and_its_growth() -> None:
    bars = {b.name: b for b in bars_of({12: Cost(4, 6, 0.5), 24: Cost(6, 9, 0.5), 48: Cost(11, 15, 0.6)})}
    assert bars["48 views: wall"].holds and bars["48 views: memory"].holds
    assert bars["12 views: wall"].holds is None
    assert bars["growth: a view among many / among few"].value == pytest.approx(1) and len(bars) == 12
    slow = {b.name: b for b in bars_of({12: Cost(4, 6, 0.5), 24: Cost(6, 9, 0.5), 48: Cost(13, 21, 3)})}
    assert [name for name, b in slow.items() if b.holds is False] == [
        "48 views: wall", "48 views: memory", "growth: a view among many / among few",
    ]  # fmt: skip
