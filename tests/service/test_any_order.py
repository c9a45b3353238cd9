# SPDX-License-Identifier: Apache-2.0
"""The whole service but its sockets and processes, in any order of requests, cuts, crashes and revocations.

Two devices speak to a real reception, with real handlers, job list, content store and watchers, over connections that
break; the service dies without a goodbye and starts again on what is on its disk. What a client is owed is kept in a
model beside it, and compared after every step.
"""

from __future__ import annotations

import itertools
import os
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from backend.service.blobs import ContentStore
from backend.service.devices import Devices
from backend.service.flushing import Flushing
from backend.service.handlers import Control, Handlers
from backend.service.queue import JobQueue
from backend.service.quota import Quota
from backend.service.reception import Reception
from backend.service.retention import Retention
from backend.service.settings import Settings
from backend.service.store import JobStore
from backend.service.watchers import MAX_UNACKNOWLEDGED, Watchers
from interchange import messages as wire
from interchange.codec import encode
from interchange.digests import digest_bytes
from interchange.service_errors import ErrorInfo

KEYS = ("A" * 40, "B" * 40)
WINDOW, TOTAL, CHUNK = 3000, 7000, 1000
CONTENTS = [random.Random(i).randbytes(size) for i, size in enumerate((1, 900, 2500, 4000))]
JOBS = ("j1", "j2")
WHICH = st.sampled_from((0, 1, 3, 6, 15))  # sets of contents, by bits
WHO = st.sampled_from((0, 1))
RARELY = st.sampled_from((False,) * 5 + (True,))
MEMORY = Path("/dev/shm")
"""Flushing to a real disk is what the examples would spend their time with."""


@attrs.define
class Device:
    """A client as the model sees it. `watched`: job -> last event number it has, over all connections."""

    key: str
    revoked: bool = False
    control: bytes | None = None
    data: bytes | None = None
    credit: int = 0
    watched: dict[str, int] = attrs.field(factory=dict)
    listening: set[str] = attrs.field(factory=set)


class Flush(Future[None]):
    """Is done when the disk gets round to it, or as soon as somebody waits for it."""

    def __init__(self, work: Callable[[], None]) -> None:
        super().__init__()
        self._work = work

    def run(self) -> None:
        if not self.done():
            self._work()
            self.set_result(None)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self.run()
        return super().exception(timeout)


class LazyDisk(Flushing):
    """Flushes in an order of its own, without threads. What it has not flushed when the service dies is lost."""

    def __init__(self) -> None:
        self.owed: list[Flush] = []

    def begin(self, work: Callable[[], None]) -> Future[None]:
        self.owed.append(Flush(work))
        return self.owed[-1]

    def flush(self, which: int = -1) -> None:
        """One of them, or all."""
        chosen = self.owed if which < 0 else self.owed[which : which + 1]
        for flush in list(chosen):
            flush.run()
            self.owed.remove(flush)


@contextmanager
def flushless_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as folder:
        yield Path(folder)


