# SPDX-License-Identifier: Apache-2.0
"""Queue order, quotas, what is deleted when, and job lists of older versions. No processes but in the last tests."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from backend import cli
from backend.service.blobs import ContentStore
from backend.service.migrations import MIGRATIONS, migrate
from backend.service.offline import collect_garbage
from backend.service.old_digests import renew_digests
from backend.service.queue import JobQueue
from backend.service.quota import Quota
from backend.service.retention import Retention
from backend.service.settings import Settings
from backend.service.store import JobStore
from interchange import messages as wire
from interchange.digests import digest_bytes
from interchange.errors import InputError
from interchange.service_errors import ErrorInfo, ServiceError

from .harness import Service, make_files, new_device, wait_until

OWNER = "artist"
DAY = 86400.0


def entry(path: str, data: bytes) -> wire.FileEntry:
    return wire.FileEntry(path, len(data), digest_bytes(data))


def creation(job_id: str, *files: wire.FileEntry, priority: int = 0) -> wire.JobCreate:
    return wire.JobCreate(job_id, "double", wire.JobSpec({}, list(files)), priority)


@attrs.define
class Room:
    """A service's folder with everything in it but the service. `now` is the clock of all of it."""

    settings: Settings
    store: JobStore
    queue: JobQueue
    contents: ContentStore
    retention: Retention
    now: list[float]
    busy: set[str]

    def job(self, job_id: str, *data: bytes, state: str = wire.SUCCEEDED, owner: str = OWNER) -> None:
        """A job with these files, all there, and a folder."""
        files = [entry(f"f{i}", item) for i, item in enumerate(data)]
        record = self.queue.create(owner, creation(job_id, *files))
        self.contents.announce(files)
        for item in data:
            self.contents.receive(wire.PutChunk(digest_bytes(item), len(item), 0, digest_bytes(item), item))
        folder = self.settings.job_folder(job_id)
        folder.outputs.mkdir(parents=True)
        (folder.outputs / "out").write_bytes(b"o" * 100)
        self.queue.commit(record)
        if state != wire.QUEUED:
            self.store.change_state(job_id, state, ErrorInfo("JOB_CANCELLED", "x") if state != "succeeded" else None)

    def has(self, data: bytes) -> bool:
        return self.contents.path(digest_bytes(data)).exists()

    def clear(self) -> None:
        while self.retention.is_busy:
            self.retention.step()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    now, busy = [1e9], set[str]()
    settings = Settings(tmp_path)
    settings.store.mkdir()
    store = JobStore(settings.database, lambda: now[0])
    contents = ContentStore(settings.store)
    retention = Retention(settings, store, contents, busy.__contains__, lambda: now[0])
    yield Room(settings, store, JobQueue(store), contents, retention, now, busy)
    contents.close()
    store.close()


# -- order and quotas -------------------------------------------------------------------------------------------------


def test_priority_counts_among_ones_own(room: Room) -> None:
    """An urgent job overtakes its owner's others, and costs other devices no turn."""
    queue = room.queue
    for owner, names in (("A", ("a1", "a2", "a3")), ("B", ("b1", "b2"))):
        for name in names:
            queue.commit(queue.create(owner, creation(name)))
    assert queue.start_next().job_id == "a1"  # type: ignore[union-attr]
    queue.prioritise(queue.find("a3", "A"), 50)
    queue.prioritise(queue.find("b2", "B"), 1)
    queue.commit(queue.create("A", creation("a4", priority=-5)))
    assert list(queue.positions()) == ["b2", "a3", "b1", "a2", "a4"]
    assert queue.find("a3", "A").info().priority == 50


def test_a_device_may_not_fill_the_queue(room: Room) -> None:
    queue = JobQueue(room.store, quota=Quota(waiting=2))
    for name in ("a", "b"):
        queue.commit(queue.create(OWNER, creation(name)))
    queue.create(OWNER, creation("a"))  # once more the same: no new job
    with pytest.raises(ServiceError) as caught:
        queue.create(OWNER, creation("c"))
    assert (caught.value.code, caught.value.retry) == ("RES_QUEUE_FULL", "later")
    assert room.store.find("c") is None
    queue.create("other", creation("d"))
    queue.cancel(queue.find("a", OWNER))
    queue.create(OWNER, creation("c"))
    with pytest.raises(ServiceError, match="2 of your jobs wait"):
        queue.retry(queue.find("a", OWNER))


