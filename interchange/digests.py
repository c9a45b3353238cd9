# SPDX-License-Identifier: Apache-2.0
"""The one digest of the protocol and its stores: SHA-256 over a tree of two levels, as 64 lower-case hex digits.

A content is cut into leaves of 1 MiB; the last one is what is left. A leaf's digest is SHA-256 of a byte 0 and its
bytes. A content of one leaf has that leaf's digest; a longer one has that of a byte 1 and its leaves' digests, in their
order. The first byte keeps the two kinds apart, as in RFC 6962, 2.1: no content can pass for a list of digests.

So a chunk that is a leaf needs to be digested once, for itself and for its file, and a file can be named before it is
sent without digesting anything again. hashlib hands SHA-256 to OpenSSL, which uses the processor's own instructions for
it where there are any; Blender's Python has nothing faster.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .errors import Cancelled

DIGEST_BYTES = 32
LEAF = 1 << 20
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_OF_LEAF, _OF_LEAVES = b"\0", b"\1"


class TreeHasher:
    """A hasher to be fed piece by piece, however the content is cut."""

    def __init__(self) -> None:
        self.size = 0
        self._whole: list[bytes] = []  # digests of the leaves that are full, or were said to be whole
        self._leaf = hashlib.sha256(_OF_LEAF)

    def update(self, data: bytes | bytearray | memoryview) -> None:
        """The next bytes."""
        view = memoryview(data)
        while len(view) > 0:
            piece = view[: LEAF - self.size % LEAF]
            self._leaf.update(piece)
            self.size += len(piece)
            view = view[len(piece) :]
            if self.size % LEAF == 0:
                self._whole.append(self._leaf.digest())
                self._leaf = hashlib.sha256(_OF_LEAF)

    def add_leaf(self, digest: str, length: int) -> None:
        """The next leaf, whose digest is known. One that is not full must be the last. ValueError if it is no leaf."""
        if self.size % LEAF or not 0 < length <= LEAF:
            raise ValueError(f"{length} bytes at {self.size} are no leaf")
        self._whole.append(bytes.fromhex(digest))
        self.size += length

    def leaves(self) -> list[bytes]:
        """The digests of all leaves so far; an empty content has one leaf, without bytes."""
        is_open = len(self._whole) * LEAF < self.size or not self._whole
        return [*self._whole, self._leaf.digest()] if is_open else list(self._whole)

    def hexdigest(self) -> str:
        """The digest of all that came."""
        leaves = self.leaves()
        if len(leaves) == 1:
            return leaves[0].hex()
        return hashlib.sha256(_OF_LEAVES + b"".join(leaves)).hexdigest()


def is_leaf(offset: int, length: int, size: int) -> bool:
    """True if these bytes of a content of `size` bytes are one of its leaves."""
    return offset % LEAF == 0 and length == min(LEAF, size - offset)


def digest_bytes(data: bytes | bytearray | memoryview) -> str:
    """Digest of a buffer, as 64 hex digits."""
    hasher = TreeHasher()
    hasher.update(data)
    return hasher.hexdigest()


def hash_file(path: Path, cancelled: Callable[[], bool] = lambda: False) -> TreeHasher:
    """The hasher of a file's content. Raises OSError if it cannot be read, Cancelled when told to stop."""
    hasher, block = TreeHasher(), memoryview(bytearray(LEAF))
    with open(path, "rb", buffering=0) as file:
        while length := file.readinto(block):
            if cancelled():
                raise Cancelled
            hasher.update(block[:length])
    return hasher


def digest_file(path: Path, cancelled: Callable[[], bool] = lambda: False) -> str:
    """Digest of a file's content. Raises OSError if it cannot be read, Cancelled when told to stop."""
    return hash_file(path, cancelled).hexdigest()


def digest_json(value: Any) -> str:
    """Digest of a JSON value in one canonical spelling: sorted keys, no spaces, ASCII only."""
    return digest_bytes(json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii"))


def is_digest(text: str) -> bool:
    """True for 64 lower-case hex digits."""
    return bool(_HEX.match(text))


EMPTY = digest_bytes(b"")
