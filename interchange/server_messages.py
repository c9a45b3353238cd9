# SPDX-License-Identifier: Apache-2.0
"""Messages about the server itself: how it is, and which devices may come in. The others are in messages.py."""

from __future__ import annotations

from typing import ClassVar

import attrs
from attrs import validators

from .message_fields import KEY, NAME, NOT_NEGATIVE, PORT, payload

# -- how it is --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Gpu:
    """A graphics card; `memory` is all of its memory in bytes."""

    name: str
    memory: int = attrs.field(validator=NOT_NEGATIVE)


@attrs.frozen
class Machine:
    """What the server computes on; `threads` is how many its processes may use."""

    cpu: str
    threads: int = attrs.field(validator=NOT_NEGATIVE)
    gpus: list[Gpu] = attrs.field(factory=list)


@attrs.frozen
class ServerStats:
    """How is the server?"""

    TYPE: ClassVar[str] = "server.stats"


@attrs.frozen
class Stats:
    """Answer to server.stats. What the server does not know (yet) is left out.

    It looks at the machine and chooses the engine in a process of its own, after the first question: a few seconds.
    """

    TYPE: ClassVar[str] = "stats"
    server_id: str
    pid: int
    uptime_s: float
    jobs: dict[str, int]
    version: str | None = None
    machine: Machine | None = None
    engine: str | None = None
    engine_reason: str | None = None
    slots: int | None = None
    queued: int | None = None
    free_disk: int | None = None
    used: int | None = None
    quota: int | None = None
    memory: int | None = None


@attrs.frozen
class ServerStop:
    """Stop gracefully: running jobs go back into the queue with their checkpoints. Answered by pong."""

    TYPE: ClassVar[str] = "server.stop"


@attrs.frozen
class ServerGc:
    """Delete jobs that ended more than `older_s` ago, uploads nobody goes on with, and files that belong to no job.

    `dry_run`: only say what would be deleted. `older_s` None: as the service is set; if that keeps jobs, none.
    """

    TYPE: ClassVar[str] = "server.gc"
    dry_run: bool = False
    older_s: float | None = attrs.field(default=None, validator=validators.optional(NOT_NEGATIVE))


@attrs.frozen
class GcReport:
    """Answer to server.gc: the jobs, the number of files and folders of no job, the bytes that come free.

    The server deletes them one by one after this answer, and passes over what is needed again meanwhile.
    """

    TYPE: ClassVar[str] = "gc.report"
    size: int = attrs.field(validator=NOT_NEGATIVE)
    others: int = attrs.field(validator=NOT_NEGATIVE)
    jobs: list[str] = payload("json", factory=list)


# -- who may come in --------------------------------------------------------------------------------------------------


@attrs.frozen
class DeviceInfo:
    """A paired device. Times are Unix seconds of the server's clock."""

    key: str = attrs.field(validator=KEY)
    name: str = attrs.field(validator=NAME)
    paired_at: float
    last_seen: float | None = None
    revoked: bool = False


@attrs.frozen
class PairOpen:
    """Let one device in: open a pairing endpoint. One that is open already is closed."""

    TYPE: ClassVar[str] = "pair.open"
    name: str = attrs.field(default="", validator=NAME)


@attrs.frozen
class PairOffer:
    """Answer to pair.open. Who sends `code` to the endpoint within `valid_s` becomes a device of this server.

    `address` is what the server is bound to.
    """

    TYPE: ClassVar[str] = "pair.offer"
    port: int = attrs.field(validator=PORT)
    code: str = attrs.field(repr=False)
    valid_s: float = attrs.field(validator=NOT_NEGATIVE)
    address: str = ""


@attrs.frozen
class PairClose:
    """Close the pairing endpoint. Answered by pong."""

    TYPE: ClassVar[str] = "pair.close"


@attrs.frozen
class PairAsk:
    """On a pairing endpoint, the only message there: let me in, this is the code."""

    TYPE: ClassVar[str] = "pair.ask"
    code: str = attrs.field(repr=False, validator=validators.max_len(64))
    name: str = attrs.field(default="", validator=NAME)


@attrs.frozen
class PairDone:
    """Answer to pair.ask: the key of this connection may use the service, which listens at `port` of the same host."""

    TYPE: ClassVar[str] = "pair.done"
    port: int = attrs.field(validator=PORT)
    name: str = attrs.field(default="", validator=NAME)


@attrs.frozen
class DeviceList:
    """Which devices are there?"""

    TYPE: ClassVar[str] = "device.list"


@attrs.frozen
class DevicePage:
    """All devices, oldest first, revoked ones too; `pairing` is true while a pairing endpoint is open."""

    TYPE: ClassVar[str] = "device.page"
    pairing: bool = False
    devices: list[DeviceInfo] = payload("json", factory=list)


@attrs.frozen
class DeviceRename:
    """Call a device something else. Answered by device.page."""

    TYPE: ClassVar[str] = "device.rename"
    key: str = attrs.field(validator=KEY)
    name: str = attrs.field(validator=[*NAME, validators.min_len(1)])


@attrs.frozen
class DeviceRevoke:
    """Let a device in no more, not even on the connections that it has. Answered by device.page."""

    TYPE: ClassVar[str] = "device.revoke"
    key: str = attrs.field(validator=KEY)
