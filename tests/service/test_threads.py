# SPDX-License-Identifier: Apache-2.0
"""A client in a daemon thread of a user interface: told to stop, it is gone within 0.3 s, whatever it waits for."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from interchange.client import JobClient
from interchange.connection import Connection
from interchange.errors import Cancelled

from .harness import Line, Service, make_files, wait_until

QUICK_S = 0.3


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("threads") / "state", "--cancel-grace", "0.5") as running:
        yield running


def seconds_to_stop(
    connection: Connection | Path, act: Callable[[JobClient], object], ready: Callable[[], bool]
) -> float:
    """Start, let it get to where it waits, tell it to stop: how long until its thread has ended."""
    stop = threading.Event()
    ends: list[str] = []

    def work() -> None:
        try:
            with JobClient(connection, cancelled=stop.is_set) as client:
                act(client)
                ends.append("finished")
        except Cancelled:
            ends.append("cancelled")

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    wait_until(ready)
    assert thread.is_alive()
    begun = time.perf_counter()
    stop.set()
    thread.join(10.0)
    seconds = time.perf_counter() - begun
    assert ends == ["cancelled"]
    return seconds


def after(seconds: float) -> Callable[[], bool]:
    begun = time.monotonic()
    return lambda: time.monotonic() - begun > seconds


def test_while_it_watches(service: Service) -> None:
    with service.client() as mine:
        job_id = mine.submit("double", {"steps": 3000, "pause": 0.02}, {})
        wait_until(lambda: mine.get(job_id).state == "running")
        assert seconds_to_stop(service.state, lambda client: client.wait(job_id), after(0.5)) < QUICK_S
        silent = mine.submit("double", {}, {})  # queued behind the other: no events come
        assert seconds_to_stop(service.state, lambda client: client.wait(silent), after(0.3)) < QUICK_S
        mine.cancel(silent)
        mine.cancel(job_id)


def test_while_the_service_is_away(service: Service) -> None:
    """Between two attempts, which may lie seconds apart."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = attrs.evolve(Connection.load(service.state), endpoint=f"tcp://127.0.0.1:{probe.getsockname()[1]}")
    for moment in (0.1, 1.5):
        assert seconds_to_stop(gone, lambda client: client.jobs(), after(moment)) < QUICK_S


def test_while_the_other_side_is_silent(service: Service) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deaf = attrs.evolve(Connection.load(service.state), endpoint=f"tcp://127.0.0.1:{silent.getsockname()[1]}")
        assert seconds_to_stop(deaf, lambda client: client.stats(), after(0.3)) < QUICK_S


def test_while_a_host_name_is_looked_up(service: Service) -> None:
    elsewhere = attrs.evolve(Connection.load(service.state), endpoint="tcp://no-such-host.invalid:7713")
    assert seconds_to_stop(elsewhere, lambda client: client.stats(), after(0.1)) < QUICK_S


def test_while_files_travel(service: Service, tmp_path: Path) -> None:
    """The answers come without a pause, so there is always something to read."""
    files = make_files(tmp_path / "in", {f"{i}": 8_000_000 for i in range(8)}, seed=9)
    with Line(Connection.load(service.state)) as line:
        upload = seconds_to_stop(
            line.connection, lambda client: client.submit("double", {}, files), lambda: line.sent > 5_000_000
        )
        with service.client() as mine:
            job_id = mine.submit("double", {}, files)
            mine.wait(job_id)
        out = tmp_path / "out"
        download = seconds_to_stop(
            line.connection, lambda client: client.download(job_id, out), lambda: out.exists() and any(out.iterdir())
        )
    assert upload < QUICK_S and download < QUICK_S
