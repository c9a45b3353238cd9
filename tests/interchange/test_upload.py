# SPDX-License-Identifier: Apache-2.0
"""What is done with a job's files before and while they are sent, without any network."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from interchange import upload
from interchange.digests import EMPTY, LEAF, digest_bytes
from interchange.errors import Cancelled, InputError
from interchange.messages import Error, FileEntry, MissingFile, Pong
from interchange.service_errors import ConnectionLost, ErrorInfo
from interchange.transfer import DigestMismatch, Piece
from interchange.upload import Reader, describe


def silent(*_: object) -> None:
    """No progress wanted."""


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    sizes = {"b/large": 2 * LEAF + 7, "a": 100, "empty": 0, "c": LEAF}
    found = {}
    for number, (name, size) in enumerate(sizes.items()):
        found[name] = tmp_path / name.replace("/", "-")
        found[name].write_bytes(random.Random(number).randbytes(size))
    return found


def never() -> bool:
    return False


def test_everything_is_described_in_order(files: dict[str, Path]) -> None:
    said: list[tuple[str, float, str]] = []
    sources, entries = describe(files, never, lambda *progress: said.append(progress))
    assert entries == [
        FileEntry(path, files[path].stat().st_size, digest_bytes(files[path].read_bytes())) for path in sorted(files)
    ]
    assert said == [("prepare", number / 4, path) for number, path in enumerate(sorted(files), 1)]
    assert {source.path for source in sources.values()} == set(files.values())
    assert [len(sources[entry.digest].leaves) for entry in entries] == [1, 3, 1, 1]
    assert entries[-1].digest == EMPTY
    assert describe({}, never, silent) == ({}, [])


def test_a_file_that_cannot_be_read_ends_it(files: dict[str, Path], tmp_path: Path) -> None:
    files["b/none"] = tmp_path / "none"
    with pytest.raises(InputError, match="none cannot be read .No such file"):
        describe(files, never, silent)


def test_digesting_can_be_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the middle of a file; and the threads are gone when the caller knows it."""
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 40)  # a hole: it would take minutes to digest
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 2

    monkeypatch.setattr(upload, "_POLL_S", 0.02)
    with pytest.raises(Cancelled):
        describe({f"{i}": tmp_path / "huge" for i in range(6)}, cancelled, silent)
    assert asked == 3


@pytest.mark.parametrize("length", [1000, LEAF // 2, LEAF, 3 * LEAF // 2])
def test_pieces_carry_their_digests(length: int, files: dict[str, Path]) -> None:
    """Leaves those of before, all others fresh ones; files may come in any order."""
    sources, _ = describe(files, never, silent)
    reader = Reader(sources)
    for source in [*sources.values(), *reversed(sources.values())]:
        content = source.path.read_bytes()
        for offset in range(0, source.size, length if length >= LEAF // 2 else source.size // 3 + length):
            piece = Piece(source.digest, source.size, offset, min(length, source.size - offset))
            sent = reader.read(piece)
            assert bytes(sent.data) == content[offset : offset + length]
            assert sent.chunk_digest == digest_bytes(sent.data)
    reader.close()


def test_a_file_that_changes_is_not_sent_as_what_it_was(files: dict[str, Path]) -> None:
    """The digest is that of before, so the other end refuses what has changed; what became shorter is found here."""
    sources, entries = describe(files, never, silent)
    large = entries[1]
    with open(files["b/large"], "r+b") as file:
        file.seek(LEAF + 5)
        file.write(b"changed")
    reader = Reader(sources)
    sent = reader.read(Piece(large.digest, large.size, LEAF, LEAF))
    assert sent.chunk_digest != digest_bytes(sent.data)
    os.truncate(files["b/large"], 2 * LEAF)
    with pytest.raises(DigestMismatch, match="large does not match its digest"):
        reader.read(Piece(large.digest, large.size, 2 * LEAF, 7))
    files["c"].unlink()
    with pytest.raises(InputError, match="c cannot be read"):
        reader.read(Piece(entries[2].digest, LEAF, 0, LEAF))
    reader.close()


def shorten(path: Path) -> None:
    os.truncate(path, 5)


@pytest.mark.parametrize(
    ("have", "spoil", "expected", "words"),
    [
        (0, None, DigestMismatch, "A file does not match"),  # it is the other end's fault: said, not tried for ever
        (7, None, ConnectionLost, "had arrived earlier was damaged"),
        (7, shorten, DigestMismatch, "large does not match its digest"),  # ours: sending it again would not help
        (7, Path.unlink, InputError, "large cannot be read"),
    ],
)
def test_whose_fault_a_wrong_digest_is(
    have: int, spoil: Callable[[Path], None] | None, expected: type[Exception], words: str, files: dict[str, Path]
) -> None:
    sources, entries = describe(files, never, silent)
    missing = [MissingFile(entries[1].digest, entries[1].size, have)]
    if spoil is not None:
        spoil(files["b/large"])
    refusal = DigestMismatch("A file")
    error = Error(ErrorInfo(refusal.code, refusal.message, refusal.hint))
    with pytest.raises((InputError, ConnectionLost), match=words) as caught:
        upload._check(error, missing, sources)
    assert isinstance(caught.value, InputError if expected is DigestMismatch else expected)
    assert upload._check(Pong(), missing, sources) == Pong()
