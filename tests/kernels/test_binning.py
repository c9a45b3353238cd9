# SPDX-License-Identifier: Apache-2.0
"""Tile lists: nothing that is visible may be missing, order by depth, slots that fit together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from backend.kernels.binning.cpu import sort_by_depth
from backend.kernels.binning.reference import fill_entries
from backend.kernels.engine import CpuEngine
from backend.kernels.parameters import SplatParameters
from backend.kernels.projection.reference import project

from .scenes import camera_for, random_cloud


@pytest.mark.parametrize(("count", "scale", "seed"), [(192, 0.025, 1), (60, 0.15, 2), (400, 0.003, 3)])
def test_lists_hold_all_visible_splats_in_depth_order(count, scale, seed):
    parameters = SplatParameters.from_cloud(random_cloud(count, 0, seed, scale))
    camera = camera_for(100, 70)
    engine = CpuEngine(count, 100, 70, 0)
    engine.render(parameters, camera)
    starts = engine._frame.tile_start
    entries = [engine._entries.splat[starts[t] : starts[t + 1]].tolist() for t in range(7 * 5)]
    projected = project(torch.tensor(parameters.block[:, :count].astype(np.float64)), 1, camera)
    expected = fill_entries(projected, 100, 70)
    depths = engine._splats.depths
    spare = 0
    for mine, theirs in zip(entries, expected, strict=True):
        assert [i for i in mine if i in set(theirs)] == theirs
        assert (np.diff(depths[mine]) >= 0).all()
        spare += len(mine) - len(theirs)
    assert spare <= 0.35 * sum(map(len, expected)) + 10  # the exact test for large splats does its work


def test_slots_are_consecutive_and_used_once():
    parameters = SplatParameters.from_cloud(random_cloud(300, 0, 5, 0.06))
    engine = CpuEngine(300, 100, 70, 0)
    engine.render(parameters, camera_for(100, 70))
    total = engine._frame.tile_start[35]
    splats, slots = engine._entries.splat[:total], engine._entries.slot[:total]
    assert sorted(slots) == list(range(total))
    first, count = engine._splats.slot_first, engine._splats.slot_count
    assert ((slots >= first[splats]) & (slots < first[splats] + count[splats])).all()
    assert sorted(engine._frame.schedule[:35]) == list(range(35))
    loads = np.diff(engine._frame.tile_start[:36])[engine._frame.schedule[:35]]
    assert loads[0] == loads.max()


@pytest.mark.parametrize("spread", [0.0, 1e-6, 0.5, 1e4])
def test_depth_sort_is_exact_and_stable(spread):
    rng = np.random.default_rng(7)
    depths = (1 + spread * rng.random(1000).astype(np.float32)).astype(np.float32)
    depths[100:200] = depths[300:400]
    high = np.where(rng.random(1000) < 0.8, 0, -1).astype(np.int32)
    order, keys, spare, spare_keys = (np.zeros(1000, np.int32) for _ in range(4))
    count = sort_by_depth(depths, high, 1000, order, keys, spare, spare_keys)
    drawn = np.flatnonzero(high >= 0)
    np.testing.assert_array_equal(order[:count], drawn[np.argsort(depths[drawn], kind="stable")])


def test_entry_buffers_grow_with_huge_splats():
    cloud = random_cloud(500, 0, 9)
    cloud.log_scales[:] = np.log(2.0)
    parameters = SplatParameters.from_cloud(cloud)
    engine = CpuEngine(16, 16, 16, 0)
    image, alpha = engine.render(parameters, camera_for(200, 130))
    assert engine._entries.capacity >= engine._frame.tile_start[13 * 9] > 4096
    assert np.isfinite(image).all() and alpha.min() > 0.9
