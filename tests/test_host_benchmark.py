# SPDX-License-Identifier: Apache-2.0
"""The benchmark of a job's host side, on a head that needs no Blender."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import host
from benchmarks.bars import ROOT
from benchmarks.host.idle import IdleEngine
from benchmarks.host.meter import measure
from interchange.cameras import Camera

from .faceswap import synthetic

STAGES = [
    "swap: the new skin", "swap: reading views", "swap: changing views on the CPU", "swap: writing views",
    "swap as a whole", "fit: reading views", "fit: placing splats, SH 2", "fit: beside its steps, 12 looks",
    "fit: export", "fit: placing splats, SH 3", "evaluate", "sign",
]  # fmt: skip


def test_every_stage_is_called_as_a_job_calls_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.write_capture(tmp_path / "capture")
    synthetic.write_source(tmp_path / "source")
    parser = argparse.ArgumentParser()
    host.add_arguments(parser)
    work = tmp_path / "work"
    options = parser.parse_args(
        ["--capture", str(tmp_path / "capture"), "--source", str(tmp_path / "source"), "--work", str(work),
         "--splats", "900", "--rounds", "1", "--threads", "2", "--like", "30"]
    )  # fmt: skip
    outcome = host.run(options)
    stages = outcome.tables["stages"]
    assert list(stages) == STAGES and [bar.name for bar in outcome.bars] == [f"{name}: wall" for name in STAGES]
    assert all(row["wall_s"] > 0 and row["cpu_s"] > 0 for row in stages.values())
    whole = stages["swap as a whole"]
    assert whole["views"] == 3 and whole["cpu_s_like_30_views"] == pytest.approx(10 * whole["cpu_s"])
    assert stages["swap: the new skin"]["cpu_ms_a_view"] is None
    assert {"swap.json", "capture.json"} <= {p.name for p in (work / "swapped").iterdir()}
    assert {"splats.ply", "metrics.json", "manifest.json"} <= {p.name for p in (work / "double").iterdir()}
    printed = capsys.readouterr().out.splitlines()
    assert [line[:44].rstrip() for line in printed[1:]] == STAGES


def test_a_cost_counts_all_threads() -> None:
    cleared = []
    cost, result = measure(lambda: int(np.ones(90_000_000, np.uint8).sum()), 3, lambda: cleared.append(1))
    assert result == 90_000_000 and len(cleared) == 3 and 0 < cost.cpu < 10 and cost.wall > 0


def test_added_memory_in_a_young_process() -> None:
    """In this one, what earlier tests have freed may serve the array, so that nothing is added."""
    lines = (
        "import numpy as np", "from benchmarks.host.meter import measure",
        "print(measure(lambda: int(np.ones(90_000_000, np.uint8).sum()), 2)[0].added)",
    )  # fmt: skip
    run = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "None" or 60 < float(run.stdout) < 300


def test_the_idle_engine_gives_a_picture_of_its_own_each_time() -> None:
    engine = IdleEngine(np.zeros((4, 6, 3), np.float32))
    camera = Camera(np.array([[5.0, 0, 3], [0, 5, 2], [0, 0, 1]]), np.eye(4), 6, 4)
    first, alpha = engine.render(camera)
    first += 1
    assert not engine.render(None, camera)[0].any() and alpha.shape == (4, 6)
