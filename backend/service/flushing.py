# SPDX-License-Identifier: Apache-2.0
"""Waiting for the disk beside the service's loop: contents are flushed in threads, and answered for when they are."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import attrs

from interchange.messages import Message

THREADS = 4
"""A disk flushes several files in hardly more time than one."""


@attrs.frozen
class Later:
    """An answer that waits for another thread. `take` is called once, in the loop's thread, when `is_due` says true.

    It may raise what a handler may raise.
    """

    is_due: Callable[[], bool]
    take: Callable[[], Message]


class Flushing:
    """Threads that flush. `bell` can be read from as soon as one has come to an end, so that the loop wakes up."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "flushing")  # they start when they are first needed
        self.bell, self._hammer = socket.socketpair()
        for end in (self.bell, self._hammer):
            end.setblocking(False)

    def begin(self, work: Callable[[], None]) -> Future[None]:
        """Let a thread do it."""
        future = self._threads.submit(work)
        future.add_done_callback(self._ring)
        return future

    def _ring(self, _: Future[None]) -> None:
        with contextlib.suppress(BlockingIOError):  # it has rung more often than anybody could miss
            self._hammer.send(b"\0")

    def hear(self) -> None:
        """The loop is awake."""
        with contextlib.suppress(BlockingIOError):
            while self.bell.recv(4096):
                pass

    def close(self) -> None:
        """Wait for all of it."""
        self._threads.shutdown()
        self.bell.close()
        self._hammer.close()
