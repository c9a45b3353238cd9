# SPDX-License-Identifier: Apache-2.0
"""What becomes of a job: which state follows which, who is next, when to give up. No processes and no sockets in here.

    created -> uploading -> queued -> running -> succeeded | failed | cancelled
                              ^          |
                              +----------+  its worker crashed (thrice at one place: failed), or the service stopped
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Sequence
from typing import Any

from interchange.digests import digest_json
from interchange.messages import CANCELLED, CREATED, FAILED, QUEUED, RUNNING, UPLOADING, FileEntry, JobCreate
from interchange.service_errors import ErrorInfo, ServiceError

from .quota import Quota
from .store import JobRecord, JobStore, waiting_in
from .turns import fair_order

CANCELLED_ERROR = ErrorInfo("JOB_CANCELLED", "The job was cancelled.", "Submit it again to go on where it stopped.")

LEAST_ADVANCE = 0.01  # of the whole job


class JobQueue:
    """The rules, on top of the store."""

    def __init__(self, store: JobStore, max_crashes: int = 3, quota: Quota | None = None) -> None:
        self.store, self.max_crashes, self._quota = store, max_crashes, quota or Quota()
        self._served: dict[str, int] = {}  # who had a turn, the larger the later; not worth keeping beyond a restart

    def recover(self) -> None:
        """After a start: what ran when the service died waits again; it was not the job's fault."""
        for record in self.store.in_state(RUNNING):
            self.interrupted(record.job_id)

    def find(self, job_id: str, owner: str) -> JobRecord:
        """The owner's job. ServiceError JOB_UNKNOWN also if it is somebody else's."""
        record = self.store.find(job_id)
        if record is None or record.owner != owner:
            hint = "It may belong to another service, or have been deleted: submit it again."
            raise ServiceError("JOB_UNKNOWN", f"The service has no job {job_id}.", hint)
        return record

    def create(self, owner: str, message: JobCreate) -> JobRecord:
        """A new job, or the same one again. ServiceError JOB_CONFLICT for another job of that id, RES_QUEUE_FULL and
        RES_QUOTA for more than the owner may have.
        """
        files = [[file.path, file.size, file.digest] for file in sorted(message.spec.files, key=lambda file: file.path)]
        digest = digest_json([message.kind, message.spec.parameters, files])
        known = self.store.find(message.job_id)
        if known is None:
            if (other := self.store.namesake(message.job_id)) is not None:
                text = f"There is a job {other}, whose id differs from {message.job_id} only in case."
                raise ServiceError("JOB_CONFLICT", text, "Submit this one under a new id.")
            self._quota.check(self.store, owner, message.spec.files)
            return self.store.create(
                message.job_id, owner, message.kind, message.spec.parameters, digest, message.spec.files, CREATED,
                message.priority,
            )  # fmt: skip
        if known.owner != owner or known.spec_digest != digest:
            text = f"There is another job with the id {message.job_id}."
            raise ServiceError("JOB_CONFLICT", text, "Submit this one under a new id.")
        return known

    def uploading(self, record: JobRecord) -> JobRecord:
        """Its files are on their way."""
        return self.store.change_state(record.job_id, UPLOADING) if record.state == CREATED else record

    def commit(self, record: JobRecord) -> JobRecord:
        """All files are there. A job that is queued or further is left as it is."""
        return self.store.enqueue(record.job_id) if record.state in (CREATED, UPLOADING) else record

    def retry(self, record: JobRecord) -> JobRecord:
        """Take a failed or cancelled job up again; others are left as they are."""
        if record.state not in (FAILED, CANCELLED):
            return record
        self._quota.check(self.store, record.owner)
        self.store.forget_events(record.job_id)
        fresh: dict[str, Any] = {"crashes": 0, "crash_fraction": 0.0, "cancel_requested": 0, "turn": None}
        return self.store.change_state(record.job_id, UPLOADING, **fresh)

    def prioritise(self, record: JobRecord, priority: int) -> JobRecord:
        """Let a job come before those of its owner with a lower number. Other owners lose nothing by it."""
        return self.store.prioritise(record.job_id, priority)

    @staticmethod
    def check_deletable(record: JobRecord) -> None:
        """ServiceError JOB_STATE for a job that waits or runs."""
        if record.state in (QUEUED, RUNNING):
            raise ServiceError("JOB_STATE", f"Job {record.job_id} is {record.state}.", "Cancel it first.", "later")

    def cancel(self, record: JobRecord) -> JobRecord:
        """Stop a job that does not run; remember it for one that does (its worker must be told)."""
        if record.is_final:
            return record
        if record.state == RUNNING:
            self.store.mark_cancel(record.job_id)
            return self.store.job(record.job_id)
        return self.store.change_state(record.job_id, CANCELLED, CANCELLED_ERROR)

    def start_next(self, busy: Container[str] = ()) -> JobRecord | None:
        """The job whose turn it is, now running with a new attempt; None if nobody waits.

        `busy`: jobs whose last worker has not quite gone yet.
        """
        job_id = self.next_id(busy)
        if job_id is None:
            return None
        record = self.store.job(job_id)
        self._served[record.owner] = max(self._served.values(), default=0) + 1
        fresh: dict[str, Any] = {"stage": "", "fraction": 0.0, "message": ""}
        return self.store.change_state(job_id, RUNNING, attempt=record.attempt + 1, **fresh)

    def next_id(self, busy: Container[str] = ()) -> str | None:
        """The job whose turn it is."""
        return next((job_id for job_id in self._order() if job_id not in busy), None)

    def positions(self) -> dict[str, int]:
        """How many jobs are before each queued job."""
        return {job_id: place for place, job_id in enumerate(self._order())}

    def positions_in(self, database: sqlite3.Connection) -> dict[str, int]:
        """The same, out of another connection to the same job list, for another thread."""
        order = fair_order(waiting_in(database), dict(self._served))
        return {job_id: place for place, job_id in enumerate(order)}

    def _order(self) -> list[str]:
        return fair_order(self.store.waiting(), self._served)

    def succeeded(self, job_id: str, result: dict[str, Any], outputs: Sequence[FileEntry]) -> JobRecord:
        """It is done; a cancellation that came later than the result does not count."""
        return self.store.succeed(job_id, result, outputs)

    def failed(self, job_id: str, error: ErrorInfo) -> JobRecord:
        """It cannot be done, and trying again would not help."""
        return self.store.change_state(job_id, FAILED, error)

    def stopped(self, job_id: str) -> JobRecord:
        """Its worker stopped because it was told to."""
        if self.store.job(job_id).cancel_requested:
            return self.store.change_state(job_id, CANCELLED, CANCELLED_ERROR)
        return self.interrupted(job_id)

    def interrupted(self, job_id: str) -> JobRecord:
        """The service stopped or died under it: back into the queue, unless it was to be cancelled."""
        if self.store.job(job_id).cancel_requested:
            return self.store.change_state(job_id, CANCELLED, CANCELLED_ERROR)
        return self.store.enqueue(job_id)

    def crashed(self, job_id: str, error: ErrorInfo) -> JobRecord:
        """Its worker died. Back into the queue; to be cancelled: cancelled; once too often at one place: failed.

        A job that got further than at its last crash is not poison: something else kills its workers.
        """
        record = self.store.job(job_id)
        if record.cancel_requested:
            return self.store.change_state(job_id, CANCELLED, CANCELLED_ERROR)
        got_further = record.fraction >= record.crash_fraction + LEAST_ADVANCE
        crashes = 1 if got_further else record.crashes + 1
        place: dict[str, Any] = {"crashes": crashes, "crash_fraction": max(record.fraction, record.crash_fraction)}
        self.store.log(job_id, "error", f"Attempt {record.attempt}: {error.message}")
        if crashes < self.max_crashes:
            return self.store.enqueue(job_id, **place)
        poison = ErrorInfo(
            "JOB_POISON", f"The job was given up after {crashes} crashes. The last one: {error.message}", error.hint,
            "later", error.detail,
        )  # fmt: skip
        return self.store.change_state(job_id, FAILED, poison, **place)
