# SPDX-License-Identifier: Apache-2.0
"""Every message of the protocol DD/2 as a typed class. The codec is codec.py, the page docs/formats/protocol.md.

Those of a session and of files are in here, those about jobs in job_messages.py, those about the server and its devices
in server_messages.py; all of them can be had from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
from attrs import validators

from .job_messages import (  # noqa: F401 (whoever speaks of jobs has them from here)
    CANCELLED,
    CREATED,
    FAILED,
    FINAL_STATES,
    MAX_PREVIEW,
    PREVIEW_EDGE,
    QUEUED,
    RUNNING,
    STATES,
    SUCCEEDED,
    UPLOADING,
    Event,
    EventAck,
    FileEntry,
    JobCancel,
    JobCommit,
    JobCreate,
    JobCreated,
    JobDelete,
    JobFiles,
    JobFilesPage,
    JobGet,
    JobInfo,
    JobList,
    JobPage,
    JobPreview,
    JobPriority,
    JobRetry,
    JobSpec,
    JobState,
    JobUnwatch,
    JobWatch,
    MissingFile,
    Preview,
    PreviewAck,
)
from .message_fields import JOB_ID, NOT_NEGATIVE, check_digest, payload
from .server_messages import (
    DeviceList,
    DevicePage,
    DeviceRename,
    DeviceRevoke,
    GcReport,
    PairAsk,
    PairClose,
    PairDone,
    PairOffer,
    PairOpen,
    ServerGc,
    ServerStats,
    ServerStop,
    Stats,
)
from .service_errors import ErrorInfo

PROTOCOL = b"DD/2"
MINOR = 0


# -- session ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Limits:
    """What the server takes: bytes of a chunk, files of a job, bytes of one file."""

    chunk: int = attrs.field(validator=validators.ge(1))
    files: int = attrs.field(validator=validators.ge(1))
    file_size: int = attrs.field(validator=validators.ge(1))


@attrs.frozen
class Hello:
    """First message of each connection."""

    TYPE: ClassVar[str] = "hello"
    role: str = attrs.field(validator=validators.in_(("control", "data")))
    client: str = ""
    minor: int = attrs.field(default=MINOR, validator=NOT_NEGATIVE)
    features: list[str] = attrs.field(factory=list)


@attrs.frozen
class Welcome:
    """Answer to hello. `server_id` is new at each start of the server.

    `credit` is how many bytes of chunks may be on their way on this connection.
    """

    TYPE: ClassVar[str] = "welcome"
    server_id: str
    limits: Limits
    credit: int = attrs.field(validator=NOT_NEGATIVE)
    minor: int = attrs.field(default=MINOR, validator=NOT_NEGATIVE)
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


# -- files ------------------------------------------------------------------------------------------------------------


@attrs.frozen
class PutChunk:
    """Bytes `offset ..` of a content that job.created called missing; `chunk_digest` is theirs."""

    TYPE: ClassVar[str] = "put.chunk"
    digest: str = attrs.field(validator=check_digest)
    size: int = attrs.field(validator=NOT_NEGATIVE)
    offset: int = attrs.field(validator=NOT_NEGATIVE)
    chunk_digest: str = attrs.field(validator=check_digest)
    data: bytes = payload("bytes")


@attrs.frozen
class PutAck:
    """Answer to a chunk: the server has the first `have` bytes, all if `stored`; `credit` more bytes may be sent."""

    TYPE: ClassVar[str] = "put.ack"
    digest: str = attrs.field(validator=check_digest)
    have: int = attrs.field(validator=NOT_NEGATIVE)
    credit: int = attrs.field(validator=NOT_NEGATIVE)
    stored: bool


@attrs.frozen
class GetChunk:
    """Send me bytes of a job's result. Each request is the credit for its answer: the server never sends unasked."""

    TYPE: ClassVar[str] = "get.chunk"
    job_id: str = attrs.field(validator=JOB_ID)
    path: str
    offset: int = attrs.field(validator=NOT_NEGATIVE)
    length: int = attrs.field(validator=validators.ge(1))


@attrs.frozen
class GetData:
    """Answer to get.chunk."""

    TYPE: ClassVar[str] = "get.data"
    job_id: str = attrs.field(validator=JOB_ID)
    path: str
    offset: int = attrs.field(validator=NOT_NEGATIVE)
    chunk_digest: str = attrs.field(validator=check_digest)
    data: bytes = payload("bytes")


Message = (
    Hello | Welcome | Ping | Pong | Error | ServerStats | Stats | ServerGc | GcReport | ServerStop
    | JobCreate | JobCreated | JobCommit | JobGet | JobCancel | JobRetry | JobPriority | JobDelete | JobState
    | JobList | JobPage | JobFiles | JobFilesPage | JobWatch | JobUnwatch | Event | EventAck
    | JobPreview | Preview | PreviewAck | PutChunk | PutAck | GetChunk | GetData
    | PairOpen | PairOffer | PairClose | PairAsk | PairDone | DeviceList | DevicePage | DeviceRename | DeviceRevoke
)
MESSAGES: Mapping[str, Any] = {kind.TYPE: kind for kind in Message.__args__}


@attrs.frozen
class Envelope:
    """A message with its own id and, if it answers, the id of the request."""

    message: Message
    id: str
    re: str = ""
