# SPDX-License-Identifier: Apache-2.0
"""The one digest of the protocol and its stores: BLAKE2b with 32 bytes (RFC 7693), as 64 lower-case hex digits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any, Protocol

from .errors import Cancelled

DIGEST_BYTES = 32
BLOCK = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}\Z")


def new_hasher() -> hashlib.blake2b:
    """A hasher to be fed piece by piece."""
    return hashlib.blake2b(digest_size=DIGEST_BYTES)


class Hasher(Protocol):
    """What is fed piece by piece."""

    def update(self, data: bytes | memoryview, /) -> None:
        """The next bytes."""

    def hexdigest(self) -> str:
        """The digest of all that came."""


class BackgroundHasher:
    """A hasher whose `update` returns at once: a thread, at most one piece behind, does the work.

    The pieces must not change meanwhile. `executor` must have one thread, so that pieces stay in order.
    """

    def __init__(self, executor: Executor) -> None:
        self._hasher, self._executor = new_hasher(), executor
        self._last: Future[None] | None = None

    def update(self, data: bytes | memoryview, /) -> None:
        """The next bytes."""
        self._wait()
        self._last = self._executor.submit(self._hasher.update, data)

    def hexdigest(self) -> str:
        """The digest of all that came."""
        self._wait()
        return self._hasher.hexdigest()

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()


def digest_bytes(data: bytes | bytearray | memoryview) -> str:
    """Digest of a buffer, as 64 hex digits."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def digest_file(path: Path, cancelled: Callable[[], bool] = lambda: False) -> str:
    """Digest of a file's content. Raises OSError if it cannot be read, Cancelled when told to stop."""
    hasher = new_hasher()
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            if cancelled():
                raise Cancelled
            hasher.update(block)
    return hasher.hexdigest()


def digest_json(value: Any) -> str:
    """Digest of a JSON value in one canonical spelling: sorted keys, no spaces, ASCII only."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii"))


def is_digest(text: str) -> bool:
    """True for 64 lower-case hex digits."""
    return bool(_HEX.match(text))


EMPTY = digest_bytes(b"")
