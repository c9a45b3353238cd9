# SPDX-License-Identifier: Apache-2.0
"""Every message of the protocol DD/1 as a typed class. The codec is codec.py, the page docs/formats/protocol.md."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
from attrs import validators

from .digests import is_digest
from .service_errors import ErrorInfo

PROTOCOL = b"DD/1"
MINOR = 0

CREATED, UPLOADING, QUEUED, RUNNING = "created", "uploading", "queued", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
STATES = (CREATED, UPLOADING, QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED)
FINAL_STATES = (SUCCEEDED, FAILED, CANCELLED)


def _digest(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    if not is_digest(value):
        raise ValueError(f"{attribute.name} is no digest")


def _text(pattern: str) -> Any:
    return validators.matches_re(re.compile(pattern + r"\Z"))


def _payload(kind: str, **options: Any) -> Any:
    """A field that travels as the message's payload frame, as it is ("bytes") or as a JSON document ("json")."""
    return attrs.field(metadata={"payload": kind}, **options)


_not_negative = [validators.ge(0)]
_job_id = [_text(r"[A-Za-z0-9_-]{1,64}")]
_optional_fraction = validators.optional([validators.ge(0.0), validators.le(1.0)])


# -- parts of messages ------------------------------------------------------------------------------------------------


@attrs.frozen
class FileEntry:
    """A file of a job: its place in the job's folder ("/" between parts), its size in bytes, its content's digest."""

    path: str
    size: int = attrs.field(validator=_not_negative)
    digest: str = attrs.field(validator=_digest)


@attrs.frozen
class JobSpec:
    """What a job is to do, and on which files."""

    parameters: dict[str, Any]
    files: list[FileEntry]


@attrs.frozen
class MissingFile:
    """A content that the server lacks; it holds the first `have` bytes already, verified."""

    digest: str = attrs.field(validator=_digest)
    size: int = attrs.field(validator=_not_negative)
    have: int = attrs.field(validator=_not_negative)


@attrs.frozen
class Limits:
    """What the server takes: bytes of a chunk, files of a job, bytes of one file."""

    chunk: int = attrs.field(validator=validators.ge(1))
    files: int = attrs.field(validator=validators.ge(1))
    file_size: int = attrs.field(validator=validators.ge(1))


@attrs.frozen
class JobInfo:
    """A job as the server sees it. Times are Unix seconds of the server's clock, eta_s seconds or None if unknown."""

    job_id: str = attrs.field(validator=_job_id)
    kind: str
    state: str = attrs.field(validator=validators.in_(STATES))
    attempt: int = attrs.field(validator=_not_negative)
    created_at: float
    updated_at: float
    stage: str = ""
    fraction: float = attrs.field(default=0.0, validator=[validators.ge(0.0), validators.le(1.0)])
    message: str = ""
    eta_s: float | None = None
    position: int | None = None  # 0 = next, of a queued job
    error: ErrorInfo | None = None

    @property
    def is_final(self) -> bool:
        """True if nothing more will happen to the job by itself."""
        return self.state in FINAL_STATES


# -- session ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Hello:
    """First message of each connection."""

    TYPE: ClassVar[str] = "hello"
    role: str = attrs.field(validator=validators.in_(("control", "data")))
    client: str = ""
    minor: int = attrs.field(default=MINOR, validator=_not_negative)
    features: list[str] = attrs.field(factory=list)


@attrs.frozen
class Welcome:
    """Answer to hello. `server_id` is new at each start of the server.

    `credit` is how many bytes of chunks may be on their way on this connection.
    """

    TYPE: ClassVar[str] = "welcome"
    server_id: str
    limits: Limits
    credit: int = attrs.field(validator=_not_negative)
    minor: int = attrs.field(default=MINOR, validator=_not_negative)
    features: list[str] = attrs.field(factory=list)


@attrs.frozen
class Ping:
    """Are you there?"""

    TYPE: ClassVar[str] = "ping"


@attrs.frozen
class Pong:
    """I am here."""

    TYPE: ClassVar[str] = "pong"


@attrs.frozen
class Error:
    """The request that `re` names was refused."""

    TYPE: ClassVar[str] = "error"
    error: ErrorInfo


# -- jobs -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class JobCreate:
    """Announce a job. The same id with the same spec gives the same answer again, with another spec JOB_CONFLICT."""

    TYPE: ClassVar[str] = "job.create"
    job_id: str = attrs.field(validator=_job_id)
    kind: str = attrs.field(validator=_text(r"[A-Za-z0-9_.-]{1,64}"))
    spec: JobSpec = _payload("json")


@attrs.frozen
class JobCreated:
    """The job is known; these contents are still to be sent."""

    TYPE: ClassVar[str] = "job.created"
    job_id: str = attrs.field(validator=_job_id)
    state: str = attrs.field(validator=validators.in_(STATES))
    missing: list[MissingFile] = _payload("json")


@attrs.frozen
class JobCommit:
    """All files are there: put the job into the queue."""

    TYPE: ClassVar[str] = "job.commit"
    job_id: str = attrs.field(validator=_job_id)


@attrs.frozen
class JobGet:
    """Tell me about a job."""

    TYPE: ClassVar[str] = "job.get"
    job_id: str = attrs.field(validator=_job_id)


@attrs.frozen
class JobCancel:
    """Stop a job. A job that has ended stays as it is."""

    TYPE: ClassVar[str] = "job.cancel"
    job_id: str = attrs.field(validator=_job_id)


@attrs.frozen
class JobRetry:
    """Take a failed or cancelled job up again, from its last checkpoint; then commit it."""

    TYPE: ClassVar[str] = "job.retry"
    job_id: str = attrs.field(validator=_job_id)


