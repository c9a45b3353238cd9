# SPDX-License-Identifier: Apache-2.0
"""Who watches which job, and how far each has come. No sockets in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from interchange.messages import Event

MAX_UNACKNOWLEDGED = 64

Read = Callable[[str, int, int], list[Event]]
"""`read(job_id, after_seq, limit)`: events of the store."""


@attrs.define(eq=False)
class Watcher:
    """One connection that watches one job. `sent` is the last event on its way, `open` those not acknowledged."""

    peer: bytes
    job_id: str
    sent: int
    open: deque[int] = attrs.field(factory=deque)

    @property
    def room(self) -> int:
        """How many events may be sent now."""
        return MAX_UNACKNOWLEDGED - len(self.open)


class Watchers:
    """Events leave in order, at most 64 unacknowledged to each watcher; a slow one costs nobody any memory."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[bytes, str], Watcher] = {}
        self._stirred: set[str] = set()

    def watch(self, peer: bytes, job_id: str, after_seq: int) -> None:
        """Begin to send, or begin again from there."""
        self._by_key[peer, job_id] = Watcher(peer, job_id, after_seq)
        self._stirred.add(job_id)

    def unwatch(self, peer: bytes, job_id: str) -> None:
        """Send no more."""
        self._by_key.pop((peer, job_id), None)

    def forget(self, peer: bytes) -> None:
        """The connection is gone."""
        for key in [key for key in self._by_key if key[0] == peer]:
            del self._by_key[key]

    def acknowledge(self, peer: bytes, job_id: str, seq: int) -> None:
        """The watcher has everything up to `seq`."""
        watcher = self._by_key.get((peer, job_id))
        if watcher is None:
            return
        while watcher.open and watcher.open[0] <= seq:
            watcher.open.popleft()
        self._stirred.add(job_id)

    def stir(self, job_id: str) -> None:
        """Something happened to a job."""
        self._stirred.add(job_id)

    def due(self, read: Read) -> list[tuple[bytes, Event]]:
        """What is to be sent now, to whom."""
        jobs, self._stirred = self._stirred, set()
        sending: list[tuple[bytes, Event]] = []
        for watcher in self._by_key.values():
            if watcher.job_id not in jobs or watcher.room <= 0:
                continue
            for event in read(watcher.job_id, watcher.sent, watcher.room):
                watcher.sent = event.seq
                watcher.open.append(event.seq)
                sending.append((watcher.peer, event))
        return sending
