# SPDX-License-Identifier: Apache-2.0
"""One job per GPU: which GPUs there are, who gets which, and what a worker sees of them."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from backend.service.gpus import Lanes, find_gpus
from interchange.client import JobClient
from interchange.service_errors import ServiceError

from .harness import REPOSITORY, Service

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
ONE, TWO, SPLIT = "GPU-11111111-aaaa", "GPU-22222222-bbbb", "GPU-33333333-cccc"
FIRST, SECOND = "MIG-44444444-dddd", "MIG-GPU-33333333-cccc/7/0"
TWO_BOARDS = f"GPU 0: NVIDIA Imaginary (UUID: {ONE})\nGPU 1: NVIDIA Imaginary (UUID: {TWO})\n"
WITH_INSTANCES = TWO_BOARDS + (
    f"GPU 2: NVIDIA Split (UUID: {SPLIT})\n"
    f"  MIG 3g.40gb     Device  0: (UUID: {FIRST})\n  MIG 1g.10gb     Device  1: (UUID: {SECOND})\n"
)


def pretend(folder: Path, listing: str, code: int = 0) -> Path:
    """A folder with an nvidia-smi that lists so."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "listing").write_text(listing)
    tool = folder / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$1" = -L ] || exit 9\n/bin/cat "{folder}/listing"\nexit {code}\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    return folder


# -- which there are --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("listing", "allowed", "found"),
    [
        (TWO_BOARDS, None, [ONE, TWO]),
        (TWO_BOARDS, "1", ["1"]),
        (TWO_BOARDS, "1,0", ["1", "0"]),
        (TWO_BOARDS, " 0 , 1 ", ["0", "1"]),
        (TWO_BOARDS, f"{TWO},0", [TWO, "0"]),
        (TWO_BOARDS, "GPU-2222", ["GPU-2222"]),
        (TWO_BOARDS, "", []),
        (TWO_BOARDS, "-1", []),
        (TWO_BOARDS, "0,-1,1", ["0"]),
        (TWO_BOARDS, "1,2,0", ["1"]),
        (TWO_BOARDS, "0,0,1", ["0"]),
        (TWO_BOARDS, "GPU-9,0", []),
        (TWO_BOARDS, "NoDevFiles", []),
        (WITH_INSTANCES, None, [ONE, TWO, FIRST, SECOND]),
        (WITH_INSTANCES, f"{SECOND},0", [SECOND, "0"]),
        ("No devices were found\n", None, []),
    ],
)
def test_gpus_are_those_that_cuda_would_show(tmp_path, listing, allowed, found):
    environment = {"PATH": str(pretend(tmp_path, listing))}
    if allowed is not None:
        environment["CUDA_VISIBLE_DEVICES"] = allowed
    assert find_gpus(environment) == found


def test_without_a_driver_there_are_none(tmp_path, caplog):
    assert find_gpus({"PATH": str(tmp_path)}) == [] and not caplog.records
    failed = pretend(tmp_path / "bin", "NVIDIA-SMI has failed because it couldn't talk to the driver.\n", 9)
    assert find_gpus({"PATH": str(failed)}) == []
    assert "couldn't talk to the driver" in caplog.text
    (failed / "nvidia-smi").write_text("#!/no/such/shell\n")
    assert find_gpus({"PATH": str(failed)}) == [] and "does not answer" in caplog.text


