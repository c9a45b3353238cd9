# SPDX-License-Identifier: Apache-2.0
"""Files that arrive in chunks, on disk: a part that grows beside its target, and takes its place when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO

from .digests import Hasher, digest_file
from .messages import FileEntry, GetData
from .service_errors import ConnectionLost
from .transfer import Assembly, DigestMismatch

LEDGER = ".chunks"
"""Ending of the file beside a part that holds the digests of its chunks."""


class PartFile:
    """An `Assembly` on disk: `part` grows, then becomes `target` in one step, so that `target` is always whole."""

    def __init__(self, part: Path, target: Path, size: int, digest: str, hasher: Hasher | None = None) -> None:
        """Open or create the part. `hasher`: see Assembly. Raises OSError."""
        self.part, self.target = part, target
        self.ledger = part.with_name(part.name + LEDGER)
        part.parent.mkdir(parents=True, exist_ok=True)
        self._files = [_open_keeping(part), _open_keeping(self.ledger)]
        self.assembly = Assembly(size, digest, self._files[0], self._files[1], hasher)

    @property
    def have(self) -> int:
        """Bytes of the verified prefix."""
        return self.assembly.have

    def add(self, offset: int, chunk: bytes | memoryview, chunk_digest: str) -> bool:
        """Append a chunk and, if it was the last one, verify and publish the file. True if the file is now in place.

        On a wrong file digest the part is thrown away (DigestMismatch). A chunk out of turn changes nothing.
        """
        self.assembly.add(offset, chunk, chunk_digest)
        return self.finish() if self.assembly.complete else False

    def finish(self) -> bool:
        """Verify, flush to the disk and rename. Returns True."""
        try:
            self.assembly.check()
        except DigestMismatch:
            self.discard()
            raise
        os.fsync(self._files[0].fileno())
        self.close()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.part, self.target)
        _sync_folder(self.target.parent)
        self.ledger.unlink(missing_ok=True)
        return True

    def discard(self) -> None:
        """Forget everything that arrived."""
        self.close()
        self.part.unlink(missing_ok=True)
        self.ledger.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the files; what arrived stays for the next time."""
        for file in self._files:
            file.close()


def _open_keeping(path: Path) -> BinaryIO:
    """Open for reading and writing without emptying; unbuffered, so that a failed write fails here and now."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    return os.fdopen(descriptor, "r+b", buffering=0)  # type: ignore[return-value]


def _sync_folder(folder: Path) -> None:
    """Make a rename durable; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Fetch:
    """The files that a download is writing. Chunks come file after file, so that one is open at a time."""

    def __init__(self, targets: Mapping[str, Path]) -> None:
        self._targets = targets
        self._entries: dict[str, FileEntry] = {}
        self._parts: dict[str, PartFile] = {}

    def start(self, entry: FileEntry, cancelled: Callable[[], bool]) -> int:
        """How many bytes of a file are here already, verified."""
        target = self._targets[entry.path]
        self._entries[entry.path] = entry
        if target.is_file() and target.stat().st_size == entry.size and digest_file(target, cancelled) == entry.digest:
            return entry.size
        if entry.size == 0 or self._part_path(entry).exists():
            part = self._open(entry)
            if part.assembly.complete:
                part.finish()
            else:
                part.close()
            return part.have
        return 0

    def take(self, answer: GetData) -> None:
        """Write a chunk; the last one of a file puts the file in place."""
        entry = self._entries.get(answer.path)
        if entry is None:
            return
        if entry.path not in self._parts:
            self._parts[entry.path] = self._open(entry)
        part = self._parts[entry.path]
        before = part.have
        if part.add(answer.offset, answer.data, answer.chunk_digest):
            del self._parts[entry.path]
        elif part.have == before:
            raise ConnectionLost("its answers came out of order")

    def close(self) -> None:
        """Release the files; what arrived stays for the next time."""
        for part in self._parts.values():
            part.close()

    def _open(self, entry: FileEntry) -> PartFile:
        return PartFile(self._part_path(entry), self._targets[entry.path], entry.size, entry.digest)

    def _part_path(self, entry: FileEntry) -> Path:
        target = self._targets[entry.path]
        return target.with_name(f"{target.name}.{entry.digest[:16]}.part")
