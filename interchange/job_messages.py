# SPDX-License-Identifier: Apache-2.0
"""Messages about jobs: what they are to do, how they go, what happens to them, what they show. See messages.py."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs
from attrs import validators

from .message_fields import JOB_ID, NOT_NEGATIVE, OPTIONAL_FRACTION, PRIORITY, check_digest, payload, text
from .service_errors import ErrorInfo

MAX_PREVIEW = 256 * 1024
"""Bytes of a preview picture."""
PREVIEW_EDGE = 512
"""Pixels of its longer side."""

CREATED, UPLOADING, QUEUED, RUNNING = "created", "uploading", "queued", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
STATES = (CREATED, UPLOADING, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED)
FINAL_STATES = (SUCCEEDED, FAILED, CANCELLED)


# -- parts of messages ------------------------------------------------------------------------------------------------


@attrs.frozen
class FileEntry:
    """A file of a job: its place in the job's folder ("/" between parts), its size in bytes, its content's digest."""

    path: str
    size: int = attrs.field(validator=NOT_NEGATIVE)
    digest: str = attrs.field(validator=check_digest)


@attrs.frozen
class JobSpec:
    """What a job is to do, and on which files."""

    parameters: dict[str, Any]
    files: list[FileEntry]


@attrs.frozen
class MissingFile:
    """A content that the server lacks; it holds the first `have` bytes already, verified."""

    digest: str = attrs.field(validator=check_digest)
    size: int = attrs.field(validator=NOT_NEGATIVE)
    have: int = attrs.field(validator=NOT_NEGATIVE)


@attrs.frozen
class JobInfo:
    """A job as the server sees it. Times are Unix seconds of the server's clock, eta_s seconds or None if unknown."""

    job_id: str = attrs.field(validator=JOB_ID)
    kind: str
    state: str = attrs.field(validator=validators.in_(STATES))
    attempt: int = attrs.field(validator=NOT_NEGATIVE)
    created_at: float
    updated_at: float
    stage: str = ""
    fraction: float = attrs.field(default=0.0, validator=[validators.ge(0.0), validators.le(1.0)])
    message: str = ""
    eta_s: float | None = None
    position: int | None = None  # 0 = next, of a queued job
    error: ErrorInfo | None = None
    device: str | None = None  # whose it is, in lists of everybody's
    priority: int | None = None

    @property
    def is_final(self) -> bool:
        """True if nothing more will happen to the job by itself."""
        return self.state in FINAL_STATES


# -- jobs -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class JobCreate:
    """Announce a job. The same id with the same spec gives the same answer again, with another spec JOB_CONFLICT."""

    TYPE: ClassVar[str] = "job.create"
    job_id: str = attrs.field(validator=JOB_ID)
    kind: str = attrs.field(validator=text(r"[A-Za-z0-9_.-]{1,64}"))
    spec: JobSpec = payload("json")
    priority: int = attrs.field(default=0, validator=PRIORITY)


@attrs.frozen
class JobCreated:
    """The job is known; these contents are still to be sent."""

    TYPE: ClassVar[str] = "job.created"
    job_id: str = attrs.field(validator=JOB_ID)
    state: str = attrs.field(validator=validators.in_(STATES))
    missing: list[MissingFile] = payload("json")


@attrs.frozen
class JobCommit:
    """All files are there: put the job into the queue."""

    TYPE: ClassVar[str] = "job.commit"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class JobGet:
    """Tell me about a job."""

    TYPE: ClassVar[str] = "job.get"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class JobCancel:
    """Stop a job. A job that has ended stays as it is."""

    TYPE: ClassVar[str] = "job.cancel"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class JobRetry:
    """Take a failed or cancelled job up again, from its last checkpoint; then commit it."""

    TYPE: ClassVar[str] = "job.retry"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class JobPriority:
    """Let a job come before my others with a lower number, or after those with a higher one."""

    TYPE: ClassVar[str] = "job.priority"
    job_id: str = attrs.field(validator=JOB_ID)
    priority: int = attrs.field(validator=PRIORITY)


@attrs.frozen
class JobDelete:
    """Forget a job that has ended, or has not begun, and delete its files. Answered by pong, also if there is none."""

    TYPE: ClassVar[str] = "job.delete"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class JobState:
    """Answer to job.commit, get, cancel, retry, priority and watch.

    `result` is what the job returned, once it succeeded.
    """

    TYPE: ClassVar[str] = "job.state"
    job: JobInfo
    result: dict[str, Any] | None = payload("json", default=None)


