# SPDX-License-Identifier: Apache-2.0
"""Moving files in chunks: what to send next, what has arrived, how long it takes. No sockets in here.

A file is known by the digest of its content. It travels in chunks that carry their own digests, at most `credit` bytes
of them unanswered, and the receiver keeps a verified prefix, so that an interrupted transfer goes on where it was.
The same `Assembly` receives on both sides: uploads on the server, results on the client. Chunks are the leaves of the
file's digest (digests.py), so nobody digests a byte twice; cut in another way they make the same file, only slower.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import BinaryIO

import attrs

from .digests import DIGEST_BYTES, LEAF, TreeHasher, digest_bytes, is_leaf
from .errors import InputError, Progress
from .messages import MissingFile

CHUNK = LEAF  # 1 MiB; throughput is flat from 256 KiB to 4 MiB, encryption is fastest up to 1 MiB
WINDOW = 16 << 20  # bytes on their way: 116 MB/s at a round trip of 100 ms
_RECORD = struct.Struct(f"<I{DIGEST_BYTES}s")


class DigestMismatch(InputError):
    """Bytes that are not the ones that their digest promised."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} does not match its digest.", "It changed while it was being sent; send it again.", "INPUT_DIGEST"
        )


# -- receiving --------------------------------------------------------------------------------------------------------


class Assembly:
    """A file under construction from chunks that arrive in order.

    `data` and `ledger` are files opened "r+b" or "w+b"; the ledger holds length and digest of each chunk that was
    written, so that after a crash the prefix that really reached the disk is found again.
    """

    def __init__(self, size: int, digest: str, data: BinaryIO, ledger: BinaryIO) -> None:
        """Verify what the files hold already; bytes after the verified prefix are cut off. May raise OSError."""
        self.size, self.digest = size, digest
        self._data, self._ledger = data, ledger
        self._hasher = TreeHasher()
        self.have = 0
        self._records = 0
        self._verify_prefix()

    def _verify_prefix(self) -> None:
        self._data.seek(0)
        self._ledger.seek(0)
        while len(record := self._ledger.read(_RECORD.size)) == _RECORD.size:
            length, expected = _RECORD.unpack(record)
            if self.have + length > self.size:
                break
            chunk = self._data.read(length)
            if len(chunk) != length or digest_bytes(chunk) != expected.hex():
                break
            self._count(chunk, expected.hex())
        self._data.truncate(self.have)
        self._ledger.truncate(self._records * _RECORD.size)

    @property
    def complete(self) -> bool:
        """True if all bytes are there; `check` tells whether they are the right ones."""
        return self.have == self.size

    def add(self, offset: int, chunk: bytes | memoryview, chunk_digest: str) -> bool:
        """Append a chunk. False if it is not the next one (sent twice, or after a gap): then nothing happens.

        Raises DigestMismatch or InputError for bytes that cannot be part of the file, OSError from the disk (after
        which the assembly still holds what it held).
        """
        if offset != self.have:
            return False
        if len(chunk) == 0 or offset + len(chunk) > self.size:
            raise InputError("A chunk does not fit into its file.", "Send the file again.", "INPUT_DIGEST")
        if digest_bytes(chunk) != chunk_digest:
            raise DigestMismatch("A chunk")
        try:
            _write_at(self._data, self.have, chunk)
            if offset + len(chunk) < self.size:
                record = _RECORD.pack(len(chunk), bytes.fromhex(chunk_digest))
                _write_at(self._ledger, self._records * _RECORD.size, record)
        except OSError:
            self._data.truncate(self.have)
            raise
        self._count(chunk, chunk_digest)
        return True

    def _count(self, chunk: bytes | memoryview, digest: str) -> None:
        """A chunk that is in its place."""
        if is_leaf(self.have, len(chunk), self.size):
            self._hasher.add_leaf(digest, len(chunk))
        else:
            self._hasher.update(chunk)
        self.have += len(chunk)
        self._records += 1

    def check(self) -> None:
        """Raises DigestMismatch if the whole file is not what was announced."""
        if not self.complete or self._hasher.hexdigest() != self.digest:
            raise DigestMismatch("A file")


def _write_at(file: BinaryIO, offset: int, data: bytes | memoryview) -> None:
    """Write all of it: an unbuffered file on a nearly full disk takes a part and says so only the next time."""
    file.seek(offset)
    view = memoryview(data)
    while len(view) > 0:
        view = view[file.write(view) :]


# -- sending ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class Piece:
    """Bytes `offset .. offset + length` of the content `digest`, which has `size` bytes."""

    digest: str
    size: int
    offset: int
    length: int


@attrs.define(eq=False)
class _Outgoing:
    digest: str
    size: int
    have: int
    offset: int
    in_flight: int = 0


