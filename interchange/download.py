# SPDX-License-Identifier: Apache-2.0
"""Fetching a job's results: asked for piece by piece, verified, flushed, and put in place file by file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from .connection import Link
from .digests import digest_file
from .errors import Progress
from .messages import FileEntry, GetChunk, GetData
from .part_file import PartFile
from .service_errors import ConnectionLost
from .transfer import Inbox, Meter, TransferStatus

FLUSHING = 4
"""Files that are flushed at the same time, while the next ones arrive."""


class Fetch:
    """The files that a download is writing. Chunks come file after file, so that one is open at a time."""

    def __init__(self, targets: Mapping[str, Path]) -> None:
        self._targets = targets
        self._entries: dict[str, FileEntry] = {}
        self._parts: dict[str, PartFile] = {}
        self._flushing = ThreadPoolExecutor(FLUSHING, "flushing")  # its threads start when they are first needed
        self._published: list[Future[None]] = []

    def start(self, entry: FileEntry, cancelled: Callable[[], bool]) -> int:
        """How many bytes of a file are here already, verified."""
        target = self._targets[entry.path]
        self._entries[entry.path] = entry
        if target.is_file() and target.stat().st_size == entry.size and digest_file(target, cancelled) == entry.digest:
            return entry.size
        if entry.size == 0 or self._part_path(entry).exists():
            part = self._open(entry)
            if part.check():
                part.publish()
            else:
                part.close()
            return part.have
        return 0

    def take(self, answer: GetData) -> None:
        """Write a chunk; the last one of a file lets it be put in place, see `finish`."""
        entry = self._entries.get(answer.path)
        if entry is None:
            return
        if entry.path not in self._parts:
            self._parts[entry.path] = self._open(entry)
        part = self._parts[entry.path]
        before = part.have
        if part.append(answer.offset, answer.data, answer.chunk_digest):
            del self._parts[entry.path]
            self._published.append(self._flushing.submit(part.publish))
        elif part.have == before:
            raise ConnectionLost("its answers came out of order")

    def finish(self) -> None:
        """Wait until all whole files are on the disk, under their names. Raises OSError if one is not."""
        for published in self._published:
            published.result()

    def close(self) -> None:
        """Release the files; what arrived stays for the next time."""
        self._flushing.shutdown()
        for part in self._parts.values():
            part.close()

    def _open(self, entry: FileEntry) -> PartFile:
        return PartFile(self._part_path(entry), self._targets[entry.path], entry.size, entry.digest)

    def _part_path(self, entry: FileEntry) -> Path:
        target = self._targets[entry.path]
        return target.with_name(f"{target.name}.{entry.digest[:16]}.part")


def fetch_files(
    link: Callable[[], Link],
    job_id: str,
    entries: list[FileEntry],
    targets: Mapping[str, Path],
    clock: Callable[[], float],
    cancelled: Callable[[], bool],
    progress: Progress,
    told: Callable[[TransferStatus], None],
) -> None:
    """Bring files to `targets` (path in the job -> file). Raises ConnectionLost to be done again, OSError.

    `link` is called for the connection when there is something to ask for; `told` gets what `progress` is told as
    numbers.
    """
    fetch = Fetch(targets)
    try:
        inbox = Inbox([(entry.path, entry.size, fetch.start(entry, cancelled)) for entry in entries])
        meter = Meter("download", inbox.total, clock)
        while not inbox.done:
            line = link()
            while (request := inbox.next()) is not None:
                line.send(GetChunk(job_id, request.path, request.offset, request.length))
            envelope = line.receive(line.timing.request_s)
            if envelope is None:
                raise ConnectionLost("it does not answer")
            answer = Link.check(envelope.message)
            if isinstance(answer, GetData) and answer.job_id == job_id:
                fetch.take(answer)
                inbox.received(len(answer.data))
                told(meter.report(inbox.have, progress))
        fetch.finish()
    finally:
        fetch.close()
    progress("download", 1.0, "")