class ServiceMachine(RuleBasedStateMachine):
    """Invariants are those of docs/reliability.md."""

    template: Path  # an empty job list, so that an example need not make one
    root: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=self.root))
        self.options = Settings(self.folder / "state", window=WINDOW, total_window=TOTAL, chunk=CHUNK)
        self.options.state.mkdir()
        shutil.copyfile(self.template, self.options.database)
        self.devices = [Device(key) for key in KEYS]
        self.addresses = itertools.count(1)
        self.committed: dict[tuple[str, str], str] = {}  # job -> digest of what was committed
        self.ended: dict[str, str] = {}
        self.running: set[str] = set()
        self.open()

    # -- the service --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.options.store.mkdir(exist_ok=True)
        self.store = JobStore(self.options.database)
        self.queue = JobQueue(self.store, quota=Quota(waiting=2))
        self.queue.recover()
        self.running.clear()
        self.disk = LazyDisk()
        self.contents = ContentStore(self.options.store, self.disk)
        self.late: dict[bytes, wire.Message] = {}  # answers that came later, by connection: the last one
        self.watchers = Watchers()
        self.store.on_event, self.store.on_deleted = self.watchers.stir, self.watchers.forget_job
        known = Devices(self.store.database, "own")
        for key in KEYS:
            if known.standing(key) != 200 and key not in {device.key for device in known.page()}:
                known.add(key, key[0])
        self.known = known
        self.retention = Retention(self.options, self.store, self.contents, self.running.__contains__)
        control = Control(lambda _: None, lambda: None, lambda: wire.Stats("s", 1, 0.0, {}), self.retention)
        self.handlers = Handlers(
            self.options, self.queue, self.contents, self.watchers, "server", control, lambda: 0.0
        )
        self.reception = Reception(
            self.handlers, known, self.watchers, self.store.events, lambda job_id: wire.Preview(job_id)
        )

    @rule(really=RARELY)
    def crash(self, really: bool) -> None:
        """kill -9: nothing is closed in order, nothing is said."""
        if not really:
            return
        self.store.database.close()
        for part in (*self.contents._open.values(), *(owed.part for owed in self.contents._owed.values())):
            part.close()
        for device in self.devices:
            self.cut(device)
        self.open()

    # -- the line -----------------------------------------------------------------------------------------------------

    def cut(self, device: Device) -> None:
        device.control = device.data = None
        device.credit = 0
        device.listening.clear()

    def ask(self, device: Device, role: str, message: wire.Message) -> Any:
        """Send and return the answer; a device without a connection says hello first."""
        if getattr(device, role) is None:
            address = b"%d" % next(self.addresses)
            answer = self.send(device, address, wire.Hello(role, features=["tidy"]))
            if device.revoked:
                return answer
            setattr(device, role, address)
            if role == "data":
                device.credit = answer.credit
                assert 0 < answer.credit <= WINDOW
        return self.send(device, getattr(device, role), message)

    def send(self, device: Device, address: bytes, message: wire.Message) -> Any:
        outgoing = self.reception.hear(address, device.key, encode(message, "1"))
        if device.revoked:
            assert outgoing is not None and code(outgoing.message) == "AUTH_REVOKED"
            return outgoing.message
        assert outgoing is None or (outgoing.address == address and outgoing.re == "1")
        answer = None if outgoing is None else outgoing.message
        assert code(answer) not in ("INTERNAL", "PROTO_BAD_HEADER")
        return answer

    @rule(who=WHO, really=RARELY, noticed=st.booleans())
    def break_line(self, who: int, really: bool, noticed: bool) -> None:
        device = self.devices[who]
        if really:
            for address in filter(None, (device.control, device.data)):
                if noticed:  # an answer could not be delivered
                    self.handlers.lose(address)
            self.cut(device)

    @rule(who=WHO, really=RARELY)
    def revoke(self, who: int, really: bool) -> None:
        device = self.devices[who]
        if not really:
            return
        self.known.revoke(device.key)
        told = {outgoing.address for outgoing in self.reception.expel(device.key)}
        if not device.revoked and device.control is not None:
            assert device.control in told
        device.revoked = True
        self.cut(device)

    @rule(who=WHO)
    def pair_again(self, who: int) -> None:
        self.known.add(self.devices[who].key, "again")
        self.devices[who].revoked = False

    # -- what clients do ----------------------------------------------------------------------------------------------

    def create(self, device: Device, job_id: str, which: int) -> Any:
        files = [entry(i) for i in range(len(CONTENTS)) if which >> i & 1]
        return self.ask(device, "control", wire.JobCreate(job_id, "double", wire.JobSpec({}, files)))

    @rule(who=WHO, job_id=st.sampled_from(JOBS), which=WHICH)
    def announce(self, who: int, job_id: str, which: int) -> None:
        answer = self.create(self.devices[who], job_id, which)
        assert isinstance(answer, wire.JobCreated) or code(answer) in ("JOB_CONFLICT", "RES_QUEUE_FULL", "AUTH_REVOKED")

    @rule(who=WHO, which=st.sampled_from(range(len(CONTENTS))), data=st.data())
    def upload(self, who: int, which: int, data: st.DataObject) -> None:
        """A piece: the next one, one sent before, one after a gap, or one that is not what it says."""
        device, content = self.devices[who], CONTENTS[which]
        offset = CHUNK * data.draw(st.integers(0, (len(content) - 1) // CHUNK))
        piece = content[offset : offset + CHUNK]
        lie = data.draw(st.booleans()) and data.draw(st.booleans())
        sent = piece[::-1] if lie else piece
        told = wire.PutChunk(digest_bytes(content), len(content), offset, digest_bytes(piece), sent)
        before = device.credit
        answer = self.ask(device, "data", told)
        if answer is None:
            assert offset + len(piece) == len(content) and not self.contents.path(told.digest).exists()
        elif isinstance(answer, wire.PutAck):
            assert answer.credit == len(piece) and 0 <= answer.have <= len(content)
            assert answer.stored == (answer.have == len(content)) == self.contents.path(told.digest).exists()
        else:
            assert code(answer) in ("JOB_STATE", "INPUT_DIGEST", "PROTO_CREDIT", "AUTH_REVOKED")
        if code(answer) == "INPUT_DIGEST":
            device.credit = (before or WINDOW) - len(piece)  # what a liar sent is not given back
            if device.credit < CHUNK:
                self.cut(device)

    @precondition(lambda self: self.disk.owed)
    @rule(data=st.data())
    def flush(self, data: st.DataObject) -> None:
        """The disk gets round to one; who sent it is told, if he is still there."""
        self.disk.flush(data.draw(st.integers(0, len(self.disk.owed) - 1)))
        self.deliver(acknowledge=False)

    @rule(who=WHO, job_id=st.sampled_from(JOBS), which=WHICH)
    def submit(self, who: int, job_id: str, which: int) -> None:
        """All of it, as the client does it: what is missing is sent from where it stopped, and the job is queued."""
        device = self.devices[who]
        created = self.create(device, job_id, which)
        if not isinstance(created, wire.JobCreated):
            return
        self.cut_data(device)  # a fresh connection, with fresh credit
        for missing in created.missing:
            content = next(content for content in CONTENTS if digest_bytes(content) == missing.digest)
            for offset in range(missing.have, len(content), CHUNK):
                piece = content[offset : offset + CHUNK]
                told = wire.PutChunk(missing.digest, len(content), offset, digest_bytes(piece), piece)
                answer = self.ask(device, "data", told)
                if answer is None:
                    self.disk.flush()
                    self.deliver(acknowledge=False)
                    answer = self.late.pop(device.data or b"")
                    assert answer.stored
                assert isinstance(answer, wire.PutAck) and answer.have == offset + len(piece)
        if created.state in ("created", "uploading"):
            answer = self.ask(device, "control", wire.JobCommit(job_id))
            assert isinstance(answer, wire.JobState) and answer.job.state == "queued"
            self.committed[device.key, job_id] = self.store.job(job_id).spec_digest

    def cut_data(self, device: Device) -> None:
        if device.data is not None:
            self.handlers.forget(device.data)
            device.data = None

    @rule(who=WHO, stranger=RARELY, job_id=st.sampled_from(JOBS), what=st.sampled_from(
        [wire.JobCommit, wire.JobCancel, wire.JobRetry, wire.JobDelete, wire.JobGet, wire.JobFiles]))  # fmt: skip
    def request(self, who: int, stranger: bool, job_id: str, what: Any) -> None:
        before = self.store.find(job_id)
        device = self.devices[who] if stranger or before is None else self.owner(before.owner)
        answer = self.ask(device, "control", what(job_id))
        if device.revoked:
            return
        mine = before is not None and before.owner == device.key
        if not mine:
            assert answer == wire.Pong() if what is wire.JobDelete else code(answer) == "JOB_UNKNOWN"
            assert self.store.find(job_id) == before
        elif what is wire.JobCommit and isinstance(answer, wire.JobState):
            assert answer.job.state not in ("created", "uploading")
            if before.state in ("created", "uploading"):
                self.committed[device.key, job_id] = before.spec_digest
        elif what is wire.JobRetry and before.state in ("failed", "cancelled") and isinstance(answer, wire.JobState):
            self.ended.pop(job_id, None)
            self.committed.pop((device.key, job_id), None)
        elif what is wire.JobDelete and answer == wire.Pong():
            assert before.state not in ("queued", "running")
            self.ended.pop(job_id, None)
            self.committed.pop((device.key, job_id), None)
            for other in self.devices:
                other.watched.pop(job_id, None)
                other.listening.discard(job_id)

    def owner(self, key: str) -> Device:
        return next(device for device in self.devices if device.key == key)

    @rule(who=WHO, stranger=RARELY, job_id=st.sampled_from(JOBS))
    def watch(self, who: int, stranger: bool, job_id: str) -> None:
        before = self.store.find(job_id)
        device = self.devices[who] if stranger or before is None else self.owner(before.owner)
        answer = self.ask(device, "control", wire.JobWatch(job_id, device.watched.get(job_id, 0)))
        if isinstance(answer, wire.JobState):
            device.watched.setdefault(job_id, 0)
            device.listening.add(job_id)
            self.deliver(acknowledge=False)

    @rule(acknowledge=st.booleans())
    def deliver(self, acknowledge: bool) -> None:
        """Events reach those who listen; some only listen and never acknowledge."""
        by_address = {device.control: device for device in self.devices if device.control is not None}
        count: dict[bytes, int] = {}
        for outgoing in list(self.reception.due()):
            if isinstance(outgoing.message, wire.PutAck):
                self.answer_late(outgoing.address, outgoing.message)
            device = by_address.get(outgoing.address)
            if device is None or not isinstance(outgoing.message, wire.Event):
                continue  # to a connection that has just broken
            event = outgoing.message
            assert not device.revoked and self.store.job(event.job_id).owner == device.key
            assert event.seq > device.watched[event.job_id]  # in order, and none twice
            skipped = self.store.events(event.job_id, device.watched[event.job_id], 1)
            assert skipped[0].seq == event.seq  # and none left out
            device.watched[event.job_id] = event.seq
            count[outgoing.address] = count.get(outgoing.address, 0) + 1
            if acknowledge:
                self.ask(device, "control", wire.EventAck(event.job_id, event.seq))
        assert all(number <= MAX_UNACKNOWLEDGED * len(JOBS) for number in count.values())

    def answer_late(self, address: bytes, answer: wire.PutAck) -> None:
        """What is said to be stored is there."""
        size = next(len(content) for content in CONTENTS if digest_bytes(content) == answer.digest)
        assert answer.stored and answer.have == size and answer.credit == (size - 1) % CHUNK + 1
        assert self.contents.path(answer.digest).exists()
        assert self.handlers.knows(address)
        self.late[address] = answer

    # -- what workers do ----------------------------------------------------------------------------------------------

    @rule()
    def start(self) -> None:
        record = self.queue.start_next(self.running)
        if record is not None:
            assert (record.owner, record.job_id) in self.committed and record.job_id not in self.running
            self.running.add(record.job_id)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), end=st.sampled_from(["progress", "log", "succeeded", "failed", "stopped", "crashed"]))
    def work(self, data: st.DataObject, end: str) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.running)))
        match end:
            case "progress":
                self.store.progress(job_id, data.draw(st.sampled_from(["swap", "fit"])), 0.5, "", None)
            case "log":
                self.store.log(job_id, "info", "said")
            case "succeeded":
                self.queue.succeeded(job_id, {}, [])
            case "stopped":
                self.queue.stopped(job_id)
            case _:
                getattr(self.queue, end)(job_id, ErrorInfo("JOB_CRASHED", "It died."))
        if end not in ("progress", "log"):
            self.running.discard(job_id)
        self.deliver(acknowledge=True)

    # -- what is always so --------------------------------------------------------------------------------------------

    @initialize()
    def nothing_yet(self) -> None:
        assert self.store.counts() == {}

    @invariant()
    def no_job_is_lost_and_ends_are_final(self) -> None:
        for (owner, job_id), digest in self.committed.items():
            record = self.store.find(job_id)
            assert record is not None and (record.owner, record.spec_digest) == (owner, digest)
            assert record.state not in ("created", "uploading")
        for record in self.store.page(None, 100, None):
            assert record.state == self.ended.get(record.job_id, record.state)
            if record.is_final:
                self.ended[record.job_id] = record.state
            assert (record.state == "running") == (record.job_id in self.running)
            if record.state in ("queued", "running"):
                files = self.store.files(record, output=False)
                assert all(self.contents.path(file.digest).exists() for file in files)
            events = self.store.events(record.job_id, 0, 1000)
            assert [event.state for event in events if event.kind == "state"][-1] == record.state

    @invariant()
    def credit_is_never_negative_and_never_too_much(self) -> None:
        credits = [peer.credit for peer in self.handlers._peers.values()]
        assert all(0 <= credit <= WINDOW for credit in credits)
        assert sum(credits) <= TOTAL + CHUNK * len(credits)

    @invariant()
    def what_is_stored_is_what_it_says_and_nowhere_else(self) -> None:
        sizes = {digest_bytes(content): len(content) for content in CONTENTS}
        for path in self.contents.stored():
            assert path.stat().st_size == sizes[path.name]
        assert {path.name for path in self.folder.iterdir()} == {"state"}
        names = {path.name.partition("-")[0] for path in self.options.state.iterdir()}
        assert names <= {"service.sqlite", "store", "jobs"}

    def teardown(self) -> None:
        for path in self.contents.stored():
            assert digest_bytes(path.read_bytes()) == path.name
        self.store.close()
        self.contents.close()
        shutil.rmtree(self.folder)


def entry(which: int) -> wire.FileEntry:
    return wire.FileEntry(f"f{which}", len(CONTENTS[which]), digest_bytes(CONTENTS[which]))


def code(answer: Any) -> str:
    return answer.error.code if isinstance(answer, wire.Error) else ""


def run(examples: int) -> None:
    with flushless_folder() as folder:
        ServiceMachine.root, ServiceMachine.template = folder, folder / "empty.sqlite"
        JobStore(ServiceMachine.template).close()
        run_state_machine_as_test(
            ServiceMachine,
            settings=settings(
                max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )


def test_the_service_in_any_order() -> None:
    run(500)


@pytest.mark.soak
def test_the_service_in_any_order_for_long() -> None:
    run(2000)
