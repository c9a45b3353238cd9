# SPDX-License-Identifier: Apache-2.0
"""The server: one ROUTER socket, one loop, worker processes beside it. It never computes."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from interchange.codec import MAX_PAYLOAD, encode
from interchange.connection import Connection
from interchange.errors import InputError
from interchange.local_server import LOCK_FILE
from interchange.locks import FileLock
from interchange.messages import QUEUED, Error, Preview, Stats
from interchange.service_errors import ErrorInfo, ProtocolError

from .administration import Administration
from .blobs import ContentStore
from .crew import Crew
from .devices import Devices
from .flushing import Flushing
from .gpus import Lanes, find_gpus
from .handlers import Control, Handlers, is_disk_full
from .keys import ZAP_DOMAIN, Gatekeeper, Keys
from .machine import MachineProbe, own_memory, version
from .old_digests import renew_digests
from .pairing import PairingDesk
from .previews import read_preview
from .queue import JobQueue
from .quota import Quota
from .reception import Deferred, Outgoing, Reception
from .reserve import Reserve
from .retention import Retention
from .room import Room
from .settings import DEFAULT_RUNNER, Settings
from .status import Pulse, StatusServer
from .store import JobStore
from .supervisor import LINES, parse_line
from .watchers import Watchers

LOG = logging.getLogger("digidouble.service")
BATCH = 64  # messages taken off the socket before workers and watchers have their turn
IDLE_S, BUSY_S = 0.5, 0.1
HOUSEKEEPING_S = 30.0
TIDY_S = 3600.0
LOCK_WAIT_S = 10.0  # a service that is being stopped needs so long to put its jobs back


class Server:
    """Owns the sockets. Made, run and closed by one thread; `stop` may be called from any."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        """Bind, write the connection file, take up the jobs of before. Raises InputError."""
        self.settings, self.clock = settings, clock
        self.server_id = uuid.uuid4().hex
        self._started, self._version, self._probe = clock(), version(), MachineProbe(clock)
        self._stopping, self._tidy_at = False, clock()
        settings.state.mkdir(parents=True, exist_ok=True)
        if os.name == "posix":
            settings.state.chmod(0o700)
        settings.store.mkdir(exist_ok=True)
        self._lock = FileLock(settings.state / LOCK_FILE)
        if not self._lock.acquire(LOCK_WAIT_S):
            raise InputError(f"A service runs in {settings.state} already.", "Stop it, or choose another folder.")
        self._reserve = Reserve(settings.reserve)
        self._reserve.release()  # taking up the jobs of before needs room
        keys = Keys.load_or_create(settings.keys_file)
        self.store = JobStore(settings.database)
        renew_digests(self.store, settings)
        self.queue = JobQueue(self.store, settings.max_crashes, Quota(settings.quota_size, settings.quota_waiting))
        self.queue.recover()
        self._reserve.fill()
        self._flushing = Flushing()
        room = Room(settings.store, settings.keep_free)
        self.contents = ContentStore(settings.store, self._flushing, room)
        self.contents.sweep(settings.abandoned_upload_s)
        self.watchers = Watchers()
        self.store.on_event, self.store.on_deleted = self.watchers.stir, self.watchers.forget_job
        self._context: zmq.Context[Any] = zmq.Context()
        self._gate = Gatekeeper(self._context)
        self.devices = Devices(self.store.database, keys.client_public)
        self._gate.judges[ZAP_DOMAIN] = self.devices.standing
        self._router = self._context.socket(zmq.ROUTER)
        self._lines = self._context.socket(zmq.PULL)
        self._lines.bind(LINES)
        lanes = Lanes(find_gpus(os.environ))
        self.crew = Crew(self._context, settings, self.queue, self._reserve, room, lanes, clock)
        self.crew.on_preview = self.watchers.show
        self.connection = self._bind(keys)
        self._desk = PairingDesk(
            self._context, keys, self._gate, self.devices, self._bind_at, port_of(self.connection.endpoint),
            settings, clock,
        )  # fmt: skip
        self._retention = Retention(settings, self.store, self.contents, self.crew.holds)
        control = Control(self.crew.stop, self.stop, self.stats, self._retention, lambda: self.crew.shortage)
        administration = Administration(self.devices, self._desk, self._expel)
        self._handlers = Handlers(
            settings, self.queue, self.contents, self.watchers, self.server_id, control, clock, administration
        )
        self._pulse = Pulse(clock(), clock())
        self._reception = Reception(
            self._handlers, self.devices, self.watchers, self.store.events, self._newest_preview, self._pulse.count
        )
        self._status: StatusServer | None = None
        if settings.status_port is not None:
            self._status = StatusServer(settings, settings.status_port, self._pulse, self.queue.positions_in, clock)
        settings.port_file.write_text(f"{port_of(self.connection.endpoint)}\n", encoding="ascii")
        self.connection.save(settings.connection_file)

    def _bind(self, keys: Keys) -> Connection:
        options = {
            zmq.LINGER: 500, zmq.MAXMSGSIZE: MAX_PAYLOAD, zmq.ROUTER_MANDATORY: 1, zmq.HANDSHAKE_IVL: 5000,
            zmq.HEARTBEAT_IVL: 2000, zmq.HEARTBEAT_TIMEOUT: 6000, zmq.HEARTBEAT_TTL: 6000, zmq.ZAP_ENFORCE_DOMAIN: 1,
        }  # fmt: skip
        for option, value in options.items():
            self._router.setsockopt(option, value)
        self._secure(keys)
        port = self._bind_port()
        return Connection(
            endpoint_for_own(self.settings.bind, port), keys.server_public, keys.client_public, keys.client_secret,
            self.server_id, os.getpid(),
        )  # fmt: skip

    def _secure(self, keys: Keys) -> None:
        """Encryption and the list of keys, always. (A benchmark measures what it costs.)"""
        self._router.curve_server = True
        self._router.curve_secretkey = keys.server_secret.encode("ascii")
        self._router.curve_publickey = keys.server_public.encode("ascii")
        self._router.zap_domain = ZAP_DOMAIN

    def _bind_port(self) -> int:
        """Bind the wanted port, or the one of the last time, or any."""
        settings = self.settings
        candidates = [settings.port] if settings.port else [_last_port(settings.port_file), 0]
        for port in candidates[:-1]:
            with contextlib.suppress(InputError):
                return self._bind_at(self._router, port)
        return self._bind_at(self._router, candidates[-1])

    def _bind_at(self, socket: zmq.Socket[bytes], port: int) -> int:
        """Bind to the service's address. Returns the port; InputError if that cannot be used."""
        address = self.settings.bind
        try:
            socket.ipv6 = ":" in address
            socket.bind(f"tcp://{f'[{address}]' if ':' in address else address}:{port or '*'}")
        except zmq.ZMQError as error:
            text = f"Port {port} of {address} cannot be used ({error})."
            raise InputError(text, "Choose another port or address.") from error
        return port_of(socket.getsockopt_string(zmq.LAST_ENDPOINT))

    # -- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until `stop`."""
        housekeeping = self.clock() + HOUSEKEEPING_S
        while not self._stopping:
            poller = zmq.Poller()
            for socket in filter(None, (self._gate.socket, self._router, self._lines, self._desk.socket)):
                poller.register(socket, zmq.POLLIN)
            poller.register(self._flushing.bell, zmq.POLLIN)
            wait_s = 0.0 if self._retention.is_busy else BUSY_S if self.crew.is_busy else IDLE_S
            ready = dict(poller.poll(int(1000 * wait_s)))
            self._pulse.beat_at = self.clock()
            if self._gate.socket in ready:
                self._gate.answer()
            if self._lines in ready:
                self._take(self._lines, self._hear_worker)
            if self._router in ready:
                deferred: Deferred = []
                self._take(self._router, partial(self._hear_client, deferred))
                for _, answer in deferred:
                    self._send(answer())
            if self._flushing.bell.fileno() in ready:
                self._flushing.hear()
            if self._desk.socket in ready:
                self._desk.hear()
            self._desk.step()
            self.crew.step()
            self._send_events()
            self._quietly(self._retention.step)
            if self.clock() >= housekeeping:
                housekeeping = self.clock() + HOUSEKEEPING_S
                self._keep_house()

    def _keep_house(self) -> None:
        self._handlers.forget_idle()
        self._reserve.fill()
        self._quietly(self.devices.write_down)
        if self.clock() >= self._tidy_at:
            self._tidy_at = self.clock() + TIDY_S
            self._quietly(lambda: self._retention.begin(self._retention.usual()))
            self._quietly(self.store.back_up)

    @staticmethod
    def _take(socket: zmq.Socket[bytes], hear: Callable[[list[Any]], None]) -> None:
        for _ in range(BATCH):
            try:
                frames = socket.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            hear(frames)

    def _hear_worker(self, frames: list[zmq.Frame]) -> None:
        self.crew.hear(parse_line([frame.bytes for frame in frames]))

    def _hear_client(self, deferred: Deferred, frames: list[zmq.Frame]) -> None:
        """Only keys that the gatekeeper has let in get so far."""
        answer = self._reception.hear(
            frames[0].bytes, str(frames[-1].get("User-Id")), [frame.buffer for frame in frames[1:]], deferred
        )
        self._send(answer)

    def _expel(self, owner: str) -> None:
        for outgoing in self._reception.expel(owner):
            self._send(outgoing)

    @staticmethod
    def _quietly(work: Callable[[], None]) -> None:
        """What can wait for better times: a full disk is no reason to end."""
        try:
            work()
        except (OSError, sqlite3.OperationalError) as error:
            LOG.error("housekeeping: %s", error)

    def _send_events(self) -> None:
        for outgoing in self._reception.due():
            self._send(outgoing)

    def _newest_preview(self, job_id: str) -> Preview:
        return read_preview(self.settings.job_folder(job_id).preview, job_id)

    def _send(self, outgoing: Outgoing | None) -> None:
        """Send, or forget a peer that is gone or takes nothing any more; it will come back and ask again."""
        if outgoing is None:
            return
        try:
            frames = encode(outgoing.message, uuid.uuid4().hex, outgoing.re)
        except ProtocolError as error:
            frames = encode(Error(ErrorInfo(error.code, error.message)), uuid.uuid4().hex, outgoing.re)
        try:
            self._router.send_multipart([outgoing.address, *frames], zmq.DONTWAIT, copy=False)
        except zmq.ZMQError as error:
            forget = self._handlers.lose if error.errno == zmq.EHOSTUNREACH else self._handlers.forget
            forget(outgoing.address)

    # -- around it ----------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the loop after this round; jobs that run go back into the queue."""
        self._stopping = True

    def stats(self) -> Stats:
        """The server's account of itself."""
        account, jobs = self._probe.account(), self.store.counts()
        known: dict[str, Any] = {} if account is None else {
            "machine": account.machine, "engine": account.engine, "engine_reason": account.engine_reason
        }  # fmt: skip
        return Stats(
            self.server_id, os.getpid(), self.clock() - self._started, jobs, version=self._version,
            slots=self.crew.slots, queued=jobs.get(QUEUED, 0), free_disk=shutil.disk_usage(self.settings.state).free,
            memory=own_memory(), **known,
        )  # fmt: skip

    def close(self) -> None:
        """Stop the workers, say goodbye, leave everything so that the next start goes on."""
        with contextlib.ExitStack() as last_first:  # all of it, even if some of it fails
            last_first.callback(self._lock.release)
            last_first.callback(self.settings.connection_file.unlink, missing_ok=True)
            last_first.callback(self.store.close)
            last_first.callback(self._quietly, self.store.back_up)
            last_first.callback(self._quietly, self.devices.write_down)
            last_first.callback(self._context.term)
            for socket in (self._router, self._lines, self._gate.socket):
                last_first.callback(socket.close)
            last_first.callback(self._probe.close)
            last_first.callback(self._desk.close)
            last_first.callback(self._flushing.close)
            last_first.callback(self.contents.close)
            last_first.callback(self._send_events)
            last_first.callback(self.crew.close, self._lines)
            if self._status is not None:
                last_first.callback(self._status.close)


