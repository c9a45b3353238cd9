# SPDX-License-Identifier: Apache-2.0
"""Calls that survive a lost connection: what they are tried on, how often, and what is said when it was in vain."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import zmq

from . import messages as wire
from .connection import Connection, Link, Timing, end_context
from .errors import Cancelled
from .handshake import KeysDiffer, keys_changed
from .service_errors import ConnectionLost, ServiceError

START_HERE = "Start it: digidouble serve."
LOOK_THERE = "See that it runs on that computer, and that network, VPN and firewall let this one reach it."
SURE = 3
"""So many handshakes in a row must fail for the other side's key before we say that it has changed."""

Answer = TypeVar("Answer", bound=wire.Message)
Result = TypeVar("Result")


class Session:
    """Up to two links to a service, made when they are needed and made anew when they are lost."""

    def __init__(
        self,
        connection: Connection | Path | str,
        timing: Timing | None = None,
        cancelled: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`connection`: a connection file or the service's state folder (read anew at each reconnect, so that a service
        that was started again is found), or a Connection. Nothing is sent before the first call.

        `cancelled` is asked at least five times a second while a call waits; True ends it with Cancelled.
        """
        self.connection = connection
        self.timing = timing or Timing()
        self._cancelled, self._clock, self._sleep = cancelled, clock, sleep
        self._context: zmq.Context[Any] = zmq.Context()
        self._links: dict[str, Link] = {}
        self._watching: set[str] = set()
        self._last_contact = clock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all connections. Jobs go on without us."""
        self._drop_links()
        end_context(self._context)

    def _link(self, role: str) -> Link:
        if role not in self._links:
            connection = self._known()
            self._links[role] = Link(self._context, connection, role, self.timing, self._cancelled, self._clock)
        return self._links[role]

    def _known(self) -> Connection:
        known = self.connection
        return known if isinstance(known, Connection) else Connection.load(Path(known))

    def _drop_links(self) -> None:
        self._watching.clear()
        for link in self._links.values():
            self._last_contact = max(self._last_contact, link.last_contact)
            link.close()
        self._links.clear()

    def _ask(self, message: wire.Message, answer: type[Answer]) -> Answer:
        return self._persistently(lambda: self._request("control", message, answer))

    def _request(self, role: str, message: wire.Message, answer: type[Answer]) -> Answer:
        reply = self._link(role).request(message)
        if not isinstance(reply, answer):
            raise ServiceError("PROTO_BAD_HEADER", f"The service answered {reply.TYPE} to {message.TYPE}.")
        return reply

    def _persistently(self, action: Callable[[], Result]) -> Result:
        """Do it; if the connection is lost, wait a little longer each time and do it again.

        Everything that the protocol does may be done twice, so nobody has to know how far it had come.
        """
        self._last_contact = self._clock()
        failures = strangers = 0
        while True:
            try:
                return action()
            except ConnectionLost as lost:
                before = self._last_contact
                self._drop_links()
                failures = 0 if self._last_contact > before else failures + 1
                strangers = strangers + 1 if isinstance(lost, KeysDiffer) else 0
                impatient = self._clock() - self._last_contact > self.timing.patience_s
                if strangers >= SURE or (strangers and impatient):
                    raise keys_changed(self._known().endpoint) from lost
                if impatient:
                    hint = START_HERE if self._known().pid else LOOK_THERE
                    text = f"The service cannot be reached: {lost}."
                    raise ServiceError("UNAVAILABLE", text, hint, "later") from lost
                self._pause(failures)
            except BaseException:
                self._drop_links()  # answers to what was abandoned must not be taken for answers to what comes next
                raise

    def _pause(self, failures: int) -> None:
        """Exponential back-off with full jitter, so that many clients do not come back at the same moment."""
        longest = min(self.timing.pause_max_s, self.timing.pause_first_s * 2.0 ** min(failures, 16))
        left = random.uniform(0.5, 1.0) * longest
        while left > 0:
            if self._cancelled():
                raise Cancelled
            self._sleep(min(left, self.timing.poll_s))
            left -= self.timing.poll_s