def test_a_device_may_not_fill_the_disk(room: Room) -> None:
    """Contents that jobs share count once; results count; a job that costs nothing more is let in."""
    queue = JobQueue(room.store, quota=Quota(size=1000))
    shared = entry("s", b"s" * 400)
    for name in ("a", "b"):
        queue.commit(queue.create(OWNER, creation(name, shared)))
    queue.start_next()
    queue.succeeded("a", {}, [entry("out", b"o" * 300)])
    assert room.store.holdings(OWNER).size == 700
    queue.create(OWNER, creation("c", entry("f", b"f" * 300)))
    with pytest.raises(ServiceError) as caught:
        queue.create(OWNER, creation("d", entry("g", b"g")))
    assert caught.value.code == "RES_QUOTA" and "digidouble delete" in caught.value.hint
    queue.create(OWNER, creation("e", shared))
    queue.create("other", creation("f", entry("g", b"g" * 900)))


# -- what goes --------------------------------------------------------------------------------------------------------


def test_nothing_that_ended_goes_by_itself(room: Room) -> None:
    for state in wire.FINAL_STATES:
        room.job(state, state.encode(), state=state)
    room.now[0] += 1000 * DAY
    assert room.retention.usual().jobs == []
    assert room.retention.thorough() == attrs.evolve(room.retention.usual())


def test_old_jobs_go_with_what_only_they_needed(room: Room) -> None:
    room.job("old", b"shared", b"old only")
    room.job("failed", b"failed only", state=wire.FAILED)
    room.now[0] += 20 * DAY
    room.job("new", b"shared", b"new only")
    room.job("waiting", b"waiting only", state=wire.QUEUED)
    room.now[0] += 20 * DAY
    plan = room.retention.thorough(older_s=30 * DAY)
    assert [job.job_id for job in plan.jobs] == ["old", "failed"] and plan.contents == []
    assert plan.size == len(b"old only") + len(b"failed only") + 2 * 100
    assert room.store.counts() == {"succeeded": 2, "failed": 1, "queued": 1}  # a plan is only a plan
    room.retention.begin(plan)
    room.clear()
    assert [record.job_id for record in room.store.page(None, 10, None)] == ["waiting", "new"]
    assert [room.has(data) for data in (b"shared", b"old only", b"failed only", b"new only")] == [
        True, False, False, True,
    ]  # fmt: skip
    assert not room.settings.job_folder("old").root.exists() and room.settings.job_folder("new").outputs.exists()


def test_what_is_needed_again_meanwhile_stays(room: Room) -> None:
    room.job("a", b"data of a")
    room.job("b", b"data of b", state=wire.FAILED)
    room.job("c", b"data of c")
    room.now[0] += 40 * DAY
    room.retention.begin(room.retention.thorough(older_s=DAY))
    room.queue.create(OWNER, creation("new", entry("f", b"data of a")))
    room.queue.retry(room.queue.find("b", OWNER))
    room.busy.add("c")  # its worker has not quite gone
    room.clear()
    assert room.has(b"data of a") and room.store.find("a") is None
    assert room.store.find("b") is not None and room.has(b"data of b")
    assert room.store.find("c") is not None and room.has(b"data of c")


def test_an_upload_that_still_goes_on_is_not_abandoned(room: Room) -> None:
    """However long ago it was announced: what counts is the last byte."""
    data = b"x" * 1000
    for name in ("slow", "dead"):
        files = [entry("f", data + name.encode())]
        room.queue.uploading(room.queue.create(OWNER, creation(name, *files)))
        room.contents.announce(files)
        piece = (data + name.encode())[:500]
        room.contents.receive(wire.PutChunk(files[0].digest, files[0].size, 0, digest_bytes(piece), piece))
        part = room.settings.store / "uploading" / f"{files[0].digest}.{files[0].size}.part"
        last = room.now[0] + (2.5 * DAY if name == "slow" else 0)
        os.utime(part, (last, last))
    room.now[0] += 3 * DAY
    room.retention.begin(room.retention.usual())
    room.clear()
    assert room.store.find("slow") is not None and room.store.find("dead") is None
    assert len(list((room.settings.store / "uploading").iterdir())) == 2  # a part and its ledger


def test_files_of_no_job_go_when_a_person_asks(room: Room) -> None:
    room.job("kept", b"kept")
    room.job("lost", b"lost")
    room.store.delete("lost")  # as if the service had died before the files were gone
    assert room.retention.usual().folders == []
    plan = room.retention.thorough()
    assert [folder.name for folder in plan.folders] == ["lost"] and plan.contents == [digest_bytes(b"lost")]
    room.retention.begin(plan)
    room.clear()
    assert room.has(b"kept") and not room.has(b"lost")
    assert [folder.name for folder in (room.settings.state / "jobs").iterdir()] == ["kept"]


# -- job lists of before ----------------------------------------------------------------------------------------------


def test_it_is_as_durable_as_it_says(room: Room) -> None:
    db = room.store.database
    assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert db.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert db.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    assert db.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)


