# SPDX-License-Identifier: Apache-2.0
"""Who cannot come in is told why, in the right sentence, within a second."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from benchmarks.service_parts.plain import PlainLink
from interchange import codec
from interchange import messages as wire
from interchange.client import JobClient
from interchange.connection import Connection
from interchange.errors import InputError
from interchange.handshake import MONITORED, check_event, mechanism_at
from interchange.local_server import find_local_server
from interchange.paths import scan_folder
from interchange.service_errors import ServiceError
from interchange.session import SURE
from tests.interchange.test_files import small_capture

from .harness import IMPATIENT, REPOSITORY, TOY, Line, Service, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("refusals") / "state") as running:
        yield running


def refusal(connection: Connection | Path) -> ServiceError:
    """What a client with the usual patience of a minute is told; within a second."""
    begun = time.perf_counter()
    with JobClient(connection) as client, pytest.raises(ServiceError) as caught:
        client.ping()
    seconds = time.perf_counter() - begun
    print(f"refused after {seconds * 1000:.0f} ms")  # pytest -rP shows it
    assert seconds < 1.0
    return caught.value


def new_pair() -> tuple[str, str]:
    public, secret = zmq.curve_keypair()
    return public.decode(), secret.decode()


def test_an_unpaired_key(service: Service) -> None:
    public, secret = new_pair()
    stranger = attrs.evolve(Connection.load(service.state), client_public_key=public, client_secret_key=secret)
    error = refusal(stranger)
    assert error.code == "AUTH_UNPAIRED" and "does not know this computer's key" in error.message
    assert f"refused a strange key from 127.0.0.1: {public}" in (service.state / "server.log").read_text()


def test_a_server_with_another_key(service: Service) -> None:
    changed = attrs.evolve(Connection.load(service.state), server_key=new_pair()[0])
    error = refusal(changed)
    assert error.code == "AUTH_SERVER_KEY_CHANGED" and "has other keys than this computer knows" in error.message
    assert "somebody else answers in its place" in error.hint


def test_a_client_without_encryption(service: Service) -> None:
    endpoint = Connection.load(service.state).endpoint
    assert mechanism_at(endpoint) == "CURVE" and mechanism_at("tcp://127.0.0.1:1") == ""
    context: zmq.Context[Any] = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.linger = 0
    monitor = plain.get_monitor_socket(MONITORED)
    plain.connect(endpoint)
    plain.send_multipart([b"DD/2", b'{"t":"ping","id":"1"}'])
    begun = time.perf_counter()
    with pytest.raises(ServiceError) as caught:
        while monitor.poll(1000):
            event = recv_monitor_message(monitor)
            check_event(event["event"], event["value"], endpoint, ours="NULL")
    assert time.perf_counter() - begun < 1.0 and not plain.poll(0)
    assert caught.value.code == "AUTH_PLAINTEXT" and "the same encryption" in caught.value.message
    plain.disable_monitor()
    monitor.close(0)
    plain.close()
    context.term()


def test_a_server_without_encryption(service: Service) -> None:
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.ROUTER) as plain:
        port = plain.bind_to_random_port("tcp://127.0.0.1")
        elsewhere = attrs.evolve(Connection.load(service.state), endpoint=f"tcp://127.0.0.1:{port}")
        error = refusal(elsewhere)
        assert not plain.poll(0)  # not a byte of a message went there
    context.term()
    assert error.code == "AUTH_PLAINTEXT" and "not Digidouble" in error.message


def test_an_older_program(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides see it: the service answers in its own words, the client in its own."""
    monkeypatch.setattr(codec, "PROTOCOL", b"DD/1")
    monkeypatch.setattr("interchange.connection.PROTOCOL", b"DD/1")
    error = refusal(service.state)
    assert error.code == "PROTO_VERSION" and error.message == "This program speaks DD/1, the service DD/2."
    assert "Install the same version" in error.hint


def test_no_address(service: Service) -> None:
    for endpoint in ("nonsense", "tcp://", "tcp://box:port"):
        damaged = attrs.evolve(Connection.load(service.state), endpoint=endpoint)
        with JobClient(damaged, IMPATIENT) as client, pytest.raises(InputError, match="no address of a service"):
            client.ping()


