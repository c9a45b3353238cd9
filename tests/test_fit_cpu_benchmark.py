# SPDX-License-Identifier: Apache-2.0
"""The benchmark of the CPU engine measures what it says it measures."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.kernels.binning.reference import sort_by_depth
from backend.kernels.projection.reference import project
from backend.kernels.rasterization.reference import rasterize
from benchmarks.fit_cpu import growth, steps
from benchmarks.fit_cpu.captures import seconds_to
from benchmarks.fit_cpu.prototype import Prototype
from benchmarks.fit_cpu.scenes import Work
from benchmarks.fit_cpu.simple_head import simple_head
from benchmarks.fit_cpu.timing import Timed, take_turns
from benchmarks.fit_cpu.torch_rival import render_by_tiles, tile_lists, torch_step
from interchange.errors import InputError


def test_torch_by_tiles_is_the_dense_reference() -> None:
    work = Work.of(300, 40)  # partial tiles
    camera, block = work.cameras[0], torch.tensor(work.parameters.block[:, :300], dtype=torch.float64)
    work.engine.gradients(work.parameters, work.views[0])
    colour, through = render_by_tiles(block, 1, camera, tile_lists(work.engine, camera))
    projected = project(block, 1, camera)
    dense, dense_through = rasterize(projected, sort_by_depth(projected), 40, 40)
    assert float(dense.max()) > 0.1
    torch.testing.assert_close(colour, dense, rtol=0, atol=1e-12)
    torch.testing.assert_close(through, dense_through, rtol=0, atol=1e-12)


def test_torch_does_the_same_work_as_we_do() -> None:
    work = Work.of(300, 40)
    result, mine = work.engine.gradients(work.parameters, work.views[0])
    lists = tile_lists(work.engine, work.cameras[0])
    loss, gradient = torch_step(work.parameters, work.cameras[0], work.pictures[0], lists, torch.float64)
    assert loss == pytest.approx(result.loss, rel=1e-5)
    theirs = gradient.numpy()
    assert np.linalg.norm(mine - theirs) < 1e-3 * np.linalg.norm(theirs)


def test_work_costs_the_same_in_every_step() -> None:
    work = Work.of(300, 40)
    before = work.parameters.block.copy()
    work.step()
    work.step()
    np.testing.assert_array_equal(work.parameters.block, before)
    assert work.adam.second.any()


def test_stages_and_turns_are_timed() -> None:
    table = steps.time_steps(argparse.Namespace(against=None, repeats=5), Work.of(300, 40))["ours"]
    assert set(table["stages"]) == set(steps_of_the_engine())
    assert 0 < sum(row["wall_ms"] for row in table["stages"].values()) < 2 * table["wall_ms"]
    order: list[str] = []
    timed = take_turns([lambda: order.append("a"), lambda: order.append("b")], 2, warm_up=1)
    assert order == ["a", "b"] * 3 and len(timed[0].wall_ms) == 2
    doubled = Timed(timed[0].wall_ms * 2, timed[0].cpu_ms)
    assert doubled.ratios(timed[0])[0] == 2


def steps_of_the_engine() -> tuple[str, ...]:
    from backend.kernels.engine import STAGES

    return STAGES


def test_expected_growth_follows_each_stage() -> None:
    stages = dict.fromkeys(steps_of_the_engine(), 1.0)
    rows = [{"splats": growth.BASE["splats"], "stages": stages}, {"splats": 3 * growth.BASE["splats"], "stages": {}}]
    rows = growth._expected(rows, "splats")
    assert rows[0]["expected_ms"] == len(stages) and rows[1]["expected_ms"] == 3 * (len(stages) - 1) + 1


def test_seconds_to_a_quality() -> None:
    curve: dict[str, list[float | None]] = {"seconds": [1.0, 2.0, 3.0], "psnr": [None, 35.5, 38.0]}
    assert seconds_to(curve, 35) == 2 and seconds_to(curve, 38) == 3 and seconds_to(curve, 40) is None


def test_a_folder_without_the_prototype_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no prototype"):
        Prototype(tmp_path, Work.of(16, 16))


def test_the_simple_head_is_seen_from_all_around_and_starts_on_its_surface() -> None:
    head = simple_head(train=10, held_out=2, size=48, points=500)
    assert (len(head.train), len(head.held_out)) == (10, 2)
    for view in head.train + head.held_out:
        assert 0.2 < view.alpha.mean() < 0.4
        assert not view.rgb[view.alpha == 0].any() and view.rgb.max() <= 1
        assert np.linalg.norm(view.camera.position) == pytest.approx(1)
    assert head.points is not None and head.point_colours is not None
    for view in head.train:  # but for noise, points lie on the head
        uv, _ = view.camera.project(head.points)
        column, row = np.clip(np.rint(uv - 0.5), 0, 47).astype(int).T
        assert (view.alpha[row, column] > 0).mean() > 0.95
    fronts = [v.rgb[..., 0].sum() for v in sorted(head.train, key=lambda v: v.camera.position[2])]
    assert np.mean(fronts[-3:]) > 1.2 * np.mean(fronts[:3])  # face and light are in front, hair is behind
