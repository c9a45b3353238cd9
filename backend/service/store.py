# SPDX-License-Identifier: Apache-2.0
"""The job list: SQLite, the only source of truth. Each method is one transaction; what it returned is on the disk."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import cattrs

from interchange.errors import InputError
from interchange.messages import CREATED, FINAL_STATES, QUEUED, STATES, SUCCEEDED, UPLOADING, Event, FileEntry, JobInfo
from interchange.service_errors import ErrorInfo

from .migrations import migrate


@attrs.frozen
class JobRecord:
    """A row of the job list."""

    number: int
    job_id: str
    owner: str
    kind: str
    parameters: dict[str, Any]
    spec_digest: str
    state: str
    stage: str
    fraction: float
    message: str
    eta_s: float | None
    attempt: int
    crashes: int
    crash_fraction: float
    cancel_requested: bool
    turn: int | None
    error: ErrorInfo | None
    result: dict[str, Any] | None
    last_seq: int
    created_at: float
    updated_at: float
    priority: int

    @property
    def is_final(self) -> bool:
        """True if nothing more will happen to the job by itself."""
        return self.state in FINAL_STATES

    def info(self, position: int | None = None, device: str | None = None) -> JobInfo:
        """As clients see it."""
        return JobInfo(
            self.job_id, self.kind, self.state, self.attempt, self.created_at, self.updated_at, self.stage,
            self.fraction, self.message, self.eta_s, position, self.error, device, self.priority,
        )  # fmt: skip


@attrs.frozen
class Holdings:
    """What an owner keeps on the disk: input contents with their sizes by digest, bytes of results."""

    contents: dict[str, int]
    results: int

    @property
    def size(self) -> int:
        """Bytes on the disk; contents that several jobs share count once."""
        return sum(self.contents.values()) + self.results


class JobStore:
    """Jobs, their files, their events. Belongs to one thread."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        """Open or create; migrate. Raises InputError if the file is damaged or from a newer version."""
        self._path, self._clock = path, clock
        self.on_event: Callable[[str], None] = lambda job_id: None  # called with the job id after each new event
        self.on_deleted: Callable[[str], None] = lambda job_id: None  # and after a job was deleted
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
        except sqlite3.DatabaseError as error:
            raise _damaged(path, str(error)) from error
        try:
            self._open(path)
        except BaseException:
            self._db.close()  # or its files would lie open until some garbage collection
            raise

    def _open(self, path: Path) -> None:
        try:
            self._db.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "journal_size_limit=16777216"):
                self._db.execute(f"PRAGMA {pragma}")
            self._check(path)
            migrate(self._db, path)
            self._check_rows(path)
        except sqlite3.DatabaseError as error:
            raise _damaged(path, str(error)) from error

    def _check(self, path: Path) -> None:
        verdict = self._db.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if verdict != "ok":
            raise _damaged(path, verdict)

    def _check_rows(self, path: Path) -> None:
        """What SQLite cannot know to be wrong: a byte within a text."""
        try:
            for row in self._db.execute("SELECT * FROM jobs"):
                if _record(row).state not in STATES:
                    raise ValueError(f"state {row['state']}")
        except (ValueError, TypeError, KeyError, cattrs.BaseValidationError) as error:
            raise _damaged(path, f"a job cannot be read: {error}") from error
        if self._db.execute("SELECT 1 FROM events WHERE NOT json_valid(body) LIMIT 1").fetchone() is not None:
            raise _damaged(path, "an event cannot be read")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def back_up(self) -> None:
        """Put a whole copy beside the list, in place of the last one. Raises OSError, sqlite3.OperationalError."""
        copy = backup_of(self._path)
        part = copy.with_name(copy.name + ".part")
        part.unlink(missing_ok=True)
        with closing(sqlite3.connect(part)) as target:
            self._db.backup(target)
        os.replace(part, copy)

    @property
    def database(self) -> sqlite3.Connection:
        """For the tables that others look after; each statement is a transaction of its own."""
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:  # a full disk may have rolled it back already
                self._db.execute("ROLLBACK")
            raise

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def create(
        self,
        job_id: str,
        owner: str,
        kind: str,
        parameters: dict[str, Any],
        spec_digest: str,
        files: Sequence[FileEntry],
        state: str,
        priority: int = 0,
    ) -> JobRecord:
        """A new job with its input files."""
        now = self._clock()
        with self._transaction() as db:
            cursor = db.execute(
                "INSERT INTO jobs"
                " (job_id, owner, kind, parameters, spec_digest, state, created_at, updated_at, priority)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (job_id, owner, kind, json.dumps(parameters), spec_digest, state, now, now, priority),
            )
            self._insert_files(db, int(cursor.lastrowid or 0), files, output=False)
            self._add_event(db, job_id, "state", {"state": state, "attempt": 0})
        self.on_event(job_id)
        return self.job(job_id)

    def find(self, job_id: str) -> JobRecord | None:
        """The job, or None."""
        row = self._db.execute("SELECT * FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
        return None if row is None else _record(row)

    def namesake(self, job_id: str) -> str | None:
        """A job whose id differs from this one only in case, which is the same folder on some systems."""
        query = "SELECT job_id FROM jobs WHERE job_id = ? COLLATE NOCASE AND job_id <> ?"
        row = self._db.execute(query, (job_id, job_id)).fetchone()
        return None if row is None else str(row[0])

    def job(self, job_id: str) -> JobRecord:
        """The job. KeyError if there is none."""
        record = self.find(job_id)
        if record is None:
            raise KeyError(job_id)
        return record

    def page(self, owner: str | None, limit: int, before: int | None) -> list[JobRecord]:
        """An owner's jobs (None: everybody's) with a number below `before`, newest first."""
        whose, values = ("owner = ? AND ", (owner,)) if owner is not None else ("", ())
        rows = self._db.execute(
            f"SELECT * FROM jobs WHERE {whose}number < ? ORDER BY number DESC LIMIT ?",
            (*values, before if before is not None else 1 << 62, limit),
        )
        return [_record(row) for row in rows]

    def in_state(self, state: str) -> list[JobRecord]:
        """All jobs in a state, in the order of their turns."""
        rows = self._db.execute("SELECT * FROM jobs WHERE state = ? ORDER BY turn, number", (state,))
        return [_record(row) for row in rows]

    def waiting(self) -> list[tuple[str, str]]:
        """Job id and owner of all queued jobs: urgent ones first, then in the order in which they came."""
        return waiting_in(self._db)

    def counts(self) -> dict[str, int]:
        """Number of jobs by state."""
        return dict(self._db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())

    def holdings(self, owner: str) -> Holdings:
        """What an owner's jobs keep on the disk."""
        join = "FROM files JOIN jobs ON job = number WHERE owner = ? AND output = "
        contents = dict(self._db.execute(f"SELECT DISTINCT digest, size {join}0", (owner,)).fetchall())
        results = self._db.execute(f"SELECT coalesce(sum(files.size), 0) {join}1", (owner,)).fetchone()[0]
        return Holdings(contents, int(results))

    def count_waiting(self, owner: str) -> int:
        """How many jobs of an owner have not begun yet."""
        count = "SELECT count(*) FROM jobs WHERE owner = ? AND state IN (?, ?, ?)"
        return int(self._db.execute(count, (owner, CREATED, UPLOADING, QUEUED)).fetchone()[0])

    def needed_without(self, numbers: Set[int]) -> set[str]:
        """Input contents that jobs with other numbers than these have."""
        rows = self._db.execute("SELECT DISTINCT digest, job FROM files WHERE output = 0")
        return {digest for digest, job in rows if job not in numbers}

    def untouched_since(self, states: Sequence[str], before: float) -> list[JobRecord]:
        """Jobs in these states to which nothing has happened since a time, oldest first."""
        marks = ", ".join("?" * len(states))
        query = f"SELECT * FROM jobs WHERE state IN ({marks}) AND updated_at < ? ORDER BY number"
        return [_record(row) for row in self._db.execute(query, (*states, before))]

    def refers_to(self, digest: str) -> bool:
        """True if a job has this content among its input files."""
        query = "SELECT 1 FROM files WHERE digest = ? AND output = 0 LIMIT 1"
        return self._db.execute(query, (digest,)).fetchone() is not None

    def files(self, record: JobRecord, output: bool) -> list[FileEntry]:
        """A job's input files, or its results."""
        query = "SELECT path, size, digest FROM files WHERE job = ? AND output = ? ORDER BY path"
        return [FileEntry(*row) for row in self._db.execute(query, (record.number, int(output)))]

    def output(self, record: JobRecord, path: str) -> FileEntry | None:
        """One result."""
        query = "SELECT path, size, digest FROM files WHERE job = ? AND output = 1 AND path = ?"
        row = self._db.execute(query, (record.number, path)).fetchone()
        return None if row is None else FileEntry(*row)

    # -- changes ------------------------------------------------------------------------------------------------------

    def change_state(self, job_id: str, state: str, error: ErrorInfo | None = None, **columns: Any) -> JobRecord:
        """Move a job to a state, set other columns with it, and tell the watchers."""
        with self._transaction() as db:
            encoded = None if error is None else json.dumps(attrs.asdict(error))
            self._update(db, job_id, state=state, error=encoded, eta_s=None, **columns)
            self._add_state_event(db, job_id, state, error)
        self.on_event(job_id)
        return self.job(job_id)

    def enqueue(self, job_id: str, **columns: Any) -> JobRecord:
        """Put a job into the queue: at the end if it is new there, at its old place if it comes back."""
        turn = self.job(job_id).turn
        if turn is None:
            turn = int(self._db.execute("SELECT coalesce(max(turn), 0) + 1 FROM jobs").fetchone()[0])
        return self.change_state(job_id, QUEUED, turn=turn, message="", **columns)

    def succeed(self, job_id: str, result: dict[str, Any], outputs: Sequence[FileEntry]) -> JobRecord:
        """A job's end with its results."""
        number = self.job(job_id).number
        with self._transaction() as db:
            db.execute("DELETE FROM files WHERE job = ? AND output = 1", (number,))
            self._insert_files(db, number, outputs, output=True)
            self._update(
                db, job_id, state=SUCCEEDED, result=json.dumps(result), fraction=1.0, eta_s=None, error=None, message=""
            )
            self._add_state_event(db, job_id, SUCCEEDED, None)
        self.on_event(job_id)
        return self.job(job_id)

    def progress(self, job_id: str, stage: str, fraction: float, message: str, eta_s: float | None) -> None:
        """How far a job is. Replaces the stage's progress event of before: replay needs only the newest."""
        with self._transaction() as db:
            self._update(db, job_id, stage=stage, fraction=fraction, message=message, eta_s=eta_s)
            db.execute(
                "DELETE FROM events WHERE kind = 'progress' AND stage = ?"
                " AND job = (SELECT number FROM jobs WHERE job_id = ?)",
                (stage, job_id),
            )
            body = {"stage": stage, "fraction": fraction, "message": message, "eta_s": eta_s}
            self._add_event(db, job_id, "progress", body, stage)
        self.on_event(job_id)

    def log(self, job_id: str, level: str, message: str) -> None:
        """A line for the watchers."""
        with self._transaction() as db:
            self._add_event(db, job_id, "log", {"level": level, "message": message})
        self.on_event(job_id)

    def prioritise(self, job_id: str, priority: int) -> JobRecord:
        """Let a job wait longer or shorter than its owner's others."""
        with self._transaction() as db:
            self._update(db, job_id, priority=priority)
        return self.job(job_id)

    def delete(self, job_id: str) -> None:
        """Forget a job with its events and the list of its files."""
        with self._transaction() as db:
            db.execute("DELETE FROM jobs WHERE job_id = ?", (job_id,))
        self.on_deleted(job_id)

    def mark_cancel(self, job_id: str) -> None:
        """Remember, beyond a crash, that a running job is to stop."""
        with self._transaction() as db:
            self._update(db, job_id, cancel_requested=1)

    def forget_events(self, job_id: str) -> None:
        """Delete a job's events; the numbering goes on."""
        with self._transaction() as db:
            db.execute("DELETE FROM events WHERE job = (SELECT number FROM jobs WHERE job_id = ?)", (job_id,))

    def events(self, job_id: str, after_seq: int, limit: int) -> list[Event]:
        """Events with a number above `after_seq`, in order."""
        rows = self._db.execute(
            "SELECT seq, at, kind, body FROM events WHERE job = (SELECT number FROM jobs WHERE job_id = ?) AND seq > ?"
            " ORDER BY seq LIMIT ?",
            (job_id, after_seq, limit),
        )
        return [_event(job_id, row) for row in rows]

    def _update(self, db: sqlite3.Connection, job_id: str, **columns: Any) -> None:
        """`columns` are names of this module's making, never a client's."""
        columns["updated_at"] = self._clock()
        assignments = ", ".join(f"{name} = ?" for name in columns)
        db.execute(f"UPDATE jobs SET {assignments} WHERE job_id = ?", (*columns.values(), job_id))

    def _add_state_event(self, db: sqlite3.Connection, job_id: str, state: str, error: ErrorInfo | None) -> None:
        attempt = db.execute("SELECT attempt FROM jobs WHERE job_id = ?", (job_id,)).fetchone()[0]
        body = {"state": state, "attempt": attempt, "error": None if error is None else attrs.asdict(error)}
        self._add_event(db, job_id, "state", body)

    def _add_event(
        self, db: sqlite3.Connection, job_id: str, kind: str, body: dict[str, Any], stage: str | None = None
    ) -> None:
        query = "UPDATE jobs SET last_seq = last_seq + 1 WHERE job_id = ? RETURNING number, last_seq"
        number, seq = db.execute(query, (job_id,)).fetchone()
        row = (number, seq, self._clock(), kind, stage, json.dumps(body))
        db.execute("INSERT INTO events (job, seq, at, kind, stage, body) VALUES (?, ?, ?, ?, ?, ?)", row)

    @staticmethod
    def _insert_files(db: sqlite3.Connection, number: int, files: Sequence[FileEntry], output: bool) -> None:
        rows = [(number, int(output), file.path, file.size, file.digest) for file in files]
        db.executemany("INSERT INTO files (job, output, path, size, digest) VALUES (?, ?, ?, ?, ?)", rows)


