# SPDX-License-Identifier: Apache-2.0
"""An encrypted connection to the service: the connection file, and a socket that notices when the other side goes."""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import cattrs
import zmq
from zmq.utils.monitor import recv_monitor_message

from .codec import MAX_PAYLOAD, Buffer, decode, encode
from .errors import Cancelled, InputError
from .handshake import MONITORED, check_event, other_version
from .messages import MAX_PREVIEW, PROTOCOL, Envelope, Error, Hello, Limits, Message, Welcome
from .service_errors import ConnectionLost, ProtocolError, ServiceError, raise_error

CONNECTION_FILE = "connection.json"
NOT_STARTED = "INPUT_NOT_STARTED"
FEATURES = ["resume", "replay", "preview", "tidy"]


@attrs.frozen
class Connection:
    """How to reach a service, and with which keys (CURVE, as Z85 text). Whoever can read the file may use the service.

    `server_id` and `pid` are those of a service on this computer; "" and 0 for a paired one.
    """

    endpoint: str
    server_key: str
    client_public_key: str
    client_secret_key: str = attrs.field(repr=False)
    server_id: str = ""
    pid: int = 0

    @classmethod
    def load(cls, path: Path) -> Connection:
        """Read a connection file, or the one in a service's state folder. Raises InputError."""
        path = given = Path(path)
        try:
            path = path / CONNECTION_FILE if path.is_dir() else path
            return cattrs.structure(json.loads(path.read_text(encoding="utf-8")), cls)
        except FileNotFoundError as error:
            folder = given.parent if given.suffix == ".json" else given
            how = f"Start it: digidouble serve --state {folder}."
            raise InputError(f"No service runs in {folder}.", how, NOT_STARTED) from error
        except OSError as error:
            hint = "Run this as the user that the service belongs to, or pair with it: digidouble pair."
            raise InputError(f"The connection file {path} cannot be read ({error.strerror}).", hint) from error
        except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
            raise InputError(f"The connection file {path} is damaged.", "Start the service again.") from error

    def save(self, path: Path) -> None:
        """Write the file so that only this user can read it, in one step."""
        write_private(path, json.dumps(attrs.asdict(self), indent=2) + "\n")


