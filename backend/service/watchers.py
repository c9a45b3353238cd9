# SPDX-License-Identifier: Apache-2.0
"""Who watches which job, and how far each has come. No sockets in here."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import attrs

from interchange.messages import Event, Preview

MAX_UNACKNOWLEDGED = 64

Read = Callable[[str, int, int], list[Event]]
"""`read(job_id, after_seq, limit)`: events of the store."""

ReadPreview = Callable[[str], Preview]
"""`read(job_id)`: the newest preview, with the number 0 if there is none."""


@attrs.define(eq=False)
class Watcher:
    """One connection that watches one job. `sent` is the last event on its way, `open` those not acknowledged."""

    peer: bytes
    job_id: str
    sent: int
    open: deque[int] = attrs.field(factory=deque)
    preview: int | None = None  # the last one on its way; None: wants none
    preview_open: bool = False  # not acknowledged yet

    @property
    def room(self) -> int:
        """How many events may be sent now."""
        return MAX_UNACKNOWLEDGED - len(self.open)


class Watchers:
    """Events leave in order, at most 64 unacknowledged to each watcher; a slow one costs nobody any memory."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[bytes, str], Watcher] = {}
        self._stirred: set[str] = set()
        self._shown: set[str] = set()

    def watch(self, peer: bytes, job_id: str, after_seq: int, after_preview: int | None = None) -> None:
        """Begin to send, or begin again from there. `after_preview`: None for no previews."""
        self._by_key[peer, job_id] = Watcher(peer, job_id, after_seq, preview=after_preview)
        self._stirred.add(job_id)
        self._shown.add(job_id)

    def unwatch(self, peer: bytes, job_id: str) -> None:
        """Send no more."""
        self._by_key.pop((peer, job_id), None)

    def forget(self, peer: bytes) -> None:
        """The connection is gone."""
        for key in [key for key in self._by_key if key[0] == peer]:
            del self._by_key[key]

    def forget_job(self, job_id: str) -> None:
        """There is no such job any more; who watched it must not see another one that gets its id."""
        for key in [key for key in self._by_key if key[1] == job_id]:
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

    def show(self, job_id: str) -> None:
        """A job has a new preview."""
        self._shown.add(job_id)

    def acknowledge_preview(self, peer: bytes, job_id: str, number: int) -> None:
        """The watcher has this preview."""
        watcher = self._by_key.get((peer, job_id))
        if watcher is not None and watcher.preview is not None and number >= watcher.preview:
            watcher.preview_open = False
            self._shown.add(job_id)

    def due_previews(self, read: ReadPreview) -> list[tuple[bytes, Preview]]:
        """Which previews are to be sent now, to whom: the newest, and one at a time."""
        jobs, self._shown = self._shown, set()
        sending: list[tuple[bytes, Preview]] = []
        read_already: dict[str, Preview] = {}
        for watcher in self._by_key.values():
            if watcher.job_id not in jobs or watcher.preview is None or watcher.preview_open:
                continue
            if watcher.job_id not in read_already:
                read_already[watcher.job_id] = read(watcher.job_id)
            newest = read_already[watcher.job_id]
            if newest.number > watcher.preview:
                watcher.preview, watcher.preview_open = newest.number, True
                sending.append((watcher.peer, newest))
        return sending

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
