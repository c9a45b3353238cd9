# SPDX-License-Identifier: Apache-2.0
"""Results on their way into place: flushed while the next ones arrive, and not said to be there before they are."""

from __future__ import annotations

import errno
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from interchange.digests import LEAF, digest_bytes
from interchange.download import Fetch
from interchange.messages import FileEntry, GetData
from interchange.service_errors import ConnectionLost
from interchange.transfer import DigestMismatch

CONTENTS = {"double/large": random.Random(1).randbytes(2 * LEAF + 9), "small": b"result", "empty": b""}
ENTRIES = [FileEntry(path, len(data), digest_bytes(data)) for path, data in CONTENTS.items()]


def answers(path: str, begin: int = 0) -> Iterator[GetData]:
    data = CONTENTS[path]
    for offset in range(begin, len(data), LEAF):
        piece = data[offset : offset + LEAF]
        yield GetData("job", path, offset, digest_bytes(piece), piece)


def never() -> bool:
    return False


@pytest.fixture
def targets(tmp_path: Path) -> dict[str, Path]:
    return {path: tmp_path / path for path in CONTENTS}


def begun(targets: dict[str, Path]) -> tuple[Fetch, list[int]]:
    fetch = Fetch(targets)
    return fetch, [fetch.start(entry, never) for entry in ENTRIES]


def test_files_arrive_while_others_are_flushed(targets: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, have = begun(targets)
    assert have == [0, 0, 0] and targets["empty"].read_bytes() == b""
    go, fsync = threading.Event(), os.fsync
    monkeypatch.setattr("os.fsync", lambda descriptor: go.wait(10.0) and fsync(descriptor))
    for path in CONTENTS:
        for answer in answers(path):
            fetch.take(answer)  # does not wait for the disk
    assert not targets["small"].exists() and not targets["double/large"].exists()
    go.set()
    fetch.finish()
    fetch.close()
    assert {path: target.read_bytes() for path, target in targets.items()} == CONTENTS
    assert len([path for path in targets["small"].parent.rglob("*") if path.is_file()]) == 3
    again, have = begun(targets)
    assert have == [len(data) for data in CONTENTS.values()]
    again.close()


def test_a_disk_that_refuses_is_said_at_the_end(targets: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    fetch, _ = begun(targets)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        for answer in answers("small"):
            fetch.take(answer)
        with pytest.raises(OSError, match="full"):
            fetch.finish()
        fetch.close()
    assert not targets["small"].exists() and not list(targets["small"].parent.glob("small*"))


def test_what_arrived_is_kept(targets: dict[str, Path]) -> None:
    fetch, _ = begun(targets)
    pieces = list(answers("double/large"))
    fetch.take(pieces[0])
    with pytest.raises(ConnectionLost, match="out of order"):
        fetch.take(pieces[2])
    fetch.close()
    fetch, have = begun(targets)
    assert have == [LEAF, 0, 0]
    for answer in answers("double/large", LEAF):
        fetch.take(answer)
    fetch.finish()
    fetch.close()
    assert targets["double/large"].read_bytes() == CONTENTS["double/large"]


def test_wrong_bytes_get_no_name(targets: dict[str, Path]) -> None:
    fetch, _ = begun(targets)
    with pytest.raises(DigestMismatch, match="A chunk"):
        fetch.take(GetData("job", "small", 0, ENTRIES[1].digest, b"Result"))
    with pytest.raises(DigestMismatch, match="A file"):
        fetch.take(GetData("job", "small", 0, digest_bytes(b"Result"), b"Result"))
    fetch.close()
    assert not list(targets["small"].parent.glob("small*"))
