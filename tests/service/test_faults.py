# SPDX-License-Identifier: Apache-2.0
"""Processes killed, lines cut: nothing is lost, nothing is done twice needlessly."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from interchange.client import JobClient
from interchange.connection import Connection
from interchange.errors import Cancelled
from interchange.service_errors import ServiceError
from interchange.transfer import WINDOW

from .harness import (
    IMPATIENT,
    Line,
    Service,
    assert_reversed,
    make_files,
    process_exists,
    wait_until,
)
from .test_service import descendants

MB = 1_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "state", "--cancel-grace", "1") as running:
        yield running


def test_server_killed_during_the_upload(service: Service, tmp_path: Path) -> None:
    """It goes on where it was: no more than one window travels twice."""
    files = make_files(tmp_path / "in", {f"capture/{i}": 5 * MB for i in range(9)})
    killed: list[float] = []

    def progress(stage: str, fraction: float, message: str) -> None:
        if stage == "upload" and fraction > 0.5 and not killed:
            killed.append(fraction)
            service.restart()

    with Line(Connection.load(service.state)) as line, service.client(line.connection) as client:
        job_id = client.submit("double", {}, files, progress=progress)
        assert killed and line.sent < 45 * MB + WINDOW + MB
        client.wait(job_id)
        client.download(job_id, tmp_path / "out")
    assert_reversed(files, tmp_path / "out")


def test_upload_over_a_line_that_breaks(service: Service, tmp_path: Path) -> None:
    generator = random.Random(7)
    files = make_files(tmp_path / "in", {"big": 12 * MB, **{f"small/{i}": 50_000 for i in range(40)}})
    cuts = sorted(generator.randrange(20_000, 14 * MB) for _ in range(6))
    with Line(Connection.load(service.state)) as line, service.client(line.connection) as client:
        line.cut_after(*cuts)
        job_id = client.submit("double", {}, files)
        assert line.sent < 14 * MB + len(cuts) * WINDOW
        client.wait(job_id)
    stored = service.job_folder(job_id) / "inputs"
    assert all((stored / path).read_bytes() == source.read_bytes() for path, source in files.items())


def test_download_over_a_line_that_breaks_and_a_server_that_dies(service: Service, tmp_path: Path) -> None:
    files = make_files(tmp_path / "in", {"big": 9 * MB, "small": 1000})
    with service.client() as client:
        job_id = client.submit("double", {}, files)
        client.wait(job_id)
    events: list[float] = []

    def progress(stage: str, fraction: float, message: str) -> None:
        events.append(fraction)
        if len(events) == 2:
            line.cut_after(line.sent + 1)  # at the client's next word
        if len(events) == 5:
            service.restart()

    with Line(Connection.load(service.state)) as line, service.client(line.connection) as client:
        client.download(job_id, tmp_path / "out", progress)
    assert_reversed(files, tmp_path / "out")
    assert events == sorted(events)  # what had arrived was kept
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"big", "small"}


def test_server_killed_during_the_job(service: Service) -> None:
    """The orphan worker leaves, the next one goes on, the watcher misses nothing."""
    with service.client() as client:
        job_id = client.submit("double", {"steps": 60, "pause": 0.02}, {})
        events = []
        for event in client.watch(job_id):
            events.append(event)
            if event.kind == "progress" and len(events) == 6:
                assert service.process is not None
                orphans = descendants(service.process.pid)
                service.restart()
        assert client.result(job_id)["steps"] == [str(i) for i in range(60)]
        job = client.get(job_id)
    assert len(orphans) == 1 and not process_exists(orphans[0])
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    states = [event.state for event in events if event.kind == "state"]
    assert states == ["created", "queued", "running", "queued", "running", "succeeded"]
    assert (job.state, job.attempt) == ("succeeded", 2)


def test_worker_killed(service: Service) -> None:
    """It is noticed at once and the job goes on where it was, in a second attempt."""
    with service.client() as client:
        job_id = client.submit("double", {"steps": 10, "die_at": 5}, {})
        events = list(client.watch(job_id))
        assert client.result(job_id)["steps"] == [str(i) for i in range(10)]
        assert client.get(job_id).attempt == 2
    crash = next(event for event in events if event.kind == "log")
    assert crash.message == "Attempt 1: The worker was killed by signal 9." and crash.level == "error"
    again = next(event for event in events if event.state == "running" and event.attempt == 2)
    assert again.at - crash.at < 1.0


def test_poison(service: Service) -> None:
    """Exactly three attempts; then the next job has its turn, soon."""
    with service.client() as client:
        poison = client.submit("poison", {}, {})
        good = client.submit("double", {}, {})
        with pytest.raises(ServiceError) as caught:
            client.wait(poison)
        assert caught.value.code == "JOB_POISON" and "ended with status 7" in caught.value.message
        assert (service.job_folder(poison) / "work/attempts.txt").read_text() == "xxx"
        client.wait(good)
        assert client.get(good).updated_at - client.get(poison).updated_at < 2.0


def test_a_server_that_dies_often_does_not_poison_a_job(service: Service) -> None:
    with service.client() as client:
        job_id = client.submit("double", {"steps": 100, "pause": 0.02}, {})
        for attempt in range(1, 4):
            wait_until(lambda attempt=attempt: client.get(job_id).attempt == attempt)
            service.restart()
        client.wait(job_id)
        assert client.get(job_id).attempt >= 4


def test_cancelled_while_the_server_was_dying(service: Service) -> None:
    with service.client() as client:
        job_id = client.submit("deaf", {}, {})
        wait_until(lambda: client.get(job_id).state == "running")
        client.cancel(job_id)
        service.restart()
        with pytest.raises(Cancelled):
            client.wait(job_id)


def test_graceful_stop_and_continue(service: Service) -> None:
    with service.client() as client:
        job_id = client.submit("double", {"steps": 50, "pause": 0.02}, {})
        for event in client.watch(job_id):
            if event.kind == "progress":
                break
        begun = time.monotonic()
        assert service.stop() == 0
        assert time.monotonic() - begun < 3.0
        assert not (service.state / "connection.json").exists()
        service.start()
        assert client.wait(job_id)["steps"] == [str(i) for i in range(50)]


def test_graceful_stop_of_three(tmp_path: Path) -> None:
    """With three jobs at work: soon gone, and all three go on where they were."""
    with Service(tmp_path / "state", "--slots", "3") as service, service.client() as client:
        jobs = [client.submit("double", {"steps": 150, "pause": 0.02}, {}, job_id=f"g{i}") for i in range(3)]
        wait_until(lambda: all(client.get(job_id).fraction > 0 for job_id in jobs), 30.0)
        begun = time.monotonic()
        assert service.stop() == 0 and time.monotonic() - begun < 10.0
        assert (service.state / "service.sqlite.backup").is_file()
        service.start()
        for job_id in jobs:
            assert client.wait(job_id)["steps"] == [str(i) for i in range(150)]
            assert client.get(job_id).attempt == 2


def test_a_second_server_keeps_out(service: Service) -> None:
    from backend.service import server

    with pytest.MonkeyPatch.context() as patch, pytest.raises(server.InputError, match="runs in"):
        patch.setattr(server, "LOCK_WAIT_S", 0.1)
        server.serve(service.state)
    with service.client() as client:
        client.ping()


def test_out_of_patience(service: Service) -> None:
    with JobClient(service.state, attrs.evolve(IMPATIENT, patience_s=0.5)) as client:
        client.ping()
        service.kill()
        with pytest.raises(ServiceError) as caught:
            client.ping()
    assert caught.value.code == "UNAVAILABLE" and "nobody listens" in caught.value.message


@pytest.mark.slow
def test_stalled_worker(tmp_path: Path) -> None:
    with Service(tmp_path / "state", "--stall", "3") as service, service.client() as client:
        job_id = client.submit("deaf", {}, {})
        with pytest.raises(ServiceError) as caught:
            client.wait(job_id)
    assert caught.value.code == "JOB_POISON" and "said nothing for 3 s" in caught.value.message


@pytest.mark.slow
def test_frozen_server(service: Service) -> None:
    """SIGSTOP is noticed by heartbeats, and made up for."""
    assert service.process is not None
    with service.client() as client:
        job_id = client.submit("double", {"steps": 300, "pause": 0.01}, {})
        watching = client.watch(job_id)
        next(watching)
        service.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        impatient = JobClient(service.state, attrs.evolve(IMPATIENT, patience_s=0.5, hello_s=2.0))
        with impatient, pytest.raises(ServiceError):
            impatient.ping()
        assert time.monotonic() - begun < 8.0
        service.process.send_signal(signal.SIGCONT)
        assert [event.state for event in watching if event.kind == "state"][-1] == "succeeded"


@pytest.mark.slow
def test_many_random_kills(service: Service, tmp_path: Path) -> None:
    """Ten jobs, the server or a worker killed at random moments: ten results, each step done once.

    Workers are killed at most twice for each job: a third time may rightly be taken for the job's own fault.
    """
    generator = random.Random(11)
    files = make_files(tmp_path / "in", {"a": 2 * MB, "b/c": 300_000})
    with service.client() as client:
        jobs = [client.submit("double", {"steps": 20 + i, "pause": 0.02}, files) for i in range(10)]
        kills: Counter[str] = Counter()
        for _ in range(15):
            time.sleep(generator.uniform(0.05, 0.8))
            assert service.process is not None
            job_id = next((job.job_id for job in client.jobs() if job.state == "running"), "")
            workers = descendants(service.process.pid)
            if job_id and workers and kills[job_id] < 2 and generator.random() < 0.4:
                kills[job_id] += 1
                os.kill(workers[0], signal.SIGKILL)
            else:
                service.restart()
        for number, job_id in enumerate(jobs):
            assert client.wait(job_id)["steps"] == [str(i) for i in range(20 + number)]
            client.download(job_id, tmp_path / job_id)
            assert_reversed(files, tmp_path / job_id)


def test_no_job_starts_while_the_disk_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New files are refused in a sentence; a job without any waits, says why, and goes on by itself."""
    files = make_files(tmp_path / "in", {"a": MB})
    monkeypatch.setenv("DIGIDOUBLE_SERVICE_KEEP_FREE_MB", "1e9")
    with Service(tmp_path / "state") as service, service.client() as client:
        with pytest.raises(ServiceError, match="no room for the 1 MB of this job: .* MB are free") as caught:
            client.submit("double", {}, files, job_id="sent")
        assert (caught.value.code, caught.value.retry) == ("RES_DISK_FULL", "later")
        client.submit("double", {}, {}, job_id="waiting")
        reason = "The service's disk has less than 1000000000 MB free: no job starts."
        wait_until(lambda: client.get("waiting").message.startswith(reason))
        assert "lower keep_free_mb" in client.get("waiting").message and client.jobs()[0].state == "queued"
        time.sleep(1.0)  # long enough to be told twice
        service.stop()
        monkeypatch.setenv("DIGIDOUBLE_SERVICE_KEEP_FREE_MB", "0.5")
        service.start()
        told = [event.message for event in client.watch("waiting") if event.kind == "log"]
        assert len(told) == 1 and told[0] is not None and told[0].startswith(reason)
        client.submit("double", {}, files, job_id="sent")
        client.wait("sent")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 90 MB; making one takes a privilege that not every machine grants."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=90m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """Full before, during and after the upload: a sentence each time, a whole job list, and on it goes with room."""
    files = make_files(tmp_path / "in", {f"c/{i}": 3 * MB for i in range(6)})
    ballast = small_disk / "ballast"

    def fill(*_: object) -> None:
        with open(ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 15))

    with Service(small_disk / "state") as service, service.client() as client:
        for job_id, inputs, progress in (
            ("big", make_files(tmp_path / "big", {"b": 60 * MB}), None),
            ("job", files, lambda stage, fraction, _: fill() if stage == "upload" and fraction > 0.2 else None),
        ):
            with pytest.raises(ServiceError) as caught:
                client.submit("double", {}, inputs, job_id=job_id, progress=progress)
            assert (caught.value.code, caught.value.retry) == ("RES_DISK_FULL", "later")
        ballast.unlink()
        client.submit("double", {}, files, job_id="job")
        for event in client.watch("job"):
            if event.state == "running":
                fill()
        with pytest.raises(ServiceError, match="disk is full"):
            client.wait("job")
        ballast.unlink()
        client.submit("double", {}, files, job_id="job")
        client.wait("job")
        client.download("job", tmp_path / "out")
        assert_reversed(files, tmp_path / "out")
    database = sqlite3.connect(small_disk / "state/service.sqlite")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()


@pytest.mark.slow
def test_a_small_disk_can_be_used_to_its_end(small_disk: Path, tmp_path: Path) -> None:
    """60 MB on a disk of 90: by setting. It stands in the file in the state folder, and the next ones are refused."""
    (small_disk / "state").mkdir()
    (small_disk / "state/service.toml").write_text("keep_free_mb = 8\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.service.harness.KEEP_FREE", {})
        with Service(small_disk / "state") as service, service.client() as client:
            client.submit("refuse", {}, make_files(tmp_path / "in", {"a": 60 * MB}), job_id="large")
            with pytest.raises(ServiceError, match="of which it keeps 8 MB"):
                client.submit("refuse", {}, make_files(tmp_path / "in", {"b": 25 * MB}, seed=1), job_id="more")
