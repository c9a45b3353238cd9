# SPDX-License-Identifier: Apache-2.0
"""Faults put in by hand, without processes: killed at named points, requests repeated and out of order, damaged job
lists, clocks that jump, payloads that no decoder likes. The table of all of them is docs/reliability.md.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.service.blobs import ContentStore
from backend.service.handlers import Control, Handlers
from backend.service.queue import JobQueue
from backend.service.retention import Retention
from backend.service.settings import Settings
from backend.service.store import JobStore
from backend.service.watchers import Watchers
from backend.service.worker import Task, run_task
from interchange import messages as wire
from interchange.codec import decode
from interchange.connection import Link
from interchange.digests import digest_bytes
from interchange.errors import InputError
from interchange.service_errors import ProtocolError
from tests.interchange.test_files import small_capture

from .test_any_order import flushless_folder

CHUNK = 1000
CONTENTS = {"a": random.Random(1).randbytes(2500), "b/c": random.Random(2).randbytes(700)}
ENTRIES = [wire.FileEntry(path, len(data), digest_bytes(data)) for path, data in CONTENTS.items()]
CREATE = wire.JobCreate("job", "double", wire.JobSpec({}, ENTRIES))


class Killed(BaseException):
    """kill -9 at this line."""


class Inside:
    """A service without sockets and processes, in a folder that outlives it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(folder, chunk=CHUNK, window=4 * CHUNK, total_window=100 * CHUNK)
        self.settings.store.mkdir(exist_ok=True)
        self.store = JobStore(self.settings.database)
        self.queue = JobQueue(self.store)
        self.queue.recover()
        self.contents = ContentStore(self.settings.store)
        self.contents.sweep(self.settings.abandoned_upload_s)
        self.retention = Retention(self.settings, self.store, self.contents, lambda _: False)
        control = Control(lambda _: None, lambda: None, lambda: wire.Stats("s", 1, 0.0, {}), self.retention)
        self.handlers = Handlers(
            self.settings, self.queue, self.contents, Watchers(), "server", control, lambda: 0.0
        )
        for role in ("control", "data"):
            self.handlers.handle(role.encode(), "artist", wire.Hello(role))

    def ask(self, message: wire.Message) -> Any:
        role = b"data" if isinstance(message, (wire.PutChunk, wire.GetChunk)) else b"control"
        answer = self.handlers.handle(role, "artist", message)
        if isinstance(answer, wire.Error) and role == b"data":  # credit is spent; the client connects anew
            self.handlers.handle(role, "artist", wire.Hello("data"))
        return answer

    def submit(self) -> None:
        """As the client does it."""
        created = self.ask(CREATE)
        assert isinstance(created, wire.JobCreated)
        for missing in created.missing:
            data = next(data for data in CONTENTS.values() if digest_bytes(data) == missing.digest)
            for message in chunks(data, missing.have):
                assert isinstance(self.ask(message), wire.PutAck)
        assert isinstance(self.ask(wire.JobCommit("job")), wire.JobState)

    def work(self) -> None:
        """As the crew does it."""
        record = self.queue.start_next()
        if record is not None:
            self.store.progress("job", "fit", 0.5, "half", None)
            outputs = self.settings.job_folder("job").outputs
            outputs.mkdir(parents=True, exist_ok=True)
            (outputs / "out").write_bytes(b"result")
            self.queue.succeeded("job", {"x": 1}, [wire.FileEntry("out", 6, digest_bytes(b"result"))])

    def die(self) -> None:
        """What the operating system does with what a dead process leaves."""
        self.store.close()
        self.contents.close()


def chunks(data: bytes, begin: int = 0) -> Iterator[wire.PutChunk]:
    for offset in range(begin, len(data), CHUNK):
        piece = data[offset : offset + CHUNK]
        yield wire.PutChunk(digest_bytes(data), len(data), offset, digest_bytes(piece), piece)


# -- 1: killed at named points ----------------------------------------------------------------------------------------