MARKER = b"an actor's name that must not leak"
PNG, EXR = b"\x89PNG\r\n\x1a\n", b"\x76\x2f\x31\x01\x02\0\0\0"  # magic numbers, EXR's with its version
SECRETS = (
    MARKER, MARKER[::-1], PNG, PNG[::-1], EXR, EXR[::-1],
    b"digidouble-capture", b"Rec.709", b"view_001", b"chlist",  # of the manifest and of the EXRs' headers
    b"secret-role", b"consent", b"hush-hush", b"job.create", b"put.chunk", b"get.data", b"preview.ack", b"capture/",
)  # fmt: skip
"""What a job holds: the toy sends its inputs back reversed, so results that look like pictures are sent reversed."""


def overhear(connection: Connection, folder: Path) -> bytes:
    """Both directions of a whole job with a real capture, previews and results, as it goes over the line."""
    small_capture(folder / "in/capture", np.random.default_rng(6))
    (folder / "in/source").mkdir()
    (folder / "in/source/consent.json").write_bytes(MARKER * 20)
    picture = next((folder / "in/capture").rglob("*.png")).read_bytes() + MARKER
    exr = next((folder / "in/capture").rglob("*.exr")).read_bytes()
    (folder / "in/capture/secret-role.dat").write_bytes(picture[::-1])
    (folder / "in/capture/view.dat").write_bytes(exr[::-1])
    files = scan_folder(folder / "in")
    assert any(path.suffix == ".exr" for path in files.values()) and "capture/capture.json" in files
    with Line(connection, record=True) as line, JobClient(line.connection, IMPATIENT) as client:
        told = {"note": MARKER.decode(), "pictures": 64, "pause": 0.1}
        job_id = client.submit("double", told, files, job_id="hush-hush")
        news = list(client.watch(job_id, previews=True))
        client.download(job_id, folder / "out")
        assert (folder / "out/capture/view.dat").read_bytes() == exr
        recorded = bytes(line.recorded or b"")
    assert len(recorded) > 2 * sum(path.stat().st_size for path in files.values())
    assert any(isinstance(item, wire.Preview) for item in news)
    return recorded


def test_who_listens_in_reads_nothing(service: Service, tmp_path: Path) -> None:
    recorded = overhear(Connection.load(service.state), tmp_path)
    assert [secret for secret in SECRETS if secret in recorded] == []
    assert b"CURVE" in recorded  # it was the right line


def test_without_encryption_all_of_it_could_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test of the test: over a line of our own making that has no encryption, the same job shows everything."""
    state = tmp_path / "state"
    command = [sys.executable, "-m", "benchmarks.service_parts.plain", str(state), TOY]
    process = subprocess.Popen(command, cwd=REPOSITORY)
    try:
        monkeypatch.setattr("interchange.session.Link", PlainLink)
        wait_until(lambda: find_local_server(state) is not None, 20.0)
        recorded = overhear(Connection.load(state), tmp_path)
    finally:
        process.terminate()
        process.wait(15.0)
    assert [secret for secret in SECRETS if secret not in recorded] == []


def test_a_line_that_breaks_is_no_change_of_keys(service: Service) -> None:
    """A tunnel takes connections also while the service is away; and two handshakes in a row may be cut anywhere."""
    with Line(Connection.load(service.state)) as line:
        for mark in (1, 30, 70, 300):
            line.cut_after(*(line.sent + mark * i for i in range(1, SURE)))
            with JobClient(line.connection, IMPATIENT) as client:
                client.ping()
        service.kill()
        assert mechanism_at(line.connection.endpoint) == ""
        impatient = attrs.evolve(IMPATIENT, patience_s=0.7)
        with JobClient(line.connection, impatient) as client, pytest.raises(ServiceError) as caught:
            client.ping()
        assert caught.value.code == "UNAVAILABLE"
        service.start()
        with JobClient(line.connection, IMPATIENT) as client:
            client.ping()
