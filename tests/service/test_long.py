# SPDX-License-Identifier: Apache-2.0
"""Faults that take their time: strangers by the hundred, cancelling at any moment, bad lines, a night of kills."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import zmq

from benchmarks.service_parts.line import BadLine, Quality
from benchmarks.service_parts.turns import Turn, Waits, run_crowd, worst_waits
from interchange import messages as wire
from interchange.client import JobClient
from interchange.connection import Connection, Link, Timing
from interchange.errors import Cancelled

from .harness import IMPATIENT, Service, assert_reversed, make_files, process_exists, wait_until
from .test_service import descendants

MB = 1_000_000


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "state", "--cancel-grace", "5") as running:
        yield running


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def memory(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_strangers_by_the_hundred(service: Service) -> None:
    """500 half-open handshakes, garbage, and one byte a second: a paired client notices nothing, and all of it goes."""
    assert service.process is not None
    pid, endpoint = service.process.pid, Connection.load(service.state).endpoint
    address = ("127.0.0.1", int(endpoint.rpartition(":")[2]))
    generator = random.Random(12)
    with service.client() as client:
        client.ping()
        before = descriptors(pid)
        open_ones = []
        for number in range(500):
            stranger = socket.create_connection(address)
            stranger.sendall((b"", b"\xff\0\0\0\0\0\0\0\x01\x7f\x03", generator.randbytes(200))[number % 3])
            open_ones.append(stranger)
        waits = []
        for _ in range(30):
            begun = time.perf_counter()
            client.ping()
            waits.append(time.perf_counter() - begun)
            for stranger in open_ones[:2]:
                with contextlib.suppress(OSError):
                    stranger.sendall(b"\0")
        print(f"pings took {statistics.median(waits) * 1000:.1f} ms, at worst {max(waits) * 1000:.1f} ms")
        assert statistics.median(waits) < 0.2
        wait_until(lambda: descriptors(pid) <= before + 2, 30.0)  # the handshake's time runs out
        for stranger in open_ones:
            stranger.close()
        client.ping()


@pytest.mark.slow
def test_cancelled_at_any_moment(service: Service) -> None:
    """At twenty moments of a job, from before it starts to after its end: soon, and with nothing left behind."""
    generator = random.Random(19)
    assert service.process is not None
    soft: list[float] = []
    with service.client() as client:
        for number in range(20):
            job_id = client.submit("double", {"steps": 60, "pause": 0.02}, {}, job_id=f"c{number}")
            time.sleep(generator.uniform(0, 2.0))
            begun = time.monotonic()
            client.cancel(job_id)
            for _ in client.watch(job_id):
                pass
            job = client.get(job_id)
            soft.append(time.monotonic() - begun)
            assert job.state in ("cancelled", "succeeded")
        wait_until(lambda: descendants(service.process.pid) == [], 10.0)  # type: ignore[union-attr]
        begun = time.monotonic()
        deaf = client.submit("deaf", {}, {})
        wait_until(lambda: (service.job_folder(deaf) / "work/deaf").exists(), 20.0)
        begun = time.monotonic()
        client.cancel(deaf)
        with pytest.raises(Cancelled):
            client.wait(deaf)
        hard = time.monotonic() - begun
        wait_until(lambda: descendants(service.process.pid) == [], 10.0)  # type: ignore[union-attr]
    print(f"soft: median {statistics.median(soft):.2f} s, worst {max(soft):.2f} s; hard: {hard:.2f} s")
    assert statistics.median(soft) <= 1.0 and hard <= 7.0
    assert not list((service.state / "store").rglob("*.part"))


def test_how_waits_are_counted() -> None:
    order = "ggaggbgabgb"
    turns = [Turn(name, 1.5 if name == "a" else 0.0, at) for at, name in enumerate(order)]
    assert worst_waits(turns) == {"g": Waits(1, 2), "a": Waits(3, 4), "b": Waits(3, 4)}


@pytest.mark.slow
def test_eight_clients_and_one_with_a_hundred_jobs(tmp_path: Path) -> None:
    """Processes with keys of their own, the real server, real workers. Then all stay connected and want nothing."""
    with Service(tmp_path / "state") as running:
        crowd = run_crowd(Connection.load(running.state), tmp_path)
    waits = worst_waits(crowd.turns)
    print(f"132 jobs in {crowd.seconds:.0f} s; waits {waits}")
    print(f"idle {crowd.idle:.2%}; memory {crowd.memory / 2**20:.0f} MiB, at most {crowd.peak_memory / 2**20:.0f} MiB")
    assert len(crowd.turns) == 132 and len(waits) == 9
    assert max(wait.of_one for wait in waits.values()) <= 2
    assert max(wait.of_all for wait in waits.values()) <= 16
    assert crowd.idle <= 0.01 and crowd.peak_memory < 150 << 20


@pytest.mark.slow
def test_a_client_that_reads_nothing(service: Service) -> None:
    """It watches a talkative job with pictures and takes nothing off its socket: the server does not grow."""
    assert service.process is not None
    context: zmq.Context[Any] = zmq.Context()
    sleeper = Link(context, Connection.load(service.state), "control", IMPATIENT)
    with service.client() as client:
        job_id = client.submit("double", {"steps": 1500, "pause": 0.005, "pictures": 512}, {})
        sleeper.send(wire.JobWatch(job_id, 0, 0))
        wait_until(lambda: client.get(job_id).fraction > 0.05, 20.0)
        before = memory(service.process.pid)
        assert [event.state for event in client.watch(job_id) if event.kind == "state"][-1] == "succeeded"
        growth = memory(service.process.pid) - before
    print(f"the server grew by {growth / 2**20:.1f} MiB")
    assert growth < 32 << 20
    sleeper.close()
    context.destroy(0)


@pytest.mark.slow
def test_over_a_bad_line(service: Service, tmp_path: Path) -> None:
    """100 ms of round trip, 4 MB/s, a reset in ten MiB: there and back, whole."""
    files = make_files(tmp_path / "in", {f"v/{i}": 4 * MB for i in range(5)})
    quality = Quality(delay_s=0.05, bandwidth=4e6, reset=0.1, seed=5)
    patient = Timing(pause_first_s=0.05, pause_max_s=0.5)
    with BadLine(Connection.load(service.state), quality) as line, JobClient(line.connection, patient) as client:
        job_id = client.submit("double", {}, files)
        client.wait(job_id)
        client.download(job_id, tmp_path / "out")
        assert line.resets >= 1
    assert_reversed(files, tmp_path / "out")


def kills(service: Service, folder: Path, jobs: int, count: int, seed: int) -> Counter[str]:
    """Jobs with the server or a worker killed again and again: each ends once, with what an undisturbed run gives.

    Workers are killed at most twice for each job: a third time may rightly be taken for the job's own fault.
    """
    generator = random.Random(seed)
    files = make_files(folder / "in", {"a": 2 * MB, "b/c": 300_000})
    killed: Counter[str] = Counter()
    with service.client() as client:
        ids = [client.submit("double", {"steps": 20 + i, "pause": 0.02}, files, job_id=f"k{i}") for i in range(jobs)]
        while sum(killed[kind] for kind in ("server", "worker")) < count:
            time.sleep(generator.uniform(0.02, 0.6))
            assert service.process is not None
            running = next((job.job_id for job in client.jobs(jobs) if job.state == "running"), "")
            workers = descendants(service.process.pid)
            if running and workers and killed[running] < 2 and generator.random() < 0.4:
                os.kill(workers[0], signal.SIGKILL)
                killed[running] += 1
                killed["worker"] += 1
            else:
                service.restart()
                killed["server"] += 1
        for number, job_id in enumerate(ids):
            assert client.wait(job_id)["steps"] == [str(i) for i in range(20 + number)]  # each step once
            client.download(job_id, folder / "out" / job_id)
            assert_reversed(files, folder / "out" / job_id)
        assert client.stats().jobs == {"succeeded": jobs}
    return killed


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills_during_fifty_jobs(tmp_path: Path) -> None:
    with Service(tmp_path / "state") as service:
        patient = attrs.evolve(IMPATIENT, patience_s=60.0)
        service.client = lambda connection=None: JobClient(connection or service.state, patient)  # type: ignore[method-assign]
        killed = kills(service, tmp_path, jobs=50, count=100, seed=2)
        print(f"killed: {killed['server']} servers, {killed['worker']} workers")
        assert service.process is not None and process_exists(service.process.pid)
