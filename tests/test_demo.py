# SPDX-License-Identifier: Apache-2.0
"""The whole job, small: real Blender, real server process, real fit; killed at bad moments and started again.

One job is shared by these tests, in order: it is killed during the capture, again while the service works, and then
left alone. What it must not do is render or send anything twice.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import plyfile
import pytest

from backend import blender_process
from backend.blender_process import ROOT
from interchange.connection import CONNECTION_FILE, Connection
from interchange.errors import InputError
from interchange.local_server import stop_local_server
from interchange.splats import read_ply

TRAIN, HELD_OUT, SIZE = 10, 2, 96
METRIC_KEYS = {
    "timing_s": {"install", "capture", "transfer", "swap", "fit", "import", "total"},
    "views": {"train", "held_out"},
    "held_out": {"psnr", "ssim", "psnr_face", "sharpness"},
    "truth": {"psnr_face", "ssim_face"},
    "consistency": {"reprojection_rmse", "floor"},
}


def blender_is_installed() -> bool:
    try:
        return blender_process.blender_python().exists()
    except InputError:
        return False


pytestmark = [
    pytest.mark.skipif(not blender_is_installed(), reason="Blender's environment is not installed"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo") / "job"
    yield folder
    stop_local_server(folder / "service")


def demo(folder: Path) -> subprocess.Popen[str]:
    options = {"train": TRAIN, "held-out": HELD_OUT, "size": SIZE, "samples": 4, "iterations": 300, "splats": 4000}
    command = [sys.executable, "-m", "backend.cli", "demo", "--out", str(folder)]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )


def kill_when(process: subprocess.Popen[str], ready: Callable[[], bool]) -> None:
    """kill -9 the process and its children (the service is no child) as soon as `ready`."""
    with process:
        deadline = time.monotonic() + 400
        while not ready():
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline, "the job did not come that far"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=800)
    assert process.returncode == 0, output
    return output


def write_times(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in sorted(folder.glob("*.exr"))}


def test_killed_during_the_capture_it_renders_only_what_is_missing(job: Path) -> None:
    views = job / "capture/views"
    kill_when(demo(job), lambda: len(list(views.glob("*.exr"))) >= 3)
    before = write_times(views)
    assert 3 <= len(before) < TRAIN + HELD_OUT
    kill_when(demo(job), lambda: (job / "service" / CONNECTION_FILE).exists())
    after = write_times(views)
    assert len(after) == TRAIN + HELD_OUT
    again = [name for name in before if after[name] != before[name]]
    assert len(again) <= 1  # the view that was just being finished


def test_killed_while_the_service_works_it_goes_on(job: Path) -> None:
    views = write_times(job / "capture/views")
    work = job / "service"

    def fitting() -> bool:
        """The swap is timed as soon as it has ended; a fit as small as this one may end before its first checkpoint."""
        return any('"swap"' in path.read_text() for path in work.glob("jobs/*/work/timings.json"))

    kill_when(demo(job), fitting)
    os.kill(Connection.load(work).pid, signal.SIGKILL)
    output = finish(demo(job))
    assert write_times(job / "capture/views") == views
    assert "bruno" in output and "dB" in output


def test_the_results_are_all_there(job: Path) -> None:
    metrics = json.loads((job / "double/metrics.json").read_text())
    assert set(metrics) == {*METRIC_KEYS, "size", "splats", "perceptual"}
    for group, keys in METRIC_KEYS.items():
        assert set(metrics[group]) == keys, group
    assert metrics["views"] == {"train": TRAIN, "held_out": HELD_OUT} and metrics["size"] == [SIZE, SIZE]
    assert metrics["held_out"]["psnr"] > 24 and metrics["truth"]["psnr_face"] > 18
    page = (job / "double/report.html").read_text()
    assert "<html" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (job / "demo.blend").stat().st_size > 100_000


def test_the_splat_file_reads_the_same_everywhere(job: Path) -> None:
    ours = read_ply(job / "double/splats.ply")
    theirs = plyfile.PlyData.read(job / "double/splats.ply")["vertex"]
    np.testing.assert_array_equal(ours.means, np.stack([theirs[a] for a in "xyz"], axis=1))
    np.testing.assert_array_equal(ours.quats_wxyz, np.stack([theirs[f"rot_{i}"] for i in range(4)], axis=1))
    np.testing.assert_array_equal(ours.opacity_logits, theirs["opacity"])


def test_a_finished_job_is_not_done_again(job: Path) -> None:
    splats = (job / "double/splats.ply").stat().st_mtime_ns
    start = time.monotonic()
    finish(demo(job))
    assert (job / "double/splats.ply").stat().st_mtime_ns == splats
    assert time.monotonic() - start < 120


def test_the_manifest_holds_until_something_is_changed(job: Path) -> None:
    command = [sys.executable, "-m", "backend.cli", "verify", str(job / "double")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    picture = next((job / "double/renders").glob("*.png"))
    picture.write_bytes(picture.read_bytes() + b"x")
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 1


def test_other_options_do_not_overwrite_it(job: Path) -> None:
    command = [sys.executable, "-m", "backend.cli", "demo", "--out", str(job), "--size", "128"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "holds a job with other settings" in result.stderr
