# SPDX-License-Identifier: Apache-2.0
"""The workers of a service: starts the next job when there is a slot, writes down what workers say, buries the dead."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from typing import Any

import attrs
import cattrs
import zmq

from interchange.service_errors import ErrorInfo

from .gpus import Lanes
from .logs import of_job
from .queue import JobQueue
from .reserve import Reserve
from .room import Room
from .settings import Settings
from .store import JobRecord
from .supervisor import Line, Worker, parse_line, parse_outputs

LOG = logging.getLogger("digidouble.service")
RETRY_WRITE_S = 1.0
EOF_GRACE_S = 1.0


@attrs.define
class Progress:
    """The newest progress of a job, perhaps not written down yet."""

    stage: str = ""
    fraction: float = 0.0
    message: str = ""
    eta_s: float | None = None
    pending: bool = False
    written_at: float = -1e9


@attrs.define(eq=False)
class Member:
    """A worker with what is still to be written down about it."""

    worker: Worker
    progress: Progress = attrs.field(factory=Progress)
    outcome: Callable[[], JobRecord] | None = None
    settled: bool = False  # the outcome is in the store
    silent_since: float | None = None  # its pipe is closed, or its process gone: the other will follow
    heard_all: bool = False  # the pipe is closed
    gone: bool = False


class Crew:
    """At most `slots` workers: as many as the settings say, or as there are lanes."""

    def __init__(
        self,
        context: zmq.Context[Any],
        settings: Settings,
        queue: JobQueue,
        reserve: Reserve,
        room: Room,
        lanes: Lanes,
        clock: Callable[[], float],
    ) -> None:
        self._context, self._settings, self._queue, self._clock = context, settings, queue, clock
        self._reserve, self._room, self._lanes = reserve, room, lanes
        self.slots = lanes.count if settings.slots is None else settings.slots
        self._members: dict[str, Member] = {}
        self._hold_until = 0.0  # after a full disk: try to write again only then
        self._open = True
        self.shortage = ""  # why no job starts although there is a slot
        self._told = ""  # the job that was told so
        self.on_preview: Callable[[str], None] = lambda job_id: None  # called with the job id after each new preview

    @property
    def is_busy(self) -> bool:
        """True while there is a worker to look after."""
        return bool(self._members)

    def holds(self, job_id: str) -> bool:
        """True while a job has a worker that has not gone."""
        return job_id in self._members

    def stop(self, job_id: str) -> None:
        """Ask a job's worker to stop."""
        if job_id in self._members:
            self._members[job_id].worker.stop(self._clock())

    def hear(self, line: Line) -> None:
        """Take a worker's line."""
        member = self._members.get(line.job_id)
        if member is None or member.worker.attempt != line.attempt:
            return
        member.worker.last_heard = self._clock()
        if line.body is None:
            member.silent_since, member.heard_all = self._clock(), True
            return
        try:
            self._understand(member, line.job_id, line.body)
        except (KeyError, TypeError, ValueError, cattrs.BaseValidationError) as error:
            text = "job %s: its worker said what nobody understands (%s)"
            LOG.error(text, line.job_id, error, extra=of_job(line.job_id, line.attempt))

    def _understand(self, member: Member, job_id: str, body: dict[str, Any]) -> None:
        queue, kind = self._queue, body.get("t")
        if kind == "progress":
            progress = member.progress
            if progress.stage != body["stage"]:
                self._write_progress(job_id, progress)
            progress.stage, progress.fraction = body["stage"], body["fraction"]
            progress.message, progress.eta_s, progress.pending = body["message"], body["eta_s"], True
        elif kind == "log":
            self._quietly(lambda: queue.store.log(job_id, body["level"], body["message"]))
        elif kind == "preview":
            self.on_preview(job_id)
        elif kind == "done":
            result, outputs = body["result"], parse_outputs(body)
            member.outcome = lambda: queue.succeeded(job_id, result, outputs)
        elif kind == "failed":
            error = cattrs.structure(body["error"], ErrorInfo)
            member.outcome = lambda: queue.failed(job_id, error)
        elif kind == "stopped":
            member.outcome = lambda: queue.stopped(job_id)
        if member.outcome is not None and member.worker.kill_at is None:
            member.worker.kill_at = self._clock() + self._settings.cancel_grace_s  # nothing is left to be done

    def step(self) -> None:
        """To be called often: everything that time brings."""
        now = self._clock()
        for job_id, member in list(self._members.items()):
            member.worker.check(now)
            self._notice_death(member, now)
            if now - member.progress.written_at >= self._settings.progress_interval_s or member.outcome is not None:
                self._write_progress(job_id, member.progress)
            if now >= self._hold_until:
                self._settle(job_id, member)
        while self._open and len(self._members) < self.slots and now >= self._hold_until:
            if not self._reserve.fill():
                self._hold_until = now + RETRY_WRITE_S  # the disk is nearly full: no job would get far
            if now < self._hold_until or not self._has_room() or not self._start_next(now):
                break

    def _has_room(self) -> bool:
        """False while too little of the disk is free. Then jobs wait, and whose turn it is is told why."""
        before, self.shortage = self.shortage, self._room.shortage()
        if not self.shortage:
            self._told = ""
            return True
        if not before:
            LOG.warning("%s", self.shortage)
        job_id = self._queue.next_id(self._members)
        if job_id is not None and job_id != self._told:
            self._told = job_id
            self._quietly(lambda: self._queue.store.log(job_id, "warning", self.shortage))
        return False

    def _notice_death(self, member: Member, now: float) -> None:
        """Gone is whose pipe is closed and whose process has ended; after a moment, one of the two is enough.

        (Something that the job has started may hold the pipe open; a process that said goodbye may hang at its exit.)
        """
        dead = member.worker.is_dead
        if member.silent_since is None:
            member.silent_since = now if dead else None
            return
        member.gone = member.gone or (dead and member.heard_all) or now - member.silent_since >= EOF_GRACE_S

    def _settle(self, job_id: str, member: Member) -> None:
        """Write the outcome down; on a full disk it is kept and tried again."""
        if member.gone and not member.settled and member.outcome is None:
            member.worker.reap()
            obituary = member.worker.obituary()
            attempt = member.worker.attempt
            LOG.warning("job %s attempt %d: %s", job_id, attempt, obituary.message, extra=of_job(job_id, attempt))
            member.outcome = lambda: self._queue.crashed(job_id, obituary)
        if member.outcome is not None and not member.settled:
            member.settled = self._quietly(member.outcome)
            if member.settled:
                state, extra = self._queue.store.job(job_id).state, of_job(job_id, member.worker.attempt)
                LOG.info("job %s attempt %d ended: it is %s", job_id, member.worker.attempt, state, extra=extra)
        if member.settled and member.gone:
            member.worker.reap()
            self._lanes.give_back(member.worker.gpu)
            del self._members[job_id]

    def _start_next(self, now: float) -> bool:
        started: list[JobRecord | None] = []
        self._quietly(lambda: started.append(self._queue.start_next(self._members)))
        record = started[0] if started else None
        if record is None:
            return False
        gpu = self._lanes.take()
        try:
            files = self._queue.store.files(record, output=False)
            self._members[record.job_id] = Member(Worker(self._context, self._settings, record, files, now, gpu))
            where = f" on {gpu}" if gpu else ""
            extra = of_job(record.job_id, record.attempt)
            LOG.info("job %s attempt %d started%s", record.job_id, record.attempt, where, extra=extra)
        except (OSError, sqlite3.OperationalError) as error:
            self._lanes.give_back(gpu)
            text = f"No worker could be started ({error})."
            info = ErrorInfo("INTERNAL", text, "Make room and submit again.", "later")
            self._quietly(lambda job_id=record.job_id: self._queue.failed(job_id, info))  # type: ignore[misc]
        return True

    def _write_progress(self, job_id: str, progress: Progress) -> None:
        if progress.pending:
            progress.pending, progress.written_at = False, self._clock()
            self._quietly(
                lambda: self._queue.store.progress(
                    job_id, progress.stage, progress.fraction, progress.message, progress.eta_s
                )
            )

    def _quietly(self, write: Callable[[], JobRecord | None]) -> bool:
        """Write to the store; False if the disk would not have it, which is to be tried again a little later."""
        try:
            write()
            return True
        except (OSError, sqlite3.OperationalError) as error:
            LOG.error("cannot write: %s", error)
            if self._members and all(member.outcome is not None for member in self._members.values()):
                self._reserve.release()  # not before: a worker that still writes would only take that room too
            self._hold_until = self._clock() + RETRY_WRITE_S
            return False

    def close(self, lines: zmq.Socket[bytes]) -> None:
        """Ask all workers to stop, wait for them as long as the grace time allows, put their jobs back."""
        self._open = False
        for member in self._members.values():
            member.worker.stop(self._clock())
        deadline = self._clock() + self._settings.cancel_grace_s + 3.0
        while self._members and self._clock() < deadline:
            if lines.poll(50):
                self.hear(parse_line(lines.recv_multipart()))
            self.step()
        for job_id, member in self._members.items():
            member.worker.reap()
            self._quietly(lambda job_id=job_id: self._queue.interrupted(job_id))  # type: ignore[misc]
