# SPDX-License-Identifier: GPL-3.0-or-later
"""A thread with a JobClient of its own, and what the two threads of a backend have in common. No bpy.

Daemon threads: quitting Blender must not wait for them.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .._interchange import errors, network, service_errors
from . import backends, messages, words

Post = Callable[[messages.Message], None]
PAUSES_S = (0.3, 0.6, 1.2, 2.5, 5.0)
"""Between attempts to reach a backend that does not answer."""


class Line:
    """Runs orders one after the other. Subclasses write `serve_once`, called again and again in the thread."""

    purpose = "line"
    patience_s = 1.0

    def __init__(
        self, backend_id: str, name: str, connection: Path, post: Post, allowed: Callable[[], bool], *, is_local: bool
    ) -> None:
        """`connection`: the folder with connection.json; `allowed`: may this backend be reached at present?"""
        self.backend_id, self.name, self.connection, self.is_local = backend_id, name, connection, is_local
        self.post, self.allowed = post, allowed
        self.orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.stopping = threading.Event()
        self._client: Any = None
        self._failures = 0
        self._thread = threading.Thread(target=self._run, name=f"digidouble {self.purpose} {name}", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def give(self, order: Any) -> None:
        """Have an order done, soon."""
        self.orders.put(order)

    def ask_to_stop(self) -> None:
        """From now on every wait ends; jobs go on at the backend."""
        self.stopping.set()
        self.orders.put(None)

    def join(self, timeout_s: float) -> None:
        """Wait for the thread's end, but not for ever."""
        self._thread.join(timeout_s)

    # -- in the thread ------------------------------------------------------------------------------------------------

    def serve_once(self) -> None:
        """Wait for something to do and do it."""
        raise NotImplementedError

    def cancelled(self) -> bool:
        """What the client asks while it waits."""
        return self.stopping.is_set()

    def client(self) -> Any:
        """The thread's client. Raises ServiceError (OFFLINE) if it may not be reached, InputError if zmq is missing."""
        if not self.allowed():
            refusal = backends.offline(self.name)
            raise service_errors.ServiceError("OFFLINE", refusal.message, refusal.hint, "later")
        if self._client is None:
            timing = network("connection").Timing(request_s=6.0, patience_s=self.patience_s, pause_max_s=1.0)
            self._client = network("client").JobClient(self.connection, timing, self.cancelled, sleep=self.pause)
        return self._client

    def is_unreached(self, error: Exception) -> bool:
        """True if it is the connection that failed. A local backend that stops takes its connection file away."""
        has_stopped = isinstance(error, errors.InputError) and not has_connection(self.connection)
        return has_stopped or words.is_unreached(error)

    def pause(self, seconds: float) -> None:
        """Wait, but not when Blender is leaving."""
        self.stopping.wait(seconds)

    def lost(self, error: Exception) -> None:
        """Say that the backend cannot be reached, and wait a little longer each time."""
        self.post(messages.Lost(self.backend_id, self.in_words(error)))
        self.drop_client()
        self.pause(PAUSES_S[min(self._failures, len(PAUSES_S) - 1)])
        self._failures += 1

    def in_words(self, error: Exception) -> str:
        """Why the backend cannot be reached."""
        if isinstance(error, errors.InputError) and not has_connection(self.connection):
            return words.absent(self.name, is_local=self.is_local)
        return words.unreached(error, self.name, is_local=self.is_local)

    def reached(self) -> None:
        """It answered."""
        if self._failures:
            self._failures = 0
            self.post(messages.Back(self.backend_id))

    def drop_client(self) -> None:
        """Close the connection; the next call opens another."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _run(self) -> None:
        try:
            while not self.stopping.is_set():
                try:
                    self.serve_once()
                except errors.Cancelled:
                    continue
                except Exception as error:
                    self.post(messages.Surprise(f"{self.purpose} of {self.name}", error))
                    self.pause(PAUSES_S[-1])
        finally:
            self.drop_client()


def has_connection(place: Path) -> bool:
    """True if there is a connection file in a state folder, or in one that a pairing wrote."""
    return (place / "connection.json").is_file()