def test_the_server_never_imports_cuda():
    code = (
        "import sys, backend.service.server\n"
        "print([m for m in sys.modules if m.startswith(('cuda.', 'torch')) or '.kernels' in m])"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


# -- who gets which ---------------------------------------------------------------------------------------------------


def test_the_gpu_with_the_fewest_jobs_comes_next():
    lanes = Lanes([ONE, TWO])
    assert lanes.count == 2
    assert [lanes.take() for _ in range(5)] == [ONE, TWO, ONE, TWO, ONE]  # round robin when there are more jobs
    lanes.give_back(TWO)
    lanes.give_back(TWO)
    assert [lanes.take() for _ in range(4)] == [TWO, TWO, TWO, ONE]


def test_a_free_lane_is_taken_again():
    lanes = Lanes([ONE, TWO, SPLIT])
    assert [lanes.take() for _ in range(3)] == [ONE, TWO, SPLIT]
    lanes.give_back(TWO)
    assert lanes.take() == TWO


def test_without_gpus_jobs_run_one_by_one_and_see_what_the_server_sees():
    lanes = Lanes([])
    assert lanes.count == 1 and lanes.take() is None
    lanes.give_back(None)
    assert lanes.take() is None


# -- what workers see -------------------------------------------------------------------------------------------------


@pytest.fixture
def surroundings(tmp_path, monkeypatch):
    """A PATH with everything but a real nvidia-smi, which the service process will inherit."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folders = [f for f in os.environ["PATH"].split(os.pathsep) if shutil.which("nvidia-smi", path=f) is None]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    return monkeypatch


def seen(service: Service, jobs: list[str]) -> list[str]:
    """CUDA_VISIBLE_DEVICES in each job's worker."""
    return [(service.job_folder(job) / "work/gpu.txt").read_text() for job in jobs]


def run_together(client: JobClient, count: int) -> list[str]:
    """Jobs of half a second each; returns when all have ended."""
    jobs = [client.submit("double", {"steps": 10, "pause": 0.05}, {}) for _ in range(count)]
    for job in jobs:
        client.wait(job)
    return jobs


def ran_together(client: JobClient, jobs: list[str]) -> bool:
    """True if the last of them began before the first ended."""
    events = [[event for event in client.watch(job) if event.kind == "state"] for job in jobs]
    starts = [next(event.at for event in of_one if event.state == "running") for of_one in events]
    return max(starts) < min(of_one[-1].at for of_one in events)


def test_each_job_has_a_gpu_of_its_own(surroundings, tmp_path):
    surroundings.setenv("PATH", str(pretend(tmp_path / "bin", TWO_BOARDS)) + os.pathsep + os.environ["PATH"])
    with Service(tmp_path / "state") as service, service.client() as client:
        first, second = run_together(client, 2), run_together(client, 2)
        assert sorted(seen(service, first)) == [ONE, TWO] and ran_together(client, first)
        assert sorted(seen(service, second)) == [ONE, TWO]  # given back, and taken again
        log = (service.state / "server.log").read_text()
    assert f"started on {ONE}" in log and f"started on {TWO}" in log


def test_more_slots_than_gpus_share_and_the_users_choice_is_kept(surroundings, tmp_path):
    surroundings.setenv("PATH", str(pretend(tmp_path / "bin", TWO_BOARDS)) + os.pathsep + os.environ["PATH"])
    surroundings.setenv("CUDA_VISIBLE_DEVICES", "1")
    with Service(tmp_path / "state", "--slots", "2") as service, service.client() as client:
        assert seen(service, run_together(client, 2)) == ["1", "1"]


def test_on_a_machine_without_a_gpu_the_environment_is_untouched(surroundings, tmp_path):
    with Service(tmp_path / "state") as service, service.client() as client:
        jobs = run_together(client, 2)
        assert seen(service, jobs) == ["unset", "unset"] and not ran_together(client, jobs)
    surroundings.setenv("CUDA_VISIBLE_DEVICES", "0")  # Jetsons, say, compute and have no nvidia-smi
    with Service(tmp_path / "other") as service, service.client() as client:
        assert seen(service, run_together(client, 1)) == ["0"]


def test_short_gpu_memory_reaches_the_client_as_what_it_is(surroundings, tmp_path):
    with Service(tmp_path / "state") as service, service.client() as client:
        job = client.submit("large", {}, {})
        with pytest.raises(ServiceError) as caught:
            client.wait(job)
        assert (caught.value.code, caught.value.retry) == ("RES_GPU_MEMORY", "later")
        assert str(caught.value) == "The fit needs 9000 MiB on the GPU, where 500 MiB are free. Be modest."
        assert (client.get(job).state, client.get(job).attempt) == ("failed", 1)


def test_no_slots_at_all_are_refused(tmp_path):
    command = [sys.executable, "-m", "backend.service", "--state", str(tmp_path), "--slots", "0"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 2 and "at least 1" in run.stderr
