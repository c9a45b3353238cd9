# SPDX-License-Identifier: Apache-2.0
"""Files that arrive in chunks, on disk: a part that grows beside its target, and takes its place when it is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from .transfer import Assembly, DigestMismatch

LEDGER = ".chunks"
"""Ending of the file beside a part that holds the digests of its chunks."""


class PartFile:
    """An `Assembly` on disk: `part` grows, then becomes `target` in one step, so that `target` is always whole."""

    def __init__(self, part: Path, target: Path, size: int, digest: str) -> None:
        """Open or create the part. Raises OSError."""
        self.part, self.target = part, target
        self.ledger = part.with_name(part.name + LEDGER)
        part.parent.mkdir(parents=True, exist_ok=True)
        self._files = [_open_keeping(part), _open_keeping(self.ledger)]
        self.assembly = Assembly(size, digest, self._files[0], self._files[1])

    @property
    def have(self) -> int:
        """Bytes of the verified prefix."""
        return self.assembly.have

    def append(self, offset: int, chunk: bytes | memoryview, chunk_digest: str) -> bool:
        """Append a chunk; True if it was the last one: then the whole is verified, and `publish` is due.

        On a wrong file digest the part is thrown away (DigestMismatch). A chunk out of turn changes nothing.
        """
        return self.assembly.add(offset, chunk, chunk_digest) and self.check()

    def check(self) -> bool:
        """True if all is there and is what was announced; if all is there and is not, see `append`."""
        if not self.assembly.complete:
            return False
        try:
            self.assembly.check()
        except DigestMismatch:
            self.discard()
            raise
        return True

    def publish(self) -> None:
        """Flush a whole file to the disk and rename it. Touches nothing else: another thread may do it.

        If the disk does not take it, nobody knows which bytes it has; then the part is thrown away (OSError).
        """
        try:
            os.fsync(self._files[0].fileno())
        except OSError:
            self.discard()
            raise
        finally:
            self.close()
        self.target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(self.part, self.target)
        _sync_folder(self.target.parent)
        self.ledger.unlink(missing_ok=True)

    def add(self, offset: int, chunk: bytes | memoryview, chunk_digest: str) -> bool:
        """`append`, and `publish` if it is due. True if the file is now in place."""
        is_whole = self.append(offset, chunk, chunk_digest)
        if is_whole:
            self.publish()
        return is_whole

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