def write_private(path: Path, text: str) -> None:
    """Write a text file with mode 0600, in one step."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(part, path)


@attrs.frozen
class Timing:
    """Seconds. `patience_s`: how long to go on trying to reach a service that is silent."""

    hello_s: float = 5.0
    request_s: float = 10.0
    patience_s: float = 60.0
    pause_first_s: float = 0.1
    pause_max_s: float = 5.0
    renew_watch_s: float = 10.0
    poll_s: float = 0.1


_END_S = 0.15
PAIRING = "pairing"
"""The role of a link to a pairing endpoint, where nobody says hello."""


class Link:
    """A DEALER socket with its greeting done. Not thread-safe: it belongs to the thread that made it."""

    def __init__(
        self,
        context: zmq.Context[Any],
        connection: Connection,
        role: str,
        timing: Timing,
        cancelled: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect and say hello. Raises ConnectionLost, or ServiceError if the service does not let us in."""
        self.timing, self._cancelled, self._clock = timing, cancelled, clock
        self.endpoint = connection.endpoint
        self.inbox: deque[Envelope] = deque()
        self.last_contact = -1.0
        self._socket = context.socket(zmq.DEALER)
        self._configure(connection)
        self._monitor = self._socket.get_monitor_socket(MONITORED)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._monitor, zmq.POLLIN)
        self.welcome = Welcome("", Limits(1, 1, 1), 0)
        try:
            self._connect()
            if role != PAIRING:
                self.welcome = self._greet(role)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        try:
            self._socket.connect(self.endpoint)
        except zmq.ZMQError as error:
            text = f"{self.endpoint!r} is no address of a service ({error})."
            raise InputError(text, "Pair with the service again, or start it again.") from error

    def _greet(self, role: str) -> Welcome:
        welcome = self.request(Hello(role, "digidouble", features=FEATURES), self.timing.hello_s)
        if not isinstance(welcome, Welcome):
            raise ConnectionLost("it did not greet back")
        return welcome

    def _configure(self, connection: Connection) -> None:
        options = {
            zmq.LINGER: 0, zmq.MAXMSGSIZE: MAX_PAYLOAD, zmq.HANDSHAKE_IVL: 5000,
            zmq.HEARTBEAT_IVL: 2000, zmq.HEARTBEAT_TIMEOUT: 6000, zmq.HEARTBEAT_TTL: 6000,
        }  # fmt: skip
        for option, value in options.items():
            self._socket.setsockopt(option, value)
        self._socket.ipv6 = "[" in connection.endpoint
        self._socket.curve_serverkey = connection.server_key.encode("ascii")
        self._socket.curve_publickey = connection.client_public_key.encode("ascii")
        self._socket.curve_secretkey = connection.client_secret_key.encode("ascii")

    def send(self, message: Message) -> str:
        """Send a message; returns its id. Raises ConnectionLost, and InputError for one that is too large."""
        request_id = uuid.uuid4().hex
        try:
            frames = encode(message, request_id)
        except ProtocolError as error:
            raise InputError(error.message, "Leave out files that the job does not need.", "INPUT_MANIFEST") from error
        try:
            self._socket.send_multipart(frames, flags=zmq.DONTWAIT, copy=False)
        except zmq.Again as error:
            raise ConnectionLost("it takes no more messages") from error
        return request_id

    def receive(self, timeout_s: float) -> Envelope | None:
        """The next message, or None if none came in time. Raises ConnectionLost, Cancelled, ServiceError."""
        if self.inbox:
            return self.inbox.popleft()
        deadline = self._clock() + timeout_s
        while True:
            if self._cancelled():  # also while messages keep coming
                raise Cancelled
            left = deadline - self._clock()
            ready = dict(self._poller.poll(int(1000 * max(0.0, min(left, self.timing.poll_s)))))
            if self._socket in ready:
                return self._take()
            if self._monitor in ready:
                self._look_at_monitor()
            elif left <= 0:
                return None

    def _take(self) -> Envelope:
        frames: list[Buffer] = [
            frame.buffer if len(frame) > MAX_PREVIEW else frame.bytes  # what is larger are chunks: not copied
            for frame in self._socket.recv_multipart(flags=zmq.DONTWAIT, copy=False)
        ]
        try:
            envelope = decode(frames)
        except ProtocolError as error:
            if error.code == "PROTO_VERSION":
                raise other_version(PROTOCOL.decode(), bytes(frames[0][:32]).decode("ascii", "replace")) from error
            raise ServiceError(
                error.code, f"The service answered what this program does not understand ({error.message}).",
                "Install the same version on both sides.",
            ) from error  # fmt: skip
        self.last_contact = self._clock()
        return envelope

    def _look_at_monitor(self) -> None:
        event = recv_monitor_message(self._monitor)
        check_event(event["event"], event["value"], self.endpoint)

    def request(self, message: Message, timeout_s: float | None = None) -> Message:
        """Send and wait for the answer; other messages wait in `inbox`.

        Raises ConnectionLost, and for a refusal InputError, Cancelled or ServiceError.
        """
        deadline = self._clock() + (self.timing.request_s if timeout_s is None else timeout_s)
        request_id = self.send(message)
        others: list[Envelope] = []
        try:
            while True:
                envelope = self._receive_fresh(deadline - self._clock())
                if envelope.re == request_id or _is_about_all(envelope):
                    return self.check(envelope.message)
                others.append(envelope)
        finally:
            self.inbox.extend(others)

    def _receive_fresh(self, timeout_s: float) -> Envelope:
        """As `receive`, past the inbox, which holds nothing that a new request waits for."""
        waiting, self.inbox = self.inbox, deque()
        try:
            envelope = self.receive(timeout_s)
        finally:
            self.inbox = waiting
        if envelope is None:
            raise ConnectionLost("it does not answer")
        return envelope

    @staticmethod
    def check(message: Message) -> Message:
        """The message, unless it is a refusal: then the exception that it stands for."""
        if isinstance(message, Error):
            if message.error.code == "PROTO_HELLO":
                raise ConnectionLost(message.error.message)
            raise_error(message.error)
        return message

    def close(self) -> None:
        """Drop the connection and whatever was not sent."""
        self._socket.disable_monitor()
        self._monitor.close(0)
        self._socket.close(0)


def _is_about_all(envelope: Envelope) -> bool:
    """True for an error that answers nothing in particular: it is the connection that is refused."""
    return not envelope.re and isinstance(envelope.message, Error)


def end_context(context: zmq.Context[Any]) -> None:
    """End a context whose sockets are closed. A host name that is being looked up cannot be interrupted; that goes on
    in the background."""
    end = threading.Thread(target=context.term, name="zmq-end", daemon=True)
    end.start()
    end.join(_END_S)
