# SPDX-License-Identifier: Apache-2.0
"""The service on this computer: found, started, stopped, or told apart from what cannot be talked to."""

from __future__ import annotations

import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
import zmq

from backend import cli
from interchange import codec
from interchange.client import JobClient
from interchange.connection import CONNECTION_FILE, Connection
from interchange.errors import InputError
from interchange.local_server import LOCK_FILE, find_local_server, start_local_server, stop_local_server
from interchange.locks import is_held
from interchange.service_errors import ServiceError

from .harness import IMPATIENT, REPOSITORY, TOY, Service, process_exists, wait_until

ARGUMENTS = ("--runner", TOY)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Service(tmp_path / "state") as running:
        yield running


@pytest.fixture
def stranger(service: Service, monkeypatch: pytest.MonkeyPatch) -> Service:
    """A service that runs; this side speaks another major version from now on."""
    monkeypatch.setattr(codec, "PROTOCOL", b"DD/0")
    monkeypatch.setattr("interchange.connection.PROTOCOL", b"DD/0")
    return service


def start(state: Path, timeout_s: float = 30.0) -> Connection:
    return start_local_server(state, sys.executable, REPOSITORY, ARGUMENTS, timeout_s)


def test_local_server_is_started_once_found_and_stopped(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert find_local_server(state) is None and not stop_local_server(state)
    arguments = ["--runner", "tests.service.toy:run"]
    first = start_local_server(state, sys.executable, REPOSITORY, arguments)
    assert start_local_server(state, sys.executable, REPOSITORY, arguments) == first
    with JobClient(state, IMPATIENT) as client:
        job_id = client.submit("double", {}, {})
        client.wait(job_id)
    assert stop_local_server(state)
    wait_until(lambda: not process_exists(first.pid))
    second = start_local_server(state, sys.executable, REPOSITORY, arguments)
    assert second.server_id != first.server_id
    assert (second.server_key, second.endpoint) == (first.server_key, first.endpoint)
    with JobClient(state, IMPATIENT) as client:
        assert client.get(job_id).state == "succeeded"
    assert stop_local_server(state)


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    (state / "service.sqlite").write_bytes(b"this is no database, and was never meant to be one" * 100)
    with pytest.raises(ServiceError, match="damaged"):
        start_local_server(state, sys.executable, REPOSITORY, timeout_s=3.0)


def test_two_that_start_it_at_once_get_the_same(tmp_path: Path) -> None:
    """Two Blenders, say: the one that is slower waits for the other's."""
    found: list[Connection] = []
    threads = [threading.Thread(target=lambda: found.append(start(tmp_path / "state"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3 and len({connection.server_id for connection in found}) == 1
    assert stop_local_server(tmp_path / "state") and not is_held(tmp_path / "state" / LOCK_FILE)


def test_another_version_runs(stranger: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """It is named, and no second one is started beside it; it can still be stopped, gracefully."""
    service = stranger
    assert service.process is not None
    begun = time.monotonic()
    for attempt in (find_local_server, start):
        with pytest.raises(ServiceError) as caught:
            attempt(service.state)
        assert caught.value.code == "PROTO_VERSION"
        assert caught.value.message == "This program speaks DD/0, the service DD/2."
    assert time.monotonic() - begun < 5.0
    assert cli.main(["gc", "--state", str(service.state)]) != 0
    assert "This program speaks DD/0, the service DD/2." in capsys.readouterr().err
    assert stop_local_server(service.state)
    assert service.process.wait(5.0) == 0


def test_a_connection_file_with_other_keys(service: Service) -> None:
    """Of a copied folder, say."""
    path = service.state / CONNECTION_FILE
    right = Connection.load(path)
    public, secret = (key.decode() for key in zmq.curve_keypair())
    attrs.evolve(right, client_public_key=public, client_secret_key=secret).save(path)
    with pytest.raises(ServiceError, match="does not know this computer's key"):
        start(service.state)
    attrs.evolve(right, server_key=public).save(path)
    with pytest.raises(ServiceError, match="has other keys than this computer knows"):
        find_local_server(service.state)
    path.write_text("{")
    with pytest.raises(InputError, match="is damaged"):
        find_local_server(service.state)
    right.save(path)
    assert find_local_server(service.state) == right


def test_a_connection_file_that_may_not_be_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch, pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        patch.setattr(Path, "read_text", forbidden)
        find_local_server(service.state)


def test_what_was_left_by_one_that_died_is_none(service: Service, tmp_path: Path) -> None:
    """Its port may be anybody's by now: another service's, or some other program's."""
    old = tmp_path / "old"
    old.mkdir()
    shutil.copy(service.state / CONNECTION_FILE, old)
    living = Connection.load(service.state)
    public = zmq.curve_keypair()[0].decode()
    attrs.evolve(living, server_key=public, server_id="dead").save(old / CONNECTION_FILE)
    assert find_local_server(old) is None
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        endpoint = f"tcp://127.0.0.1:{stranger.getsockname()[1]}"
        attrs.evolve(living, endpoint=endpoint).save(old / CONNECTION_FILE)
        (old / LOCK_FILE).touch()
        assert find_local_server(old) is None and not stop_local_server(old)
    assert find_local_server(service.state) == living


def test_one_that_hangs_is_not_taken_for_none(service: Service) -> None:
    assert service.process is not None
    service.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ServiceError) as caught:
            start(service.state, timeout_s=0.1)
    finally:
        service.process.send_signal(signal.SIGCONT)
    assert caught.value.code == "UNAVAILABLE"
    assert f"does not answer (process {service.process.pid})" in caught.value.message
    wait_until(lambda: find_local_server(service.state) is not None)