@attrs.frozen
class JobList:
    """My jobs, newest first; `after` is the `next` of the page before.

    `everybody`: those of all devices; for the server's own computer.
    """

    TYPE: ClassVar[str] = "job.list"
    limit: int = attrs.field(default=100, validator=[validators.ge(1), validators.le(1000)])
    after: int | None = None
    everybody: bool = False


@attrs.frozen
class JobPage:
    """Some jobs; `next` is None on the last page."""

    TYPE: ClassVar[str] = "job.page"
    next: int | None = None
    jobs: list[JobInfo] = payload("json", factory=list)


@attrs.frozen
class JobFiles:
    """Which files did the job produce?"""

    TYPE: ClassVar[str] = "job.files"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class JobFilesPage:
    """The files that a succeeded job produced."""

    TYPE: ClassVar[str] = "job.files.page"
    job_id: str = attrs.field(validator=JOB_ID)
    files: list[FileEntry] = payload("json", factory=list)


@attrs.frozen
class JobWatch:
    """Send me the job's events with a sequence number above `after_seq`, old ones first.

    `previews`: also its previews with a number above this one; None for none.
    """

    TYPE: ClassVar[str] = "job.watch"
    job_id: str = attrs.field(validator=JOB_ID)
    after_seq: int = attrs.field(default=0, validator=NOT_NEGATIVE)
    previews: int | None = attrs.field(default=None, validator=validators.optional(NOT_NEGATIVE))


@attrs.frozen
class JobUnwatch:
    """No more events of this job, please."""

    TYPE: ClassVar[str] = "job.unwatch"
    job_id: str = attrs.field(validator=JOB_ID)


@attrs.frozen
class Event:
    """Something happened to a job. `seq` grows within a job; numbers of superseded progress events are left out.

    kind "state": state, attempt, error. kind "progress": stage, fraction (of the whole job), message, eta_s.
    kind "log": level, message.
    """

    TYPE: ClassVar[str] = "event"
    job_id: str = attrs.field(validator=JOB_ID)
    seq: int = attrs.field(validator=validators.ge(1))
    at: float
    kind: str = attrs.field(validator=validators.in_(("state", "progress", "log")))
    state: str | None = attrs.field(default=None, validator=validators.optional(validators.in_(STATES)))
    attempt: int | None = None
    stage: str | None = None
    fraction: float | None = attrs.field(default=None, validator=OPTIONAL_FRACTION)
    message: str | None = None
    eta_s: float | None = None
    level: str | None = None
    error: ErrorInfo | None = None


@attrs.frozen
class EventAck:
    """I have the events of this job up to `seq`. The server has at most 64 unacknowledged ones on their way."""

    TYPE: ClassVar[str] = "event.ack"
    job_id: str = attrs.field(validator=JOB_ID)
    seq: int = attrs.field(validator=NOT_NEGATIVE)


# -- previews ---------------------------------------------------------------------------------------------------------


@attrs.frozen
class JobPreview:
    """Send me the job's newest preview, if its number is above `after`."""

    TYPE: ClassVar[str] = "job.preview"
    job_id: str = attrs.field(validator=JOB_ID)
    after: int = attrs.field(default=0, validator=NOT_NEGATIVE)


@attrs.frozen
class Preview:
    """Answer to job.preview, and sent to those that watch with previews: a PNG of what the job is making.

    `number` grows within a job; it is 0, and there are no bytes, in an answer that has nothing (new) to show.
    """

    TYPE: ClassVar[str] = "preview"
    job_id: str = attrs.field(validator=JOB_ID)
    number: int = attrs.field(default=0, validator=NOT_NEGATIVE)
    name: str = ""
    at: float = 0.0
    data: bytes = payload("bytes", default=b"", validator=validators.max_len(MAX_PREVIEW))


@attrs.frozen
class PreviewAck:
    """I have this preview. The server has at most one on its way, and then sends the newest."""

    TYPE: ClassVar[str] = "preview.ack"
    job_id: str = attrs.field(validator=JOB_ID)
    number: int = attrs.field(validator=NOT_NEGATIVE)
