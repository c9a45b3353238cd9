# SPDX-License-Identifier: Apache-2.0
"""The service's parts one by one, without processes: job list, queue, watchers, handlers, worker."""

from __future__ import annotations

import errno
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from backend.service import handlers, worker
from backend.service.blobs import ContentStore
from backend.service.devices import Devices
from backend.service.queue import JobQueue
from backend.service.reception import REVOKED_ERROR, Deferred, Reception
from backend.service.retention import Retention
from backend.service.settings import Settings
from backend.service.store import JobStore
from backend.service.watchers import MAX_UNACKNOWLEDGED, Watchers
from interchange import messages as wire
from interchange.codec import encode
from interchange.digests import EMPTY, digest_bytes
from interchange.errors import InputError
from interchange.service_errors import ErrorInfo, ServiceError

from .test_contents import chunk

CRASH = ErrorInfo("JOB_CRASHED", "The worker died.")
OWNER = "artist"


def creation(job_id: str, *files: wire.FileEntry) -> wire.JobCreate:
    return wire.JobCreate(job_id, "double", wire.JobSpec({}, list(files)))


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[JobQueue]:
    store = JobStore(tmp_path / "jobs.sqlite")
    yield JobQueue(store)
    store.close()


# -- job list and queue -----------------------------------------------------------------------------------------------


def test_first_come_first_served_and_a_crash_keeps_the_place(queue: JobQueue) -> None:
    for name in ("a", "b", "c"):
        queue.create(OWNER, creation(name))
    for name in ("b", "a", "c"):
        queue.commit(queue.find(name, OWNER))
    assert queue.positions() == {"b": 0, "a": 1, "c": 2}
    assert queue.start_next().job_id == "b"  # type: ignore[union-attr]
    queue.crashed("b", CRASH)
    assert queue.start_next(busy={"b"}).job_id == "a"  # type: ignore[union-attr]
    assert queue.start_next().job_id == "b"  # type: ignore[union-attr]


def test_devices_take_turns(queue: JobQueue) -> None:
    """Eight with four jobs, one with a hundred that came first: nobody has two turns while another waits for one."""
    owners = ["greedy"] * 100 + [f"device {i}" for i in range(8)] * 4
    for number, owner in enumerate(owners):
        queue.commit(queue.create(owner, creation(f"{number}")))
    places = queue.positions()
    announced = sorted(places, key=lambda job_id: places[job_id])
    started = []
    while (record := queue.start_next()) is not None:
        started.append(record)
        queue.succeeded(record.job_id, {}, [])
    assert [record.job_id for record in started] == announced
    for first in range(0, 36, 9):
        assert len({record.owner for record in started[first : first + 9]}) == 9
    assert {record.owner for record in started[36:]} == {"greedy"}
    for owner in set(owners):
        numbers = [int(record.job_id) for record in started if record.owner == owner]
        assert numbers == sorted(numbers)


def test_a_newcomer_is_next(queue: JobQueue) -> None:
    for name in ("a1", "a2", "a3"):
        queue.commit(queue.create("A", creation(name)))
    assert queue.start_next().job_id == "a1"  # type: ignore[union-attr]
    queue.commit(queue.create("B", creation("b1")))
    assert queue.positions() == {"b1": 0, "a2": 1, "a3": 2}
    queue.crashed("a1", CRASH)  # it keeps its place among its owner's
    assert [queue.start_next().job_id for _ in range(4)] == ["b1", "a1", "a2", "a3"]  # type: ignore[union-attr]


def test_a_job_that_gets_further_is_not_poison(queue: JobQueue) -> None:
    queue.commit(queue.create(OWNER, creation("a")))
    for step in range(1, 8):
        queue.start_next()
        queue.store.progress("a", "fit", step / 10, "", None)
        assert queue.crashed("a", CRASH).state == "queued"
    for expected in ("queued", "failed"):
        queue.start_next()
        queue.store.progress("a", "fit", 0.7, "", None)
        assert queue.crashed("a", CRASH).state == expected
    error = queue.find("a", OWNER).error
    assert error is not None and error.code == "JOB_POISON"