@pytest.mark.parametrize("version", range(len(MIGRATIONS)))
def test_a_list_of_any_older_version(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.sqlite"
    db = sqlite3.connect(path, isolation_level=None)
    for number in range(version):
        db.executescript(MIGRATIONS[number])
    db.execute(f"PRAGMA user_version={version}")
    if version:
        columns = "job_id, owner, kind, parameters, spec_digest, state, created_at, updated_at, turn"
        db.execute(f"INSERT INTO jobs ({columns}) VALUES ('j', 'o', 'double', '{{\"a\": 1}}', 'd', 'queued', 1, 2, 3)")
    db.close()
    store = JobStore(path)
    assert store.database.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    jobs = store.page(None, 10, None)
    assert [(job.job_id, job.parameters, job.priority) for job in jobs] == ([("j", {"a": 1}, 0)] if version else [])
    assert store.database.execute("PRAGMA integrity_check").fetchall()[0][0] == "ok"
    store.close()


def test_results_of_before_can_still_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 3 had another digest: those of results are made anew, those of inputs are names and stay."""
    options, digest = Settings(tmp_path), "d" * 64
    with monkeypatch.context() as patch:
        patch.setattr("backend.service.migrations.MIGRATIONS", MIGRATIONS[:3])
        store = JobStore(options.database)
        queue = JobQueue(store)
        files = [wire.FileEntry("in", 5, digest)]
        queue.commit(queue.create("artist", wire.JobCreate("old", "double", wire.JobSpec({}, files))))
        queue.start_next()
        queue.succeeded("old", {}, [wire.FileEntry(path, 6, digest) for path in ("a", "gone", "sub/b")])
        store.close()
    for path in ("a", "sub/b"):
        target = options.job_folder("old").outputs / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"result")
    store = JobStore(options.database)
    assert renew_digests(store, options) == 3
    assert renew_digests(store, options) == 0
    job = store.job("old")
    assert store.files(job, output=False) == files
    fresh = digest_bytes(b"result")
    assert [entry.digest for entry in store.files(job, output=True)] == [fresh, "0" * 64, fresh]
    store.close()


def test_a_step_that_fails_leaves_the_list_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "list.sqlite"
    JobStore(path).close()
    broken = (*MIGRATIONS, "CREATE TABLE more (x); INSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patch, pytest.raises(InputError, match="nowhere"):
        patch.setattr("backend.service.migrations.MIGRATIONS", broken)
        JobStore(path)
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db, path)
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "more" not in tables and "jobs" in tables
    db.close()


# -- with a service ---------------------------------------------------------------------------------------------------


def test_deleting_and_clearing_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands, and what a paired device may do of it."""
    files = make_files(tmp_path / "in", {"a": 50_000})
    state = ["--state", str(tmp_path / "state")]
    with Service(tmp_path / "state") as service, service.client() as client:
        for name in ("one", "two"):
            client.submit("double", {}, files, job_id=name)
            client.wait(name)
        running = client.submit("double", {"steps": 2000}, {}, job_id="running")
        wait_until(lambda: client.get(running).state == "running")
        with pytest.raises(ServiceError, match="is running"):
            client.delete(running)
        with service.owner() as owner, service.client(new_device(service, owner, tmp_path / "d", "laptop")) as device:
            device.delete("one")  # not its own: nothing happens, and it does not learn that there is one
            assert client.get("one").state == "succeeded"
            with pytest.raises(ServiceError) as caught:
                device._ask(wire.ServerGc(), wire.GcReport)
            assert caught.value.code == "AUTH_LOCAL_ONLY"
            with pytest.raises(ServiceError, match="has no job one"):
                device.prioritise("one", 5)
        assert cli.main(["prioritise", "running", *state, "--priority", "7"]) == 0
        assert client.get(running).priority == 7
        assert cli.main(["delete", "one", *state]) == 0
        assert not service.job_folder("one").exists() and len(list((service.state / "store").glob("??/*"))) == 1
        assert cli.main(["gc", *state, "--dry-run", "--older-than", "0"]) == 0
        assert "job two\n1 jobs and 0 files and folders of no job would be deleted" in capsys.readouterr().out
        assert cli.main(["gc", *state, "--older-than", "0"]) == 0
        wait_until(lambda: not service.job_folder("two").exists())
        wait_until(lambda: not list((service.state / "store").glob("??/*")))  # first the folder goes, then its contents
        assert cli.main(["stats", *state]) == 0
        assert "Jobs: 1 running" in capsys.readouterr().out
        assert cli.main(["stats", *state, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["memory"] > 1e7
        with pytest.raises(InputError, match="does not answer"):
            collect_garbage(service.state, dry_run=True)
    (tmp_path / "state/jobs/stray").mkdir()
    assert cli.main(["gc", *state]) == 0  # also while no service runs
    assert "0 jobs and 1 files and folders of no job are deleted" in capsys.readouterr().out
    assert not (tmp_path / "state/jobs/stray").exists() and (tmp_path / "state/jobs/running").exists()
