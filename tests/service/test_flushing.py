# SPDX-License-Identifier: Apache-2.0
"""Contents that are flushed beside the service's loop: answered for when the disk has them, and not before."""

from __future__ import annotations

import errno
import os
import random
import select
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backend.service import blobs
from backend.service.blobs import ContentStore
from backend.service.devices import Devices
from backend.service.flushing import Flushing, Later
from backend.service.handlers import Control, Handlers
from backend.service.queue import JobQueue
from backend.service.reception import Outgoing, Reception
from backend.service.retention import Retention
from backend.service.settings import Settings
from backend.service.store import JobStore
from backend.service.watchers import Watchers
from interchange import messages as wire
from interchange.codec import encode
from interchange.digests import digest_bytes
from interchange.service_errors import ServiceError

from .harness import wait_until

KEY = "K" * 40
DATA = random.Random(1).randbytes(2500)
OTHER = random.Random(2).randbytes(700)


class Disk:
    """Takes its time to flush, until `go` is set; then it flushes, or says `error`."""

    def __init__(self) -> None:
        self.go, self.error, self.flushed = threading.Event(), 0, 0
        self._fsync = os.fsync

    def fsync(self, descriptor: int) -> None:
        assert self.go.wait(10.0)
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        self._fsync(descriptor)
        self.flushed += 1


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    slow = Disk()
    monkeypatch.setattr("interchange.part_file.os.fsync", slow.fsync)
    yield slow
    slow.go.set()


@pytest.fixture
def flushing() -> Iterator[Flushing]:
    threads = Flushing()
    yield threads
    threads.close()


@pytest.fixture
def contents(tmp_path: Path, disk: Disk, flushing: Flushing) -> Iterator[ContentStore]:
    (tmp_path / "store").mkdir()
    store = ContentStore(tmp_path / "store", flushing)
    yield store
    disk.go.set()
    store.close()


def entry(data: bytes) -> wire.FileEntry:
    return wire.FileEntry(f"{len(data)}", len(data), digest_bytes(data))


def whole(data: bytes) -> wire.PutChunk:
    return wire.PutChunk(digest_bytes(data), len(data), 0, digest_bytes(data), data)


def late(contents: ContentStore, data: bytes) -> Later:
    answer = contents.receive(whole(data))
    assert isinstance(answer, Later)
    return answer


def test_the_answer_waits_for_the_disk(contents: ContentStore, disk: Disk, flushing: Flushing) -> None:
    contents.announce([entry(DATA)])
    answer = late(contents, DATA)
    assert not answer.is_due() and not contents.path(digest_bytes(DATA)).exists()
    assert not select.select([flushing.bell], [], [], 0.05)[0]
    disk.go.set()
    assert select.select([flushing.bell], [], [], 5.0)[0]  # the loop wakes up
    flushing.hear()
    assert not select.select([flushing.bell], [], [], 0.0)[0]
    assert answer.is_due() and disk.flushed > 0
    assert answer.take() == wire.PutAck(digest_bytes(DATA), len(DATA), len(DATA), stored=True)
    path = contents.path(digest_bytes(DATA))
    assert path.read_bytes() == DATA and path.stat().st_mode & 0o777 == 0o400
    assert contents.receive(whole(DATA)) == wire.PutAck(digest_bytes(DATA), len(DATA), len(DATA), stored=True)


def test_others_go_on_meanwhile(contents: ContentStore, disk: Disk) -> None:
    contents.announce([entry(DATA), entry(OTHER)])
    first, second = late(contents, DATA), late(contents, OTHER)
    assert not first.is_due() and not second.is_due()
    disk.go.set()
    wait_until(lambda: first.is_due() and second.is_due())
    assert second.take() and first.take()
    assert len(contents.stored()) == 2


@pytest.mark.parametrize("how", ["announced again", "sent again", "deleted", "closed"])
def test_who_needs_it_waits(how: str, contents: ContentStore, disk: Disk) -> None:
    """While it is being flushed nobody is told that it is missing, and nobody deletes it under the disk's hands."""
    contents.announce([entry(DATA)])
    answer = late(contents, DATA)
    threading.Timer(0.1, disk.go.set).start()
    if how == "announced again":
        assert contents.announce([entry(DATA)]) == []
    elif how == "sent again":
        assert contents.receive(whole(DATA)) == wire.PutAck(digest_bytes(DATA), len(DATA), len(DATA), stored=True)
    elif how == "deleted":
        contents.discard(digest_bytes(DATA))
        assert not contents.stored() and not list((contents.root / "uploading").iterdir())
    else:
        contents.close()
    assert answer.is_due()
    if how == "deleted":
        with pytest.raises(ServiceError, match="no job announced"):
            answer.take()
    else:
        assert answer.take().TYPE == "put.ack" and contents.path(digest_bytes(DATA)).read_bytes() == DATA