class Outbox:
    """Decides what to send next, within the credit that the receiver granted.

    Invariant: bytes on their way never exceed the credit granted and not yet used.
    """

    def __init__(self, missing: Sequence[MissingFile], credit: int, chunk: int = CHUNK) -> None:
        self.credit, self.chunk = credit, chunk
        self._files = {m.digest: _Outgoing(m.digest, m.size, m.have, m.have) for m in missing}
        self._queue = deque(self._files.values())
        self.total = sum(m.size for m in missing)
        self.at_start = sum(m.have for m in missing)
        self.sent = 0

    @property
    def done(self) -> bool:
        """True if the receiver has stored everything."""
        return not self._files

    @property
    def have(self) -> int:
        """Bytes that the receiver has, of `total`."""
        return self.total - sum(file.size - file.have for file in self._files.values())

    def next(self) -> Piece | None:
        """The next piece, or None while there is no credit or nothing to send."""
        while self._queue and self._queue[0].offset >= self._queue[0].size:
            self._queue.popleft()
        if not self._queue:
            return None
        file = self._queue[0]
        length = min(self.chunk, file.size - file.offset)
        if length > self.credit:
            return None
        piece = Piece(file.digest, file.size, file.offset, length)
        file.offset += length
        file.in_flight += 1
        self.credit -= length
        self.sent += length
        return piece

    def acknowledge(self, digest: str, have: int, stored: bool, credit: int) -> None:
        """Take the receiver's answer to one piece.

        If it threw away what came after a gap, the file is sent again from there, but only once all its pieces are
        answered: before that the answers speak of the past.
        """
        self.credit += credit
        file = self._files.get(digest)
        if file is None:
            return
        file.have, file.in_flight = have, max(0, file.in_flight - 1)
        if stored:
            del self._files[digest]
            file.offset = file.size
        elif file.in_flight == 0 and file.have < file.offset:
            file.offset = file.have
            if file not in self._queue:
                self._queue.append(file)


@attrs.frozen
class Request:
    """Ask for bytes `offset .. offset + length` of a result."""

    path: str
    offset: int
    length: int


class Inbox:
    """Decides what to ask for next: at most `window` bytes asked for and not yet received."""

    def __init__(self, files: Sequence[tuple[str, int, int]], window: int = WINDOW, chunk: int = CHUNK) -> None:
        """`files`: path, size and how many bytes are there already."""
        self._queue = deque((path, size, have) for path, size, have in files if have < size)
        self.window, self.chunk = window, chunk
        self.in_flight = 0
        self.total = sum(size for _, size, _ in files)
        self.have = sum(have for _, _, have in files)

    @property
    def done(self) -> bool:
        """True if everything was received."""
        return self.have == self.total

    def next(self) -> Request | None:
        """The next request, or None while enough is on its way."""
        if not self._queue:
            return None
        path, size, offset = self._queue[0]
        length = min(self.chunk, size - offset)
        if self.in_flight and self.in_flight + length > self.window:
            return None
        self.in_flight += length
        self._queue.popleft()
        if offset + length < size:
            self._queue.appendleft((path, size, offset + length))
        return Request(path, offset, length)

    def received(self, length: int) -> None:
        """Bytes of an answer that were written."""
        self.in_flight -= length
        self.have += length


# -- time -------------------------------------------------------------------------------------------------------------


class Eta:
    """Remaining seconds from the pace of the last `span_s` seconds; what was there at the start does not count."""

    def __init__(self, clock: Callable[[], float], span_s: float = 30.0) -> None:
        self._clock, self._span = clock, span_s
        self._marks: deque[tuple[float, float]] = deque()

    def update(self, done: float, total: float) -> float | None:
        """Seconds left, or None while nobody can know. `done` and `total` in any unit."""
        now = self._clock()
        if self._marks and done < self._marks[-1][1]:
            self._marks.clear()
        self._marks.append((now, done))
        while len(self._marks) > 2 and (now - self._marks[1][0] >= self._span or len(self._marks) > 1000):
            self._marks.popleft()
        pace = self.pace
        return None if pace is None else max(0.0, total - done) / pace

    @property
    def pace(self) -> float | None:
        """Units per second, or None if nothing has moved yet."""
        if len(self._marks) < 2:
            return None
        (start, first), (now, last) = self._marks[0], self._marks[-1]
        return (last - first) / (now - start) if now > start and last > first else None


@attrs.frozen
class TransferStatus:
    """How far a transfer is: bytes done of `total`, bytes per second and seconds left (None while unknown)."""

    stage: str
    done: int
    total: int
    pace: float | None
    eta_s: float | None


class Meter:
    """Turns bytes into progress with pace and ETA."""

    def __init__(self, stage: str, total: int, clock: Callable[[], float]) -> None:
        self.stage, self.total = stage, total
        self._eta = Eta(clock)

    def report(self, done: int, progress: Progress) -> TransferStatus:
        """Say how far it is; the end is left to the caller, who knows when everything is in place."""
        eta_s = self._eta.update(done, self.total)
        pace = self._eta.pace
        speed = f", {pace / 1e6:.0f} MB/s" if pace is not None else ""
        fraction = min(done / self.total, 1.0) if self.total else 1.0
        if fraction < 1.0:
            progress(self.stage, fraction, f"{done / 1e6:.1f} of {self.total / 1e6:.1f} MB{speed}")
        return TransferStatus(self.stage, done, self.total, pace, eta_s)