@attrs.frozen
class JobState:
    """Answer to job.commit, get, cancel, retry and watch. `result` is what the job returned, once it succeeded."""

    TYPE: ClassVar[str] = "job.state"
    job: JobInfo
    result: dict[str, Any] | None = _payload("json", default=None)


@attrs.frozen
class JobList:
    """My jobs, newest first; `after` is the `next` of the page before."""

    TYPE: ClassVar[str] = "job.list"
    limit: int = attrs.field(default=100, validator=[validators.ge(1), validators.le(1000)])
    after: int | None = None


@attrs.frozen
class JobPage:
    """Some jobs; `next` is None on the last page."""

    TYPE: ClassVar[str] = "job.page"
    next: int | None = None
    jobs: list[JobInfo] = _payload("json", factory=list)


@attrs.frozen
class JobFiles:
    """Which files did the job produce?"""

    TYPE: ClassVar[str] = "job.files"
    job_id: str = attrs.field(validator=_job_id)


@attrs.frozen
class JobFilesPage:
    """The files that a succeeded job produced."""

    TYPE: ClassVar[str] = "job.files.page"
    job_id: str = attrs.field(validator=_job_id)
    files: list[FileEntry] = _payload("json", factory=list)


@attrs.frozen
class JobWatch:
    """Send me the job's events with a sequence number above `after_seq`, old ones first."""

    TYPE: ClassVar[str] = "job.watch"
    job_id: str = attrs.field(validator=_job_id)
    after_seq: int = attrs.field(default=0, validator=_not_negative)


@attrs.frozen
class JobUnwatch:
    """No more events of this job, please."""

    TYPE: ClassVar[str] = "job.unwatch"
    job_id: str = attrs.field(validator=_job_id)


@attrs.frozen
class Event:
    """Something happened to a job. `seq` grows within a job; numbers of superseded progress events are left out.

    kind "state": state, attempt, error. kind "progress": stage, fraction (of the whole job), message, eta_s.
    kind "log": level, message.
    """

    TYPE: ClassVar[str] = "event"
    job_id: str = attrs.field(validator=_job_id)
    seq: int = attrs.field(validator=validators.ge(1))
    at: float
    kind: str = attrs.field(validator=validators.in_(("state", "progress", "log")))
    state: str | None = attrs.field(default=None, validator=validators.optional(validators.in_(STATES)))
    attempt: int | None = None
    stage: str | None = None
    fraction: float | None = attrs.field(default=None, validator=_optional_fraction)
    message: str | None = None
    eta_s: float | None = None
    level: str | None = None
    error: ErrorInfo | None = None


@attrs.frozen
class EventAck:
    """I have the events of this job up to `seq`. The server has at most 64 unacknowledged ones on their way."""

    TYPE: ClassVar[str] = "event.ack"
    job_id: str = attrs.field(validator=_job_id)
    seq: int = attrs.field(validator=_not_negative)


# -- files ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class PutChunk:
    """Bytes `offset ..` of a content that job.created called missing; `chunk_digest` is theirs."""

    TYPE: ClassVar[str] = "put.chunk"
    digest: str = attrs.field(validator=_digest)
    size: int = attrs.field(validator=_not_negative)
    offset: int = attrs.field(validator=_not_negative)
    chunk_digest: str = attrs.field(validator=_digest)
    data: bytes = _payload("bytes")


@attrs.frozen
class PutAck:
    """Answer to a chunk: the server has the first `have` bytes, all if `stored`; `credit` more bytes may be sent."""

    TYPE: ClassVar[str] = "put.ack"
    digest: str = attrs.field(validator=_digest)
    have: int = attrs.field(validator=_not_negative)
    credit: int = attrs.field(validator=_not_negative)
    stored: bool


@attrs.frozen
class GetChunk:
    """Send me bytes of a job's result. Each request is the credit for its answer: the server never sends unasked."""

    TYPE: ClassVar[str] = "get.chunk"
    job_id: str = attrs.field(validator=_job_id)
    path: str
    offset: int = attrs.field(validator=_not_negative)
    length: int = attrs.field(validator=validators.ge(1))


@attrs.frozen
class GetData:
    """Answer to get.chunk."""

    TYPE: ClassVar[str] = "get.data"
    job_id: str = attrs.field(validator=_job_id)
    path: str
    offset: int = attrs.field(validator=_not_negative)
    chunk_digest: str = attrs.field(validator=_digest)
    data: bytes = _payload("bytes")


# -- server -----------------------------------------------------------------------------------------------------------


@attrs.frozen
class ServerStats:
    """How is the server?"""

    TYPE: ClassVar[str] = "server.stats"


@attrs.frozen
class Stats:
    """Answer to server.stats: jobs counted by state, seconds since the start, the server's process id."""

    TYPE: ClassVar[str] = "stats"
    server_id: str
    pid: int
    uptime_s: float
    jobs: dict[str, int]


@attrs.frozen
class ServerStop:
    """Stop gracefully: running jobs go back into the queue with their checkpoints. Answered by pong."""

    TYPE: ClassVar[str] = "server.stop"


Message = (
    Hello | Welcome | Ping | Pong | Error | ServerStats | Stats | ServerStop
    | JobCreate | JobCreated | JobCommit | JobGet | JobCancel | JobRetry | JobState
    | JobList | JobPage | JobFiles | JobFilesPage | JobWatch | JobUnwatch | Event | EventAck
    | PutChunk | PutAck | GetChunk | GetData
)  # fmt: skip
MESSAGES: Mapping[str, Any] = {kind.TYPE: kind for kind in Message.__args__}


@attrs.frozen
class Envelope:
    """A message with its own id and, if it answers, the id of the request."""

    message: Message
    id: str
    re: str = ""