def test_others_jobs_are_unknown(queue: JobQueue) -> None:
    queue.create(OWNER, creation("a"))
    for ask in (lambda: queue.find("a", "stranger"), lambda: queue.create("stranger", creation("a"))):
        with pytest.raises(ServiceError):
            ask()
    assert queue.store.page("stranger", 10, None) == []


def test_ids_that_are_one_folder_on_some_systems(queue: JobQueue, desk: handlers.Handlers) -> None:
    queue.create(OWNER, creation("Night-1"))
    assert queue.create(OWNER, creation("Night-1")).job_id == "Night-1"
    with pytest.raises(ServiceError, match="job Night-1, whose id differs from nIGHT-1 only in case") as caught:
        queue.create(OWNER, creation("nIGHT-1"))
    assert caught.value.code == "JOB_CONFLICT"
    desk.handle(b"p", OWNER, wire.Hello("control"))
    assert error_of(desk.handle(b"p", OWNER, creation("nul"))).code == "INPUT_PATH"
    queue.create(OWNER, creation("night-10"))


def test_a_result_wins_over_a_late_cancellation(queue: JobQueue) -> None:
    queue.commit(queue.create(OWNER, creation("a")))
    queue.start_next()
    queue.cancel(queue.find("a", OWNER))
    assert queue.succeeded("a", {"x": 1}, []).state == "succeeded"
    assert queue.cancel(queue.find("a", OWNER)).state == "succeeded"


def test_pages(queue: JobQueue) -> None:
    for number in range(25):
        queue.create(OWNER, creation(f"job{number}"))
    first = queue.store.page(OWNER, 10, None)
    second = queue.store.page(OWNER, 20, first[-1].number)
    assert [record.job_id for record in first + second] == [f"job{number}" for number in reversed(range(25))]
    assert queue.store.counts() == {"created": 25}


def test_the_list_survives_and_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    store = JobStore(path)
    JobQueue(store).create(OWNER, creation("a", wire.FileEntry("f", 0, EMPTY)))
    store.close()
    store = JobStore(path)
    assert [file.path for file in store.files(store.job("a"), output=False)] == ["f"]
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(InputError, match="newer version"):
        JobStore(path)
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        JobStore(path)


def test_a_full_job_list_goes_on_when_there_is_room(queue: JobQueue) -> None:
    queue.commit(queue.create(OWNER, creation("a")))
    queue.store._db.execute("PRAGMA max_page_count=1")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        for _ in range(200):
            queue.store.log("a", "info", "x" * 1000)
    queue.store._db.execute("PRAGMA max_page_count=100000")
    started = queue.start_next()
    assert started is not None and started.state == "running"


