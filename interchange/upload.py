# SPDX-License-Identifier: Apache-2.0
"""Sending a job's files: they are digested once, before the job is announced, and sent as the service asks for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import attrs

from .connection import Link
from .digests import LEAF, digest_bytes, digest_file, hash_file, is_leaf
from .errors import Cancelled, InputError, Progress
from .messages import FileEntry, Message, MissingFile, PutAck, PutChunk
from .paths import check_distinct, check_relative_path
from .service_errors import ConnectionLost
from .transfer import DigestMismatch, Meter, Outbox, Piece, TransferStatus

DIGESTING = 4
"""Files that are digested at the same time, if there are so many processors."""
_POLL_S = 0.1


@attrs.frozen
class Source:
    """A file that may have to be sent. `leaves`: the digests of its leaves, see digests.py."""

    path: Path
    size: int
    digest: str
    leaves: list[bytes]


# -- before -----------------------------------------------------------------------------------------------------------


def describe(
    files: Mapping[str, Path], cancelled: Callable[[], bool], progress: Progress
) -> tuple[dict[str, Source], list[FileEntry]]:
    """Digest everything: content -> where it can be read, and the entries of the job.

    `cancelled` and `progress` are called in this thread. Raises InputError (a file that cannot be read, unsafe path),
    Cancelled.
    """
    check_distinct(check_relative_path(path) for path in files)
    sources: dict[str, Source] = {}
    entries: list[FileEntry] = []
    with _digesting(sorted(files.items())) as works:
        for index, (path, work) in enumerate(works):
            while not wait([work], _POLL_S).done:
                if cancelled():
                    raise Cancelled
            source = work.result()
            entries.append(FileEntry(path, source.size, source.digest))
            sources[source.digest] = source
            progress("prepare", (index + 1) / len(files), path)
            if cancelled():
                raise Cancelled
    return sources, entries


@contextmanager
def _digesting(files: list[tuple[str, Path]]) -> Iterator[list[tuple[str, Future[Source]]]]:
    """Threads at work; they stop when nobody waits for them any more."""
    stop = threading.Event()
    executor = ThreadPoolExecutor(min(DIGESTING, os.cpu_count() or 1), "digesting")
    try:
        yield [(path, executor.submit(_describe_one, source, stop.is_set)) for path, source in files]
    finally:
        stop.set()
        executor.shutdown(cancel_futures=True)


def _describe_one(path: Path, stopped: Callable[[], bool]) -> Source:
    try:
        hasher = hash_file(path, stopped)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", "Check the file.") from error
    return Source(path, hasher.size, hasher.hexdigest(), hasher.leaves())


# -- sending ----------------------------------------------------------------------------------------------------------


class Reader:
    """Reads pieces of sources, which come one file after the other, so that one is open at a time."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._open: tuple[str, BinaryIO] | None = None

    def read(self, piece: Piece) -> PutChunk:
        """A piece as it is sent. Leaves were digested before; that a file changes in between is found at the other end.

        Raises InputError for a file that cannot be read, or has become shorter.
        """
        source = self._sources[piece.digest]
        try:
            file = self._opened(piece.digest)
            file.seek(piece.offset)
            data = file.read(piece.length)
        except OSError as error:
            raise InputError(f"{source.path} cannot be read ({error.strerror}).", "Check the file.") from error
        if len(data) != piece.length:
            raise DigestMismatch(str(source.path))
        if is_leaf(piece.offset, piece.length, piece.size):
            digest = source.leaves[piece.offset // LEAF].hex()
        else:
            digest = digest_bytes(data)
        return PutChunk(piece.digest, piece.size, piece.offset, digest, data)

    def _opened(self, digest: str) -> BinaryIO:
        if self._open is None or self._open[0] != digest:
            self.close()
            self._open = digest, open(self._sources[digest].path, "rb")  # noqa: SIM115 (closed by close)
        return self._open[1]

    def close(self) -> None:
        """Release the file."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


def send_missing(
    link: Link,
    missing: list[MissingFile],
    sources: Mapping[str, Source],
    meter: Meter,
    progress: Progress,
    told: Callable[[TransferStatus], None],
) -> None:
    """Send pieces as the credit allows, until the service has stored all. Raises ConnectionLost to be done again.

    `told` gets what `progress` is told as numbers.
    """
    outbox, reader = Outbox(missing, link.welcome.credit, link.welcome.limits.chunk), Reader(sources)
    try:
        while not outbox.done:
            while (piece := outbox.next()) is not None:
                link.send(reader.read(piece))
            envelope = link.receive(link.timing.request_s)
            if envelope is None:
                raise ConnectionLost("it does not answer")
            answer = _check(envelope.message, missing, sources)
            if isinstance(answer, PutAck):
                outbox.acknowledge(answer.digest, answer.have, answer.stored, answer.credit)
                told(meter.report(outbox.have, progress))
    finally:
        reader.close()


def _check(message: Message, missing: list[MissingFile], sources: Mapping[str, Source]) -> Message:
    """As `Link.check`, but a wrong digest has two causes, of which one is a reason to send the file anew, once."""
    try:
        return Link.check(message)
    except InputError as error:
        if error.code == "INPUT_DIGEST":
            for file in missing:
                _see_that_it_is_the_same(sources[file.digest])
            if any(file.have for file in missing):
                raise ConnectionLost("what had arrived earlier was damaged") from error
        raise


def _see_that_it_is_the_same(source: Source) -> None:
    """Raises DigestMismatch with the name of a file that has changed since it was digested."""
    try:
        same = digest_file(source.path) == source.digest
    except OSError as error:
        raise InputError(f"{source.path} cannot be read ({error.strerror}).", "Check the file.") from error
    if not same:
        raise DigestMismatch(str(source.path))