def port_of(endpoint: str) -> int:
    """Of tcp://HOST:PORT. Raises ValueError."""
    return int(endpoint.rpartition(":")[2])


def endpoint_for_own(address: str, port: int) -> str:
    """Where this computer's own clients find a service that is bound to an address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "*": "127.0.0.1"}.get(address)
    return f"tcp://{host or (f'[{address}]' if ':' in address else address)}:{port}"


def _last_port(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def serve(
    state_folder: Path,
    bind: str = "127.0.0.1",
    port: int = 0,
    runner: str = DEFAULT_RUNNER,
    ready: Callable[[Connection], None] | None = None,
    **options: Any,
) -> None:
    """Run the service in this process until SIGTERM, Ctrl-C or a client's server.stop. `options`: fields of Settings.

    `ready` is called once clients can connect. Raises InputError (state folder in use, damaged, port taken).
    """
    try:
        server = Server(Settings(Path(state_folder), bind, port, runner, **options))
    except (OSError, sqlite3.OperationalError) as error:
        if not is_disk_full(error):
            raise
        text = f"The disk is full where {state_folder} is."
        raise InputError(text, "Make room and start the service again.") from error
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
    LOG.info("serving on %s", server.connection.endpoint)
    try:
        if ready is not None:
            ready(server.connection)
        server.run()
    finally:
        server.close()
        LOG.info("stopped")