class QueueMachine(RuleBasedStateMachine):
    """Any order of requests, crashes and restarts: ends are final, numbers grow, the last event tells the state."""

    def __init__(self) -> None:
        super().__init__()
        self.store = JobStore(Path(":memory:"))
        self.queue = JobQueue(self.store)
        self.seen: dict[str, list[int]] = {}
        self.ended: dict[str, str] = {}

    def jobs(self) -> list[str]:
        return [record.job_id for record in self.store.page(OWNER, 100, None)]

    def running(self) -> list[str]:
        return [record.job_id for record in self.store.in_state("running")]

    @rule(name=st.sampled_from("abc"))
    def create(self, name: str) -> None:
        before = self.store.find(name)
        record = self.queue.create(OWNER, creation(name))
        assert before is None or record == before

    @precondition(lambda self: self.jobs())
    @rule(data=st.data(), action=st.sampled_from(["commit", "cancel", "uploading"]))
    def ask(self, data: st.DataObject, action: str) -> None:
        name = data.draw(st.sampled_from(self.jobs()))
        record = getattr(self.queue, action)(self.queue.find(name, OWNER))
        assert getattr(self.queue, action)(record) == record or record.state == "running"  # twice is as good as once

    @precondition(lambda self: self.jobs())
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.jobs()))
        if self.queue.retry(self.queue.find(name, OWNER)).state == "uploading":
            self.ended.pop(name, None)

    @rule()
    def start(self) -> None:
        record = self.queue.start_next()
        assert record is None or record.state == "running"

    @precondition(lambda self: self.running())
    @rule(data=st.data(), end=st.sampled_from(["succeeded", "failed", "stopped", "crashed", "recover", "progress"]))
    def happen(self, data: st.DataObject, end: str) -> None:
        name = data.draw(st.sampled_from(self.running()))
        match end:
            case "succeeded":
                self.queue.succeeded(name, {}, [])
            case "failed" | "crashed":
                getattr(self.queue, end)(name, CRASH)
            case "stopped":
                self.queue.stopped(name)
            case "recover":
                self.queue.recover()
            case "progress":
                self.store.progress(name, data.draw(st.sampled_from(["swap", "fit"])), 0.5, "", None)

    @invariant()
    def ends_are_final_and_numbers_grow(self) -> None:
        for record in self.store.page(OWNER, 100, None):
            assert record.state == self.ended.get(record.job_id, record.state)
            if record.is_final:
                self.ended[record.job_id] = record.state
            events = self.store.events(record.job_id, 0, 1000)
            numbers = [event.seq for event in events]
            assert numbers == sorted(set(numbers)) and numbers[-1] <= record.last_seq
            assert len([event for event in events if event.kind == "progress"]) <= 2
            states = [event for event in events if event.kind == "state"]
            assert states[-1].state == record.state
            assert (record.error is not None) == (record.state in ("failed", "cancelled"))
            assert 0 <= record.crashes <= 3

    def teardown(self) -> None:
        self.store.close()