@pytest.mark.parametrize("noticed", ["by the sender", "by who announces it again"])
def test_a_disk_that_refuses(noticed: str, contents: ContentStore, disk: Disk) -> None:
    contents.announce([entry(DATA)])
    answer, disk.error = late(contents, DATA), errno.ENOSPC
    disk.go.set()
    if noticed != "by the sender":
        assert contents.announce([entry(DATA)]) == [wire.MissingFile(digest_bytes(DATA), len(DATA), 0)]
    wait_until(answer.is_due)
    with pytest.raises(OSError, match="No space"):
        answer.take()
    assert not contents.stored() and not list((contents.root / "uploading").iterdir())
    disk.error = 0
    again = late(contents, DATA)  # it is wanted still
    wait_until(again.is_due)
    assert again.take().TYPE == "put.ack" and contents.path(digest_bytes(DATA)).read_bytes() == DATA


def test_a_disk_does_not_owe_us_too_much(
    contents: ContentStore, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_UNFLUSHED", 3000)
    contents.announce([entry(DATA), entry(OTHER)])
    first = late(contents, DATA)
    threading.Timer(0.1, disk.go.set).start()
    late(contents, OTHER)
    assert first.is_due()


# -- and who asked ----------------------------------------------------------------------------------------------------


@pytest.fixture
def desk(tmp_path: Path, contents: ContentStore) -> Iterator[tuple[Reception, Handlers]]:
    options = Settings(tmp_path, window=3000, total_window=7000, chunk=2500)
    store = JobStore(options.database)
    devices, watchers = Devices(store.database, "own"), Watchers()
    devices.add(KEY, "device")
    control = Control(
        lambda _: None, lambda: None, lambda: wire.Stats("s", 1, 0.0, {}),
        Retention(options, store, contents, lambda _: False),
    )  # fmt: skip
    handlers = Handlers(options, JobQueue(store), contents, watchers, "server", control, lambda: 0.0)
    yield Reception(handlers, devices, watchers, store.events, lambda job_id: wire.Preview(job_id)), handlers
    store.close()


def begin(desk: tuple[Reception, Handlers]) -> Callable[[bytes, wire.Message, str], Outgoing | None]:
    """A device that has announced a job; returns how it speaks."""

    def say(address: bytes, message: wire.Message, request: str) -> Outgoing | None:
        return desk[0].hear(address, KEY, encode(message, request))

    say(b"control", wire.Hello("control"), "1")
    say(b"data", wire.Hello("data"), "2")
    created = say(b"control", wire.JobCreate("job", "double", wire.JobSpec({}, [entry(DATA)])), "3")
    assert created is not None and isinstance(created.message, wire.JobCreated)
    return say


def test_a_late_answer_goes_to_who_asked(desk: tuple[Reception, Handlers], disk: Disk) -> None:
    say = begin(desk)
    peer = desk[1]._peers[b"data"]
    before = peer.credit
    assert say(b"data", whole(DATA), "put") is None and not list(desk[0].due())
    assert peer.credit == before - len(DATA)  # what the disk owes is still on its way
    answered = say(b"control", wire.Ping(), "4")
    assert answered is not None and answered.message == wire.Pong()
    disk.go.set()
    answers: list[Outgoing] = []
    wait_until(lambda: answers.extend(desk[0].due()) or bool(answers))
    ack = wire.PutAck(digest_bytes(DATA), len(DATA), len(DATA), stored=True)
    assert answers == [Outgoing(b"data", ack, "put")] and peer.credit == before
    assert not list(desk[0].due())


def test_a_late_answer_says_what_the_disk_said(desk: tuple[Reception, Handlers], disk: Disk) -> None:
    say = begin(desk)
    disk.error = errno.ENOSPC
    disk.go.set()
    assert say(b"data", whole(DATA), "put") is None
    answers: list[Outgoing] = []
    wait_until(lambda: answers.extend(desk[0].due()) or bool(answers))
    assert isinstance(answers[0].message, wire.Error) and answers[0].message.error.code == "RES_DISK_FULL"


@pytest.mark.parametrize("meanwhile", ["gone", "greeted again"])
def test_who_is_not_the_same_any_more(meanwhile: str, desk: tuple[Reception, Handlers], disk: Disk) -> None:
    """Nothing is said to who has left; who begins anew has new credit, and gets none twice."""
    say = begin(desk)
    say(b"data", whole(DATA), "put")
    if meanwhile == "gone":
        list(desk[0].expel(KEY))
    else:
        say(b"data", wire.Hello("data"), "5")
        granted = desk[1]._peers[b"data"].credit
    disk.go.set()
    answers: list[Outgoing] = []

    def all_came() -> bool:
        answers.extend(desk[0].due())
        return not desk[0]._waiting

    wait_until(all_came)
    if meanwhile == "gone":
        assert not answers
    else:
        assert len(answers) == 1 and desk[1]._peers[b"data"].credit == granted
