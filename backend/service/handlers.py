# SPDX-License-Identifier: Apache-2.0
"""What the service answers to each message. Computes nothing, decodes nothing but the protocol."""

from __future__ import annotations

import errno
import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from interchange import messages as wire
from interchange.digests import digest_bytes
from interchange.errors import Cancelled, InputError
from interchange.paths import check_distinct, check_relative_path, join_inside
from interchange.service_errors import ErrorInfo, ServiceError

from .blobs import ContentStore
from .flushing import Later
from .previews import read_preview
from .queue import JobQueue
from .retention import Retention
from .settings import Settings
from .store import JobRecord
from .watchers import Watchers

if TYPE_CHECKING:
    from .administration import Administration

LOG = logging.getLogger("digidouble.service")
FEATURES = ["resume", "replay", "preview", "tidy"]
PEER_IDLE_S = 120.0


@attrs.define
class Peer:
    """A connection. `owner` is its public key, `role` what it said in hello, `credit` what it may still send.

    Each hello begins with new credit; `hellos` counts them. `lost`: it takes nothing any more; what it sent before is
    still on its way through our queues.
    """

    owner: str
    heard: float
    role: str = ""
    credit: int = 0
    lost: bool = False
    hellos: int = 0


@attrs.frozen
class Control:
    """What handlers may ask of the server itself."""

    stop_worker: Callable[[str], None]
    stop_server: Callable[[], None]
    stats: Callable[[], wire.Stats]
    retention: Retention
    shortage: Callable[[], str] = lambda: ""  # why no job starts


