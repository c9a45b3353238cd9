# SPDX-License-Identifier: Apache-2.0
"""The real server and the real client, when nothing goes wrong but the input."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import zmq

from interchange import messages as wire
from interchange.client import JobClient
from interchange.connection import Connection, Link
from interchange.digests import digest_bytes
from interchange.errors import Cancelled, InputError
from interchange.service_errors import ServiceError

from .harness import IMPATIENT, Service, assert_reversed, make_files, process_exists, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service") / "state", "--cancel-grace", "0.5") as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[JobClient]:
    with service.client() as made:
        yield made


@pytest.fixture
def link(service: Service) -> Iterator[Link]:
    """A bare connection, for what the client would never send."""
    context: zmq.Context[Any] = zmq.Context()
    made = Link(context, Connection.load(service.state), "data", IMPATIENT)
    yield made
    made.close()
    context.term()


def test_a_whole_job(client: JobClient, service: Service, tmp_path: Path) -> None:
    sizes = {"capture/a.exr": 3_500_000, "capture/b/c.png": 1234, "source/empty": 0, "d": 1 << 20}
    files = make_files(tmp_path / "in", sizes)
    said: list[tuple[str, float, str]] = []
    job_id = client.submit("double", {"steps": 30}, files, progress=lambda *line: said.append(line))
    assert [line[1] for line in said if line[0] == "upload"][-1] == 1.0
    assert client.transfer is not None and client.transfer.eta_s == 0.0
    events = list(client.watch(job_id))
    assert [event.seq for event in events] == sorted({event.seq for event in events})
    states = [event.state for event in events if event.kind == "state"]
    assert states == ["created", "uploading", "queued", "running", "succeeded"]
    steps = [event for event in events if event.kind == "progress"]
    assert 1 <= len(steps) <= 10  # 30 were reported
    assert steps[-1].fraction == 1.0 and steps[-1].message == "step 30 of 30" and steps[-1].eta_s is not None
    assert client.result(job_id) == {"steps": [str(i) for i in range(30)], "nan": None}
    assert client.download(job_id, tmp_path / "out", lambda *line: said.append(line)) == [
        tmp_path / "out" / name for name in sorted(files)
    ]
    assert said[-1] == ("download", 1.0, "")
    assert_reversed(files, tmp_path / "out")
    assert client.get(job_id).state == "succeeded" and client.jobs()[0].job_id == job_id
    assert sorted(entry.path for entry in client.files(job_id)) == sorted(files)


def test_only_what_is_missing_travels(client: JobClient, service: Service, tmp_path: Path) -> None:
    files = make_files(tmp_path, {"a": 200_000, "b": 100_000}, seed=1)
    client.wait(client.submit("double", {}, files))
    client.transfer = None
    files["copy/of/a"] = files["a"]
    job_id = client.submit("double", {}, files)
    assert client.transfer is None  # nothing was sent
    client.wait(job_id)
    assert (service.job_folder(job_id) / "inputs/copy/of/a").read_bytes() == files["a"].read_bytes()


def test_a_download_leaves_what_is_there_and_mends_what_is_not(client: JobClient, tmp_path: Path) -> None:
    files = make_files(tmp_path / "in", {"x/a": 50_000, "x/b": 40_000, "y/c": 30_000}, seed=2)
    job_id = client.submit("double", {}, files)
    client.wait(job_id)
    out = tmp_path / "out"
    assert client.download(job_id, out, select=lambda path: path.startswith("x/")) == [out / "x/a", out / "x/b"]
    assert not (out / "y").exists()
    before = (out / "x/a").stat().st_mtime_ns
    (out / "x/b").write_bytes(b"spoiled")
    client.download(job_id, out)
    assert_reversed(files, out)
    assert (out / "x/a").stat().st_mtime_ns == before
    assert not list(out.rglob("*.part*"))


def test_submitting_again_is_the_same_job(client: JobClient, tmp_path: Path) -> None:
    files = make_files(tmp_path, {"a": 10}, seed=3)
    first = client.submit("double", {"steps": 2}, files, job_id="my-job")
    client.wait(first)
    assert client.submit("double", {"steps": 2}, files, job_id="my-job") == first
    assert client.get("my-job").attempt == 1
    with pytest.raises(ServiceError) as caught:
        client.submit("double", {"steps": 3}, files, job_id="my-job")
    assert caught.value.code == "JOB_CONFLICT"


def test_a_finished_job_can_be_watched_from_anywhere(client: JobClient) -> None:
    job_id = client.submit("double", {}, {})
    client.wait(job_id)
    everything = list(client.watch(job_id))
    assert [event.kind for event in everything] == ["state"] * 3 + ["progress", "state"]
    assert list(client.watch(job_id)) == everything
    assert list(client.watch(job_id, after_seq=everything[-2].seq)) == everything[-1:]


@pytest.mark.parametrize("kind", ["refuse", "fault", "full"])
def test_what_the_job_says_arrives_and_is_not_tried_again(client: JobClient, kind: str) -> None:
    job_id = client.submit(kind, {}, {})
    with pytest.raises((InputError, ServiceError)) as caught:
        client.wait(job_id)
    job = client.get(job_id)
    assert (job.state, job.attempt) == ("failed", 1)
    error: Any = caught.value
    if kind == "refuse":
        assert isinstance(error, InputError) and error.code == "INPUT_CONSENT"
        assert str(error) == "The source has no consent record. Put consent.json beside it."
    elif kind == "fault":
        assert error.code == "INTERNAL" and "ZeroDivisionError: by zero" in error.message
        assert "attempt-1.log" in error.hint
        assert job.error is not None and "Traceback" in job.error.detail
    else:
        assert (error.code, error.retry) == ("RES_DISK_FULL", "later") and "disk is full" in error.message


def test_a_job_that_prints_does_no_harm(client: JobClient, service: Service) -> None:
    job_id = client.submit("chatty", {}, {})
    client.wait(job_id)
    log = (service.job_folder(job_id) / "logs/attempt-1.log").read_text()
    assert "this is no JSON line" in log and "neither is this" in log


def test_cancel_while_running(client: JobClient) -> None:
    job_id = client.submit("double", {"steps": 1000, "pause": 0.02}, {})
    for event in client.watch(job_id):
        if event.kind == "progress":
            begun = time.monotonic()
            client.cancel(job_id)
            break
    with pytest.raises(Cancelled):
        client.wait(job_id)
    assert time.monotonic() - begun < 2.0
    assert client.get(job_id).state == "cancelled"
    assert client.cancel(job_id).state == "cancelled"


def test_a_cancelled_job_is_taken_up_where_it_stopped(client: JobClient) -> None:
    job_id = client.submit("double", {"steps": 40, "pause": 0.02}, {})
    for event in client.watch(job_id):
        if (event.fraction or 0.0) > 0.1:
            client.cancel(job_id)
    client.submit("double", {"steps": 40, "pause": 0.02}, {}, job_id=job_id)
    assert client.wait(job_id)["steps"] == [str(i) for i in range(40)]
    assert client.get(job_id).attempt == 2


def test_cancel_while_queued(client: JobClient) -> None:
    first = client.submit("double", {"steps": 1000, "pause": 0.01}, {})
    wait_until(lambda: client.get(first).state == "running")
    second = client.submit("double", {}, {})
    waiting = client.get(second)
    assert (waiting.state, waiting.position) == ("queued", 0)
    assert client.cancel(second).state == "cancelled"
    client.cancel(first)
    with pytest.raises(Cancelled):
        client.wait(first)


def test_a_deaf_worker_is_killed_with_its_children(client: JobClient, service: Service) -> None:
    job_id = client.submit("deaf", {}, {})
    wait_until((service.job_folder(job_id) / "work/deaf").exists)
    assert service.process is not None
    family = descendants(service.process.pid)
    assert len(family) == 2  # the worker and its child
    client.cancel(job_id)
    with pytest.raises(Cancelled):
        client.wait(job_id)
    wait_until(lambda: not any(process_exists(pid) for pid in family), 3.0)


def descendants(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [pid for child in children for pid in descendants(child)]


def test_two_clients(service: Service, tmp_path: Path) -> None:
    """Both send the same new file at the same time, and each watches its own job."""
    files = make_files(tmp_path, {"shared": 6_000_000}, seed=5)
    outcomes: dict[int, Any] = {}

    def work(number: int) -> None:
        with service.client() as mine:
            job_id = mine.submit("double", {"steps": 3 + number}, files)
            outcomes[number] = mine.wait(job_id)
            mine.download(job_id, tmp_path / f"out{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(outcomes[number]["steps"]) for number in range(2)] == [3, 4]
    assert_reversed(files, tmp_path / "out0")
    assert_reversed(files, tmp_path / "out1")


# -- bad input --------------------------------------------------------------------------------------------------------


def test_bad_files_are_refused_before_anything_travels(client: JobClient, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    for path in ("../x", "/x", "C:/x", "a\\x"):
        with pytest.raises(InputError) as caught:
            client.submit("double", {}, {path: tmp_path / "x"})
        assert caught.value.code == "INPUT_PATH"
    with pytest.raises(InputError, match="cannot be read"):
        client.submit("double", {}, {"x": tmp_path / "none"})


def test_the_server_trusts_no_manifest(link: Link, service: Service) -> None:
    digest = digest_bytes(b"x")

    def refusal(*files: wire.FileEntry) -> str:
        with pytest.raises(InputError) as caught:
            link.request(wire.JobCreate("evil", "double", wire.JobSpec({}, list(files))))
        return caught.value.code

    for path in ("../x", "/etc/x", "a/../../x", "C:/x", "\\x", ""):
        assert refusal(wire.FileEntry(path, 1, digest)) == "INPUT_PATH"
    assert refusal(wire.FileEntry("a", 1, digest), wire.FileEntry("A", 1, digest)) == "INPUT_PATH"
    assert refusal(wire.FileEntry("a", 1, digest), wire.FileEntry("b", 2, digest)) == "INPUT_MANIFEST"
    assert refusal(wire.FileEntry("a", 0, digest)) == "INPUT_MANIFEST"
    assert refusal(wire.FileEntry("a", 1 << 50, digest)) == "INPUT_MANIFEST"
    assert refusal(*(wire.FileEntry(str(i), 1, digest) for i in range(20_001))) == "INPUT_MANIFEST"
    with pytest.raises(ServiceError, match="no job evil"):
        link.request(wire.JobGet("evil"))


def test_a_file_that_lies_about_its_digest(link: Link, service: Service) -> None:
    """Chunk against its own digest, file against the announced one; then the job cannot be committed."""
    truth, lie = b"t" * 1000, b"l" * 1000
    digest = digest_bytes(truth)
    create = wire.JobCreate("liar", "double", wire.JobSpec({}, [wire.FileEntry("f", 1000, digest)]))
    assert link.request(create) == wire.JobCreated("liar", "uploading", [wire.MissingFile(digest, 1000, 0)])
    for chunk_digest in (digest_bytes(truth), digest_bytes(lie)):
        with pytest.raises(InputError) as caught:
            link.request(wire.PutChunk(digest, 1000, 0, chunk_digest, lie))
        assert caught.value.code == "INPUT_DIGEST"
    with pytest.raises(ServiceError) as incomplete:
        link.request(wire.JobCommit("liar"))
    assert incomplete.value.code == "JOB_INCOMPLETE"
    assert link.request(wire.PutChunk(digest, 1000, 0, digest, truth)) == wire.PutAck(digest, 1000, 1000, True)
    answer = link.request(wire.JobCommit("liar"))
    assert isinstance(answer, wire.JobState) and answer.job.state in ("queued", "running")
    stored = service.state / "store" / digest[:2] / digest
    assert stored.read_bytes() == truth and stat.S_IMODE(stored.stat().st_mode) == 0o400


def test_what_nobody_announced_is_not_stored(link: Link, service: Service) -> None:
    data = b"unwanted"
    with pytest.raises(ServiceError, match="no job announced"):
        link.request(wire.PutChunk(digest_bytes(data), len(data), 0, digest_bytes(data), data))


def test_more_than_the_credit_is_refused(link: Link) -> None:
    data = bytes(link.welcome.limits.chunk + 1)
    with pytest.raises(ServiceError) as caught:
        link.request(wire.PutChunk(digest_bytes(data), len(data), 0, digest_bytes(data), data))
    assert caught.value.code == "PROTO_CREDIT"


def test_results_are_read_from_the_job_and_nowhere_else(client: JobClient, link: Link, tmp_path: Path) -> None:
    job_id = client.submit("double", {}, make_files(tmp_path, {"f": 100}))
    client.wait(job_id)
    pieces = [("../task.json", 0, 1), ("/etc/passwd", 0, 1), ("g", 0, 1), ("f", 50, 51), ("f", 0, 2 << 20)]
    for path, offset, length in pieces:
        with pytest.raises(InputError):
            link.request(wire.GetChunk(job_id, path, offset, length))


def test_unknown_jobs(client: JobClient) -> None:
    for ask in (client.get, client.cancel, client.result, client.files, lambda job: next(client.watch(job))):
        with pytest.raises(ServiceError) as caught:
            ask("nobody-knows")
        assert caught.value.code == "JOB_UNKNOWN"
    job_id = client.submit("refuse", {}, {})
    with pytest.raises(InputError):
        client.wait(job_id)
    with pytest.raises(ServiceError, match="no results"):
        client.files(job_id)


# -- who may come in --------------------------------------------------------------------------------------------------


def test_files_with_keys_are_private(service: Service) -> None:
    for name in ("connection.json", "keys.json"):
        assert stat.S_IMODE((service.state / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(service.state.stat().st_mode) == 0o700
    assert Connection.load(service.state).endpoint.startswith("tcp://127.0.0.1:")


def test_a_stranger_is_refused_in_words(service: Service) -> None:
    public, secret = (key.decode() for key in zmq.curve_keypair())
    stranger = attrs.evolve(Connection.load(service.state), client_public_key=public, client_secret_key=secret)
    begun = time.monotonic()
    with service.client(stranger) as client, pytest.raises(ServiceError) as caught:
        client.ping()
    assert caught.value.code == "AUTH_UNPAIRED" and time.monotonic() - begun < 1.0


def test_a_server_with_other_keys_is_not_believed(service: Service) -> None:
    public, _ = (key.decode() for key in zmq.curve_keypair())
    wrong = attrs.evolve(Connection.load(service.state), server_key=public)
    timing = attrs.evolve(IMPATIENT, patience_s=0.3)
    with JobClient(wrong, timing) as client, pytest.raises(ServiceError, match="other keys"):
        client.ping()


def test_plain_and_garbage_connections_get_nothing(service: Service, client: JobClient) -> None:
    endpoint = Connection.load(service.state).endpoint
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(endpoint)
        plain.send_multipart([b"DD/2", b'{"t":"ping","id":"1"}'])
        assert not plain.poll(300)
    context.term()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", int(endpoint.rpartition(":")[2]))) as raw:
            raw.sendall(os.urandom(500))
    client.ping()


def test_malformed_messages_are_answered(link: Link, client: JobClient) -> None:
    for frames in ([b"DD/9", b"{}"], [b"DD/2", b"{}"], [b"DD/2", b"{"], [b"x"], [b"DD/2", b'{"t":"pong","id":"7"}']):
        link._socket.send_multipart(frames)
        answer = link.receive(2.0)
        assert answer is not None and isinstance(answer.message, wire.Error)
        assert answer.message.error.code.startswith("PROTO_")
    client.ping()


# -- files that change ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resumed", [False, True])
def test_a_file_that_changes_while_it_is_sent(client: JobClient, tmp_path: Path, resumed: bool) -> None:
    """It is named, and not tried again for ever, also if a part of it had arrived earlier; as it is now it is taken."""
    files = make_files(tmp_path, {"picture": 24 << 20}, seed=resumed)  # more than is on its way at once

    def give_up(stage: str, fraction: float, _: str) -> None:
        if stage == "upload" and 0.0 < fraction < 1.0:
            raise TimeoutError

    def spoil(stage: str, *_: object) -> None:
        if stage == "prepare":
            with open(files["picture"], "r+b") as file:
                file.seek(23 << 20)
                file.write(b"another")

    if resumed:
        with pytest.raises(TimeoutError):
            client.submit("double", {}, files, progress=give_up)
    with pytest.raises(InputError, match="picture does not match its digest"):
        client.submit("double", {}, files, progress=spoil)
    client.wait(client.submit("double", {}, files))


# -- starting and stopping --------------------------------------------------------------------------------------------


def test_nobody_there(tmp_path: Path) -> None:
    with JobClient(tmp_path, IMPATIENT) as client, pytest.raises(InputError, match="No service runs in"):
        client.ping()
    with JobClient(tmp_path / "typo", IMPATIENT) as client, pytest.raises(InputError, match=r"serve --state .*typo\."):
        client.ping()
    (tmp_path / "connection.json").write_text("{}")
    with JobClient(tmp_path, IMPATIENT) as client, pytest.raises(InputError, match="damaged"):
        client.ping()


def test_jobs_find_networks_where_the_service_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGIDOUBLE_MODELS", "of the environment")
    for arguments, place in (((), "of the environment"), (("--models", str(tmp_path)), str(tmp_path.resolve()))):
        with Service(tmp_path / f"state{len(arguments)}", *arguments) as service, service.client() as client:
            job = client.submit("double", {"steps": 1}, {})
            client.wait(job)
            assert (service.job_folder(job) / "work/models.txt").read_text() == place