POINTS = {
    "job written, files not looked at": ("backend.service.blobs.ContentStore.announce", "before", 1),
    "bytes written, ledger not": ("interchange.transfer._write_at", "before", 2),
    "ledger written, not answered": ("backend.service.blobs.PutAck", "before", 2),
    "file whole, not flushed": ("os.fsync", "before", 1),
    "flushed, not renamed": ("interchange.part_file.os.replace", "before", 1),
    "renamed, ledger still there": ("interchange.part_file._sync_folder", "after", 1),
    "all there, not committed": ("backend.service.queue.JobQueue.commit", "before", 1),
    "within the commit": ("backend.service.store.JobStore._add_state_event", "before", 1),
    "committed, not answered": ("backend.service.handlers.Handlers._state", "before", 1),
    "started, no worker yet": ("backend.service.queue.JobQueue.start_next", "after", 1),
    "within a progress": ("backend.service.store.JobStore.progress", "after", 1),
    "before the result": ("backend.service.store.JobStore.succeed", "before", 1),
    "within the result": ("backend.service.store.JobStore._insert_files", "before", 2),
    "after the result": ("backend.service.store.JobStore.succeed", "after", 1),
}


def strike(patch: pytest.MonkeyPatch, target: str, when: str, call: int) -> None:
    """Let the n-th call of a function be the last thing that happens."""
    from _pytest.monkeypatch import derive_importpath

    name, owner = derive_importpath(target, raising=True)
    original, calls = getattr(owner, name), [0]

    def struck(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == call and when == "before":
            raise Killed
        result = original(*arguments, **named)
        if calls[0] == call:
            raise Killed
        return result

    if isinstance(vars(owner).get(name), staticmethod):
        patch.setattr(owner, name, staticmethod(struck))
    else:
        patch.setattr(owner, name, struck)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(point: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client comes back and does it again: one job, one result, nothing lost."""
    target, when, call = POINTS[point]
    with monkeypatch.context() as patch:
        strike(patch, target, when, call)
        inside = Inside(tmp_path)
        with pytest.raises(Killed):
            inside.submit()
            inside.work()
        inside.die()
        inside = Inside(tmp_path)
        inside.submit()
        inside.work()
    records = inside.store.page(None, 10, None)
    assert [(record.job_id, record.state, record.result) for record in records] == [("job", "succeeded", {"x": 1})]
    assert records[0].attempt <= 2
    for data in CONTENTS.values():
        assert inside.contents.path(digest_bytes(data)).read_bytes() == data
    assert not list((tmp_path / "store/uploading").iterdir())
    assert inside.store.database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    seen = [event.state for event in inside.store.events("job", 0, 100) if event.kind == "state"]
    assert seen.count("succeeded") == 1 and seen[-1] == "succeeded"
    inside.die()


def test_killed_while_clearing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = Inside(tmp_path)
    inside.submit()
    inside.work()
    with monkeypatch.context() as patch, pytest.raises(Killed):
        strike(patch, "backend.service.retention.shutil.rmtree", "before", 1)
        inside.ask(wire.JobDelete("job"))
    inside.die()
    inside = Inside(tmp_path)
    assert inside.store.counts() == {} and (tmp_path / "jobs/job").exists()
    plan = inside.retention.thorough()
    assert len(plan.folders) == 1 and len(plan.contents) == 2
    inside.retention.begin(plan)
    while inside.retention.is_busy:
        inside.retention.step()
    assert not (tmp_path / "jobs/job").exists() and not inside.contents.stored()
    inside.submit()  # and it can be had again
    inside.die()


# -- 9: repeated and reordered ----------------------------------------------------------------------------------------

STEPS: list[wire.Message] = [CREATE, wire.JobCommit("job"), *(c for data in CONTENTS.values() for c in chunks(data))]


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.integers(1, 5), min_size=len(STEPS), max_size=len(STEPS)), st.randoms(use_true_random=False))
def test_requests_repeated_and_out_of_order(
    inside: Callable[[], Inside], times: list[int], order: random.Random
) -> None:
    """Whatever arrives how often, in whatever order: one job, each file once; the client's own way completes it."""
    service = inside()
    sent = [message for message, count in zip(STEPS, times, strict=True) for _ in range(count)]
    order.shuffle(sent)
    for message in sent:
        answer = service.ask(message)
        if isinstance(answer, wire.Error):
            assert answer.error.code in ("JOB_UNKNOWN", "JOB_STATE", "JOB_INCOMPLETE")
    service.submit()
    assert [record.state for record in service.store.page(None, 10, None)] == ["queued"]
    assert sorted(path.name for path in service.contents.stored()) == sorted(entry.digest for entry in ENTRIES)
    for data in CONTENTS.values():
        assert service.contents.path(digest_bytes(data)).read_bytes() == data
    states = [event.state for event in service.store.events("job", 0, 100)]
    assert states.count("queued") == 1 and states.count("created") == 1


@pytest.fixture(scope="module")
def inside() -> Iterator[Callable[[], Inside]]:
    """Fresh ones, each in place of the one before."""
    with flushless_folder() as folder:
        template, place = folder / "empty.sqlite", folder / "state"
        JobStore(template).close()
        alive: list[Inside] = []

        def make() -> Inside:
            for old in alive:
                old.die()
            alive.clear()
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            shutil.copyfile(template, place / "service.sqlite")
            alive.append(Inside(place))
            return alive[0]

        yield make
        for old in alive:
            old.die()


# -- 15: a damaged job list -------------------------------------------------------------------------------------------


def test_a_list_with_a_wrong_byte_is_refused_or_whole(tmp_path: Path) -> None:
    """One byte in a hundred places: never does a job go missing without a word."""
    path, generator = tmp_path / "list.sqlite", random.Random(15)
    store = JobStore(path)
    queue = JobQueue(store)
    for number in range(40):
        spec = wire.JobSpec({"n": number}, [wire.FileEntry(f"f{i}", 10, digest_bytes(b"%d" % i)) for i in range(10)])
        queue.commit(queue.create("artist", wire.JobCreate(f"job{number}", "double", spec)))
        store.log(f"job{number}", "info", "said " * 30)
    store.close()
    good, refused = path.read_bytes(), 0
    for place in generator.sample(range(len(good)), 100):
        damaged = bytearray(good)
        damaged[place] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        for extra in tmp_path.glob("list.sqlite-*"):
            extra.unlink()
        try:
            again = JobStore(path)
        except InputError as error:
            refused += 1
            assert "damaged" in error.message or "newer version" in error.message
            assert error.hint
            continue
        jobs = again.page(None, 1000, None)
        assert sorted(job.job_id for job in jobs) == sorted(f"job{number}" for number in range(40))
        assert len(again.waiting()) == 40
        again.close()
    assert refused > 5


def test_a_damaged_list_names_its_copy(tmp_path: Path) -> None:
    """And with that in its place, the jobs are back."""
    path = tmp_path / "list.sqlite"
    store = JobStore(path)
    JobQueue(store).create("artist", wire.JobCreate("kept", "double", wire.JobSpec({}, [])))
    store.back_up()
    store.back_up()  # in place of the one before
    store.close()
    path.write_bytes(b"\xff" * 5000)
    with pytest.raises(InputError, match="is damaged .* put .*list.sqlite.backup in its place, a copy of 20"):
        JobStore(path)
    for extra in tmp_path.glob("list.sqlite-*"):
        extra.unlink()
    path.write_bytes((tmp_path / "list.sqlite.backup").read_bytes())
    store = JobStore(path)
    assert [record.job_id for record in store.page(None, 10, None)] == ["kept"]
    store.close()


# -- 18: clocks that jump ---------------------------------------------------------------------------------------------


def test_nothing_waits_by_the_clock_on_the_wall() -> None:
    """It may jump by a day. Only what is shown to people, and what is kept for days, goes by it."""
    root = Path(__file__).resolve().parents[2]
    found = {
        path.name for folder in ("backend/service", "interchange") for path in (root / folder).glob("*.py")
        if re.search(r"\btime\.time\b|datetime\.now|utcnow", path.read_text(encoding="utf-8"))
    }  # fmt: skip
    assert found == {"store.py", "devices.py", "previews.py", "retention.py", "blobs.py"}


def test_a_day_back_or_forth_changes_no_order(tmp_path: Path) -> None:
    now = [1e9]
    store = JobStore(tmp_path / "list.sqlite", lambda: now[0])
    queue = JobQueue(store)
    for name, jump in (("a", -86400.0), ("b", 2 * 86400.0), ("c", -86400.0)):
        queue.commit(queue.create("artist", wire.JobCreate(name, "double", wire.JobSpec({}, []))))
        now[0] += jump
    assert list(queue.positions()) == ["a", "b", "c"]
    assert [event.seq for event in store.events("b", 0, 10)] == [1, 2]
    store.close()


# -- 24: other versions -----------------------------------------------------------------------------------------------

RECORDED = Path(__file__).resolve().parents[1] / "interchange/minor_1.json"


@pytest.mark.parametrize("blocks", json.loads(RECORDED.read_text()), ids=lambda blocks: json.loads(blocks[0])["t"])
def test_messages_of_the_minor_version_before(blocks: list[str]) -> None:
    """As that version's page recorded them, and as a later one may write them: with fields that we do not know."""
    header = json.loads(blocks[0])
    payload = [text.encode() for text in blocks[1:]]
    message = decode([b"DD/2", blocks[0].encode(), *payload]).message
    assert header["t"] == message.TYPE
    later = json.dumps({**header, "invented_later": {"a": [1]}}).encode()
    assert decode([b"DD/2", later, *payload]).message == message
    with pytest.raises(ProtocolError) as caught:
        decode([b"DD/1", later, *payload])
    assert caught.value.code == "PROTO_VERSION"


# -- 13: payloads -----------------------------------------------------------------------------------------------------


def png_bomb(edge: int) -> bytes:
    """A PNG whose header promises edge x edge pixels."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    body = part(b"IHDR", header) + part(b"IDAT", zlib.compress(bytes(99))) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def truncate_exr(capture: Path) -> None:
    exr = next(capture.glob("**/*.exr"))
    exr.write_bytes(exr.read_bytes()[:-200])


def bomb_exr(capture: Path) -> None:
    next(capture.glob("**/*.exr")).write_bytes(png_bomb(50_000))


def empty_exr(capture: Path) -> None:
    next(capture.glob("**/*.exr")).write_bytes(b"")


def nan_camera(capture: Path) -> None:
    manifest = json.loads((capture / "capture.json").read_text())
    manifest["views"][0]["camera"]["K"][0][0] = float("nan")
    (capture / "capture.json").write_text(json.dumps(manifest))


def evil_name(capture: Path) -> None:
    manifest = json.loads((capture / "capture.json").read_text())
    manifest["views"][0]["name"] = "../../../evil"
    (capture / "capture.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize("damage", [truncate_exr, bomb_exr, empty_exr, nan_camera, evil_name])
def test_a_bad_capture_is_named_and_the_worker_lives(damage: Callable[[Path], None], tmp_path: Path) -> None:
    """The real job, in the worker's own function: an INPUT error within two seconds, nothing outside its folders."""
    small_capture(tmp_path / "made/capture", np.random.default_rng(0))
    damage(tmp_path / "made/capture")
    contents = ContentStore(tmp_path / "store")
    files = []
    for path in sorted(path for path in (tmp_path / "made").rglob("*") if path.is_file()):
        digest = digest_bytes(path.read_bytes())
        files.append([path.relative_to(tmp_path / "made").as_posix(), digest])
        contents.path(digest).parent.mkdir(parents=True, exist_ok=True)
        contents.path(digest).write_bytes(path.read_bytes())
    task = Task("j", 1, "backend.pipeline:run_job", "fit", {}, files, str(tmp_path / "store"), str(tmp_path / "job"))
    run_task(Task("w", 1, "backend.pipeline:run_job", "none", {}, [], str(tmp_path / "store"), str(tmp_path / "warm")),
             lambda *_: None, lambda: False)  # fmt: skip
    begun = time.thread_time()
    ended = run_task(task, lambda *_: None, lambda: False)
    assert time.thread_time() - begun < 2.0
    assert ended["t"] == "failed" and ended["error"]["code"].startswith("INPUT"), ended
    assert ended["error"]["message"] and "Traceback" not in ended["error"]["message"]
    assert {path.name for path in tmp_path.iterdir()} == {"made", "store", "job", "warm"}


def test_a_list_of_300_000_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before anything is sent, in a sentence."""
    files = [wire.FileEntry(f"view/{number}", 1, "0" * 64) for number in range(300_000)]
    link = Link.__new__(Link)  # it gets nowhere near a socket
    begun = time.thread_time()
    with pytest.raises(InputError, match="4194304 are allowed") as caught:
        link.send(wire.JobCreate("huge", "double", wire.JobSpec({}, files)))
    assert caught.value.code == "INPUT_MANIFEST" and time.thread_time() - begun < 5.0