class Handlers:
    """Requests in, answers out; state lives in the queue, the content store and the watchers."""

    def __init__(
        self, settings: Settings, queue: JobQueue, contents: ContentStore, watchers: Watchers, server_id: str,
        control: Control, clock: Callable[[], float], administration: Administration | None = None,
    ) -> None:  # fmt: skip
        self._administration = administration
        self._settings, self._queue, self._contents, self._watchers = settings, queue, contents, watchers
        self._server_id, self._control, self._clock = server_id, control, clock
        self._peers: dict[bytes, Peer] = {}
        self._table: Mapping[type, Callable[[bytes, Peer, Any], wire.Message | Later | None]] = {
            wire.Hello: self._hello, wire.Ping: self._ping, wire.ServerStats: self._stats, wire.ServerStop: self._stop,
            wire.JobCreate: self._create, wire.JobCommit: self._commit, wire.JobGet: self._get,
            wire.JobCancel: self._cancel, wire.JobRetry: self._retry, wire.JobList: self._list,
            wire.JobPriority: self._prioritise, wire.JobDelete: self._delete, wire.ServerGc: self._collect,
            wire.JobFiles: self._files, wire.JobWatch: self._watch, wire.JobUnwatch: self._unwatch,
            wire.EventAck: self._acknowledge, wire.JobPreview: self._preview,
            wire.PreviewAck: self._acknowledge_preview, wire.PutChunk: self._put, wire.GetChunk: self._send_chunk,
        }  # fmt: skip

    def handle(self, address: bytes, owner: str, message: wire.Message) -> wire.Message | Later | None:
        """The answer to a message of a peer, None if it needs none, or one that is still being made. Raises nothing."""
        peer = self._peers.setdefault(address, Peer(owner, 0.0))
        if peer.owner != owner:  # a name that somebody else had before
            self.forget(address)
            peer = self._peers[address] = Peer(owner, 0.0)
        peer.heard = self._clock()
        handler = self._table.get(type(message))
        try:
            if self._administration is not None and type(message) in self._administration.table:
                handler = self._administer
            if handler is None:
                raise ServiceError("PROTO_UNKNOWN_TYPE", f"{message.TYPE} is not for the service.")
            if not peer.role and not isinstance(message, wire.Hello):
                raise ServiceError("PROTO_HELLO", "The service was started again.", "Say hello first.", "same")
            if self._administration is not None:
                self._administration.check(message, owner)
            return handler(address, peer, message)
        except Exception as error:
            return wire.Error(explain(error))

    def _administer(self, _: bytes, __: Peer, message: Any) -> wire.Message:
        assert self._administration is not None
        return self._administration.table[type(message)](message)

    def addresses(self, owner: str) -> list[bytes]:
        """The connections that a key has."""
        return [address for address, peer in self._peers.items() if peer.owner == owner]

    def knows(self, address: bytes) -> bool:
        """True for a connection that is not gone, as far as we know."""
        return address in self._peers

    def forget(self, address: bytes) -> None:
        """The connection is gone."""
        self._peers.pop(address, None)
        self._watchers.forget(address)

    def lose(self, address: bytes) -> None:
        """The connection has broken. Chunks that had arrived are taken all the same: they need not be sent again."""
        self._watchers.forget(address)
        peer = self._peers.get(address)
        if peer is not None and peer.role == "data":
            peer.lost = True
        else:
            self.forget(address)

    def forget_idle(self) -> None:
        """ROUTER sockets do not say who has left; credit of those who are silent is given to others."""
        limit = self._clock() - PEER_IDLE_S
        for address in [a for a, peer in self._peers.items() if peer.role == "data" and peer.heard < limit]:
            del self._peers[address]

    # -- session ------------------------------------------------------------------------------------------------------

    def _hello(self, address: bytes, peer: Peer, message: wire.Hello) -> wire.Message:
        settings = self._settings
        peer.role = message.role
        peer.hellos += 1
        peer.credit = 0
        if message.role == "data":
            free = settings.total_window - sum(other.credit for other in self._peers.values() if not other.lost)
            peer.credit = max(settings.chunk, min(settings.window, free))
        limits = wire.Limits(settings.chunk, settings.max_files, settings.max_file_size)
        features = [name for name in FEATURES if name in message.features]
        return wire.Welcome(self._server_id, limits, peer.credit, features=features)

    def _ping(self, *_: Any) -> wire.Message:
        return wire.Pong()

    def _stats(self, _: bytes, peer: Peer, __: wire.ServerStats) -> wire.Message:
        used = self._queue.store.holdings(peer.owner).size
        return attrs.evolve(self._control.stats(), used=used, quota=self._settings.quota_size)

    def _stop(self, *_: Any) -> wire.Message:
        self._control.stop_server()
        return wire.Pong()

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def _create(self, _: bytes, peer: Peer, message: wire.JobCreate) -> wire.Message:
        check_relative_path(message.job_id)  # it becomes a folder: Windows cannot store all of them
        self._check_files(message.spec.files)
        record = self._queue.create(peer.owner, message)
        missing: list[wire.MissingFile] = []
        if record.state in (wire.CREATED, wire.UPLOADING):
            missing = self._contents.announce(message.spec.files)
            record = self._queue.uploading(record) if missing else record
        return wire.JobCreated(record.job_id, record.state, missing)

    def _check_files(self, files: list[wire.FileEntry]) -> None:
        settings = self._settings
        if len(files) > settings.max_files:
            text = f"The job has {len(files)} files, the service takes {settings.max_files}."
            raise InputError(text, "Leave out what the job does not need.", "INPUT_MANIFEST")
        check_distinct(check_relative_path(file.path) for file in files)
        for file in files:
            if file.size > settings.max_file_size:
                text = f"{file.path} has {file.size} bytes, the service takes {settings.max_file_size}."
                raise InputError(text, "Make it smaller.", "INPUT_MANIFEST")
        self._contents.check(files)

    def _commit(self, _: bytes, peer: Peer, message: wire.JobCommit) -> wire.Message:
        record = self._queue.find(message.job_id, peer.owner)
        if record.state in (wire.CREATED, wire.UPLOADING):
            missing = self._contents.announce(self._queue.store.files(record, output=False))
            if missing:
                text = f"{len(missing)} files of the job have not arrived, the first is {missing[0].digest[:16]}."
                raise ServiceError("JOB_INCOMPLETE", text, "Send them first.", "later")
        return self._state(self._queue.commit(record))

    def _get(self, _: bytes, peer: Peer, message: wire.JobGet) -> wire.Message:
        return self._state(self._find(message.job_id, peer))

    def _cancel(self, _: bytes, peer: Peer, message: wire.JobCancel) -> wire.Message:
        record = self._queue.cancel(self._find(message.job_id, peer))
        if record.state == wire.RUNNING:
            self._control.stop_worker(record.job_id)
        return self._state(record)

    def _retry(self, _: bytes, peer: Peer, message: wire.JobRetry) -> wire.Message:
        return self._state(self._queue.retry(self._queue.find(message.job_id, peer.owner)))

    def _prioritise(self, _: bytes, peer: Peer, message: wire.JobPriority) -> wire.Message:
        return self._state(self._queue.prioritise(self._find(message.job_id, peer), message.priority))

    def _delete(self, _: bytes, peer: Peer, message: wire.JobDelete) -> wire.Message:
        """To say that there is no such job would be no answer to the one who asks again because no answer came."""
        record = self._queue.store.find(message.job_id)
        if record is not None and record.owner == peer.owner:
            self._queue.check_deletable(record)
            self._control.retention.delete(record)
        return wire.Pong()

    def _collect(self, _: bytes, __: Peer, message: wire.ServerGc) -> wire.Message:
        plan = self._control.retention.thorough(message.older_s)
        if not message.dry_run:
            self._control.retention.begin(plan)
        return plan.report()

    def _list(self, _: bytes, peer: Peer, message: wire.JobList) -> wire.Message:
        everybody = self._administration if message.everybody else None
        records = self._queue.store.page(None if everybody else peer.owner, message.limit, message.after)
        following = records[-1].number if len(records) == message.limit else None
        places = self._queue.positions()
        return wire.JobPage(following, [
            self._info(record, places.get(record.job_id), everybody.name_of(record.owner) if everybody else None)
            for record in records
        ])  # fmt: skip

    def _find(self, job_id: str, peer: Peer) -> JobRecord:
        """The peer's job, or anybody's for who looks after the service: to see and to stop, not to fetch."""
        record = self._queue.store.find(job_id)
        if record is not None and self._administration is not None and self._administration.looks_after(peer.owner):
            return record
        return self._queue.find(job_id, peer.owner)

    def _files(self, _: bytes, peer: Peer, message: wire.JobFiles) -> wire.Message:
        record = self._succeeded(message.job_id, peer.owner)
        return wire.JobFilesPage(record.job_id, self._queue.store.files(record, output=True))

    def _state(self, record: JobRecord) -> wire.JobState:
        result = record.result if record.state == wire.SUCCEEDED else None
        place = self._queue.positions().get(record.job_id) if record.state == wire.QUEUED else None
        return wire.JobState(self._info(record, place), result)

    def _info(self, record: JobRecord, place: int | None, device: str | None = None) -> wire.JobInfo:
        """With what a queued job waits for, besides its turn."""
        info, shortage = record.info(place, device), self._control.shortage()
        return attrs.evolve(info, message=shortage) if shortage and record.state == wire.QUEUED else info

    def _succeeded(self, job_id: str, owner: str) -> JobRecord:
        record = self._queue.find(job_id, owner)
        if record.state != wire.SUCCEEDED:
            raise ServiceError("JOB_STATE", f"Job {job_id} is {record.state}: it has no results.", "", "later")
        return record

    # -- events -------------------------------------------------------------------------------------------------------

    def _watch(self, address: bytes, peer: Peer, message: wire.JobWatch) -> wire.Message:
        record = self._find(message.job_id, peer)
        self._watchers.watch(address, record.job_id, message.after_seq, message.previews)
        return self._state(record)

    def _unwatch(self, address: bytes, _: Peer, message: wire.JobUnwatch) -> None:
        self._watchers.unwatch(address, message.job_id)

    def _acknowledge(self, address: bytes, _: Peer, message: wire.EventAck) -> None:
        self._watchers.acknowledge(address, message.job_id, message.seq)

    def _preview(self, _: bytes, peer: Peer, message: wire.JobPreview) -> wire.Message:
        record = self._find(message.job_id, peer)
        newest = read_preview(self._settings.job_folder(record.job_id).preview, record.job_id)
        return newest if newest.number > message.after else wire.Preview(record.job_id)

    def _acknowledge_preview(self, address: bytes, _: Peer, message: wire.PreviewAck) -> None:
        self._watchers.acknowledge_preview(address, message.job_id, message.number)

    # -- files --------------------------------------------------------------------------------------------------------

    def _put(self, _: bytes, peer: Peer, message: wire.PutChunk) -> wire.Message | Later:
        length = len(message.data)
        if peer.role != "data" or length > peer.credit or length > self._settings.chunk:
            raise ServiceError("PROTO_CREDIT", "More was sent than the service had allowed.")
        peer.credit -= length
        answer = self._contents.receive(message)
        if not isinstance(answer, Later):
            peer.credit += length  # given back once the bytes are verified and written
            return answer

        hellos = peer.hellos

        def take() -> wire.Message:
            stored = answer.take()
            if peer.hellos == hellos:
                peer.credit += length
            return stored

        return Later(answer.is_due, take)

    def _send_chunk(self, _: bytes, peer: Peer, message: wire.GetChunk) -> wire.Message:
        record = self._succeeded(message.job_id, peer.owner)
        entry = self._queue.store.output(record, message.path)
        if entry is None or message.offset + message.length > entry.size or message.length > self._settings.chunk:
            raise InputError(f"Job {record.job_id} has no such piece of {message.path[:200]!r}.", "", "INPUT_PATH")
        path = join_inside(self._settings.job_folder(record.job_id).outputs, entry.path)
        try:
            with open(path, "rb") as file:
                file.seek(message.offset)
                data = file.read(message.length)
        except FileNotFoundError as error:
            text = f"The results of job {record.job_id} have been deleted."
            raise ServiceError("JOB_STATE", text, "Submit it under a new id.") from error
        return wire.GetData(record.job_id, entry.path, message.offset, digest_bytes(data), data)


def explain(error: Exception) -> ErrorInfo:
    """An exception as it goes over the wire; what nobody foresaw is INTERNAL, and stands in the service's log."""
    if isinstance(error, InputError):
        return ErrorInfo(error.code if error.code.startswith("INPUT") else "INPUT", error.message, error.hint)
    if isinstance(error, ServiceError):
        return ErrorInfo(error.code, error.message, error.hint, error.retry)
    if isinstance(error, Cancelled):
        return ErrorInfo("JOB_CANCELLED", "The job was cancelled.")
    if is_disk_full(error):
        hint = "Make room and do the same again; it goes on where it stopped."
        return ErrorInfo("RES_DISK_FULL", "The service's disk is full.", hint, "later")
    LOG.error("request failed", exc_info=error)
    text = f"The service met a fault in its program ({type(error).__name__}: {str(error)[:300]})."
    return ErrorInfo("INTERNAL", text, "Please report it with the service's log.", "later")


def is_disk_full(error: Exception) -> bool:
    """True for a full disk or an exhausted quota, whoever noticed it."""
    if isinstance(error, sqlite3.OperationalError):
        return "full" in str(error)
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