def waiting_in(database: sqlite3.Connection) -> list[tuple[str, str]]:
    """See `JobStore.waiting`."""
    query = "SELECT job_id, owner FROM jobs WHERE state = ? ORDER BY priority DESC, turn, number"
    return [(row[0], row[1]) for row in database.execute(query, (QUEUED,))]


def _record(row: sqlite3.Row) -> JobRecord:
    values = dict(row)
    values["parameters"] = json.loads(values["parameters"])
    values["result"] = None if values["result"] is None else json.loads(values["result"])
    values["error"] = None if values["error"] is None else cattrs.structure(json.loads(values["error"]), ErrorInfo)
    values["cancel_requested"] = bool(values["cancel_requested"])
    return JobRecord(**values)


def _event(job_id: str, row: sqlite3.Row) -> Event:
    body = json.loads(row["body"])
    error = body.pop("error", None)
    return Event(
        job_id, row["seq"], row["at"], row["kind"],
        error=None if error is None else cattrs.structure(error, ErrorInfo), **body,
    )  # fmt: skip


def backup_of(path: Path) -> Path:
    """Where the copy of a job list is."""
    return path.with_name(path.name + ".backup")


def _damaged(path: Path, reason: str) -> InputError:
    copy = backup_of(path)
    hint = "Move it away to begin with an empty list."
    if copy.is_file():
        made = time.strftime("%Y-%m-%d %H:%M", time.localtime(copy.stat().st_mtime))
        hint = f"Move it away and put {copy} in its place, a copy of {made}."
    return InputError(f"The job list {path} is damaged ({reason.splitlines()[0][:120]}).", hint)