def test_the_queue_in_any_order() -> None:
    quick = settings(max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(QueueMachine, settings=quick)


# -- watchers ---------------------------------------------------------------------------------------------------------


def test_a_slow_watcher_gets_no_more_than_64() -> None:
    events = [wire.Event("job", seq, 0.0, "log") for seq in range(1, 201)]
    watchers = Watchers()
    watchers.watch(b"slow", "job", 10)
    watchers.watch(b"other", "else", 0)

    def read(job_id: str, after: int, limit: int) -> list[wire.Event]:
        return [event for event in events if event.job_id == job_id and event.seq > after][:limit]

    got = [event.seq for _, event in watchers.due(read)]
    assert got == list(range(11, 11 + MAX_UNACKNOWLEDGED)) and watchers.due(read) == []
    watchers.acknowledge(b"slow", "job", got[9])
    assert [event.seq for _, event in watchers.due(read)] == list(range(75, 85))
    watchers.acknowledge(b"slow", "job", 200)
    assert len(watchers.due(read)) == MAX_UNACKNOWLEDGED
    watchers.forget(b"slow")
    watchers.stir("job")
    assert watchers.due(read) == []


# -- handlers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def desk(tmp_path: Path, queue: JobQueue, clock: list[float]) -> handlers.Handlers:
    options = Settings(tmp_path, window=3000, total_window=7000, chunk=1000)
    options.store.mkdir()
    contents = ContentStore(options.store)
    retention = Retention(options, queue.store, contents, lambda _: False)
    control = handlers.Control(lambda _: None, lambda: None, lambda: wire.Stats("s", 1, 0.0, {}), retention)
    return handlers.Handlers(options, queue, contents, Watchers(), "server", control, lambda: clock[0])


def test_credit_of_many_connections_is_bounded(desk: handlers.Handlers, clock: list[float]) -> None:
    granted = [desk.handle(bytes([i]), OWNER, wire.Hello("data")).credit for i in range(4)]  # type: ignore[union-attr]
    assert granted == [3000, 3000, 1000, 1000]  # never less than a chunk
    clock[0] = 1000.0
    desk.forget_idle()
    assert desk.handle(b"new", OWNER, wire.Hello("data")).credit == 3000  # type: ignore[union-attr]
    assert desk.handle(b"ctl", OWNER, wire.Hello("control")).credit == 0  # type: ignore[union-attr]


def error_of(answer: Any) -> ErrorInfo:
    assert isinstance(answer, wire.Error)
    return answer.error


def test_hello_comes_first(desk: handlers.Handlers) -> None:
    assert error_of(desk.handle(b"p", OWNER, wire.Ping())).code == "PROTO_HELLO"
    desk.handle(b"p", OWNER, wire.Hello("control"))
    assert desk.handle(b"p", OWNER, wire.Ping()) == wire.Pong()
    assert error_of(desk.handle(b"p", OWNER, wire.Pong())).code == "PROTO_UNKNOWN_TYPE"
    assert error_of(desk.handle(b"p", OWNER, chunk(b"x"))).code == "PROTO_CREDIT"  # not on the control connection


def test_an_address_that_somebody_else_had_is_a_new_connection(desk: handlers.Handlers) -> None:
    desk.handle(b"p", OWNER, wire.Hello("control"))
    desk.handle(b"p", OWNER, creation("mine"))
    assert error_of(desk.handle(b"p", "thief", wire.JobGet("mine"))).code == "PROTO_HELLO"
    desk.handle(b"p", "thief", wire.Hello("control"))
    assert error_of(desk.handle(b"p", "thief", wire.JobGet("mine"))).code == "JOB_UNKNOWN"


def test_what_had_arrived_when_the_line_broke_is_kept(desk: handlers.Handlers) -> None:
    """An answer could not be delivered; the chunks behind it are taken all the same, and their credit blocks nobody."""
    data = b"z" * 3000
    entry = wire.FileEntry("f", 3000, digest_bytes(data))
    desk.handle(b"old", OWNER, wire.Hello("data"))
    desk.handle(b"old control", OWNER, wire.Hello("control"))
    desk.handle(b"old control", OWNER, creation("j", entry))
    desk.handle(b"old", OWNER, chunk(data, 0, 1000))
    desk.lose(b"old")
    desk.lose(b"old control")
    for offset in (1000, 2000):
        assert isinstance(desk.handle(b"old", OWNER, chunk(data, offset, 1000)), wire.PutAck)
    assert error_of(desk.handle(b"old control", OWNER, wire.Ping())).code == "PROTO_HELLO"
    desk.handle(b"new", OWNER, wire.Hello("control"))
    assert desk.handle(b"new", OWNER, creation("j", entry)) == wire.JobCreated("j", "uploading", [])
    granted = [desk.handle(bytes([i]), OWNER, wire.Hello("data")).credit for i in range(2)]  # type: ignore[union-attr]
    assert granted == [3000, 3000]  # of 7000 for all


def test_what_lacks_is_said_when_all_that_had_arrived_is_taken(desk: handlers.Handlers, queue: JobQueue) -> None:
    """The new connection asks while a chunk of the old one still waits; what it says after that keeps its order."""
    devices = Devices(queue.store.database, OWNER)
    front = Reception(desk, devices, Watchers(), queue.store.events, lambda job_id: wire.Preview(job_id))
    data = b"w" * 800
    create = creation("j", wire.FileEntry("f", 800, digest_bytes(data)))

    def hear(address: bytes, message: wire.Message, later: Deferred | None = None) -> wire.Message | None:
        answer = front.hear(address, OWNER, encode(message, "1"), later)
        return None if answer is None else answer.message

    for address in (b"old", b"data", b"new"):
        hear(address, wire.Hello("data" if address == b"data" else "control"))
    hear(b"old", create)
    waiting: Deferred = []
    assert hear(b"new", create, waiting) is None and hear(b"new", wire.JobCommit("j"), waiting) is None
    assert isinstance(hear(b"data", chunk(data), waiting), wire.PutAck)
    assert isinstance(hear(b"old", wire.JobGet("j"), waiting), wire.JobState)
    created, committed = (outgoing.message for _, answer in waiting if (outgoing := answer()) is not None)
    assert created == wire.JobCreated("j", "uploading", [])
    assert isinstance(committed, wire.JobState) and committed.job.state == "queued"
    hear(b"new", create, waiting := [])
    front._devices = Devices(queue.store.database, "another")
    assert [outgoing.message for _, answer in waiting if (outgoing := answer()) is not None] == [REVOKED_ERROR]


def test_a_full_disk_is_said_in_words(desk: handlers.Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.handle(b"p", OWNER, wire.Hello("data"))
    data = b"y" * 500
    desk.handle(b"p", OWNER, creation("j", wire.FileEntry("f", 500, digest_bytes(data))))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("interchange.transfer._write_at", full)
        error = error_of(desk.handle(b"p", OWNER, chunk(data)))
        assert (error.code, error.retry, error.message) == ("RES_DISK_FULL", "later", "The service's disk is full.")
    desk.handle(b"p", OWNER, wire.Hello("data"))
    assert desk.handle(b"p", OWNER, chunk(data)) == wire.PutAck(digest_bytes(data), 500, 500, True)
    assert handlers.is_disk_full(sqlite3.OperationalError("database or disk is full"))


def test_a_fault_ends_its_request_and_nothing_else(desk: handlers.Handlers, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.handle(b"p", OWNER, wire.Hello("control"))
    with monkeypatch.context() as patch:
        patch.setattr(JobQueue, "find", lambda *_: 1 / 0)
        assert error_of(desk.handle(b"p", OWNER, wire.JobGet("x"))).code == "INTERNAL"
    assert error_of(desk.handle(b"p", OWNER, wire.JobGet("x"))).code == "JOB_UNKNOWN"


# -- worker -----------------------------------------------------------------------------------------------------------


def test_progress_is_coalesced_and_clean() -> None:
    time, said = [0.0], []

    class Listener:
        def send(self, **line: Any) -> None:
            said.append(line)

    report = worker.Reporter(Listener(), lambda: time[0])  # type: ignore[arg-type]
    for step in range(101):
        time[0] = step * 0.01
        report("fit", step / 100, "x" * 1000)
    report("sign", float("nan"), "")
    assert 8 <= len(said) <= 13
    assert [line["fraction"] for line in said[-2:]] == [1.0, 0.0] and len(said[0]["message"]) == 500
    assert said[4]["eta_s"] == pytest.approx(1.0 - time[0] * said[4]["fraction"], abs=0.1)


def test_results_become_json() -> None:
    assert worker._check_result(None) == {}
    assert worker._check_result({"a": float("inf"), "b": [1, "x"]}) == {"a": None, "b": [1, "x"]}
    for wrong in ([1], {"a": object()}, {"a": "x" * (2 << 20)}):
        with pytest.raises((TypeError, ValueError)):
            worker._check_result(wrong)


def test_faults_in_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert worker.explain(InputError("Bad.", "Mend it.", "CONSENT"), log) == ErrorInfo("INPUT", "Bad.", "Mend it.")
    short = worker.explain(InputError("No room.", "Less.", "RES_GPU_MEMORY"), log)
    assert short == ErrorInfo("RES_GPU_MEMORY", "No room.", "Less.", "later")
    assert worker.explain(OSError(errno.EDQUOT, "quota"), log).code == "RES_DISK_FULL"
    assert worker.explain(MemoryError(), log).code == "RES_MEMORY"
    fault = worker.explain(KeyError("colour"), log)
    assert fault.code == "INTERNAL" and "KeyError: 'colour'" in fault.message
    assert json.dumps(fault.detail)
