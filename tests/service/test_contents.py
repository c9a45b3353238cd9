# SPDX-License-Identifier: Apache-2.0
"""The content store by itself: contents stored once, room on the disk, what is abandoned."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from backend.service.blobs import ContentStore, materialise
from backend.service.room import Room
from interchange import messages as wire
from interchange.digests import EMPTY, digest_bytes
from interchange.errors import InputError
from interchange.service_errors import ServiceError


def chunk(data: bytes, offset: int = 0, length: int | None = None) -> wire.PutChunk:
    piece = data[offset:] if length is None else data[offset : offset + length]
    return wire.PutChunk(digest_bytes(data), len(data), offset, digest_bytes(piece), piece)


def test_contents_are_stored_once_and_put_into_folders(tmp_path: Path) -> None:
    contents = ContentStore(tmp_path / "store")
    contents.root.mkdir()
    data = b"some content" * 100
    entry = wire.FileEntry("a/b", len(data), digest_bytes(data))
    empty = wire.FileEntry("e", 0, EMPTY)
    assert contents.announce([entry, entry, empty]) == [wire.MissingFile(entry.digest, entry.size, 0)]
    assert contents.receive(chunk(data, 0, 500)).have == 500
    assert contents.announce([entry])[0].have == 500
    contents.close()
    contents = ContentStore(tmp_path / "store")
    assert contents.announce([entry])[0].have == 500
    assert contents.receive(chunk(data, 500)).stored and contents.announce([entry, empty]) == []
    assert contents.receive(chunk(data)).stored  # again
    for _ in range(2):
        materialise(contents.root, [("a/b", entry.digest), ("c", entry.digest), ("e", EMPTY)], tmp_path / "in")
    assert (tmp_path / "in/a/b").read_bytes() == (tmp_path / "in/c").read_bytes() == data
    assert (tmp_path / "in/c").samefile(contents.path(entry.digest)) and (tmp_path / "in/e").read_bytes() == b""
    with pytest.raises(InputError):
        materialise(contents.root, [("../x", entry.digest)], tmp_path / "in")


@pytest.mark.parametrize(("fails", "again"), [("os.replace", 100), ("os.fsync", 1000)])
def test_the_last_byte_came_but_the_name_did_not(
    fails: str, again: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped between the last write and the renaming: only the last piece is sent again, but all of it if the disk
    would not say that it has it."""
    contents = ContentStore(tmp_path)
    data = b"x" * 1000
    entry = wire.FileEntry("f", 1000, digest_bytes(data))
    contents.announce([entry])
    contents.receive(chunk(data, 0, 600))
    contents.receive(chunk(data, 600, 300))
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr(fails, lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        contents.receive(chunk(data, 900))
    assert contents.announce([entry]) == [wire.MissingFile(entry.digest, 1000, 1000 - again)]
    assert contents.receive(chunk(data, 1000 - again)).stored
    assert contents.announce([entry]) == [] and contents.path(entry.digest).read_bytes() == data
    contents.close()


@pytest.mark.parametrize(
    ("disk_gb", "keep", "kept_mb"),
    [(0.09, None, 64), (20, None, 1000), (4000, None, 5000), (4000, 200_000_000_000, 200_000), (0.09, 8_000_000, 8)],
)
def test_a_twentieth_of_the_disk_or_5_gb_stay_free(disk_gb: float, keep: int | None, kept_mb: int) -> None:
    kept = kept_mb * 1_000_000

    def with_free(free: int) -> Room:
        return Room(Path("/disk"), keep, lambda _: (int(disk_gb * 1e9), 0, free))

    with_free(kept + 3_000_000).check(3_000_000)
    with_free(0).check(0)
    with pytest.raises(ServiceError) as caught:
        with_free(kept + 2_999_999).check(3_000_000)
    assert (caught.value.code, caught.value.retry) == ("RES_DISK_FULL", "later")
    free = f"{kept_mb + 3} MB are free, of which it keeps {kept_mb} MB."
    assert caught.value.message == f"The service's disk has no room for the 3 MB of this job: {free}"
    assert caught.value.hint == "Make room where /disk is, or lower keep_free_mb in the service's settings."
    assert with_free(kept).shortage() == ""
    assert with_free(kept - 1).shortage().startswith(f"The service's disk has less than {kept_mb} MB free: no job")


def test_what_has_arrived_needs_no_room(tmp_path: Path) -> None:
    free = [10_000]
    contents = ContentStore(tmp_path, room=Room(tmp_path, 9_000, lambda _: (1 << 40, 0, free[0])))
    data = b"x" * 1000
    entry = wire.FileEntry("f", 1000, digest_bytes(data))
    contents.announce([entry])
    contents.receive(chunk(data, 0, 600))
    free[0] = 9_400
    assert contents.announce([entry])[0].have == 600
    free[0] = 9_399
    with pytest.raises(ServiceError, match="no room"):
        contents.announce([entry])
    contents.receive(chunk(data, 600))
    assert contents.announce([entry]) == []
    contents.close()


def test_abandoned_uploads_are_swept(tmp_path: Path) -> None:
    contents = ContentStore(tmp_path)
    data = b"x" * 1000
    contents.announce([wire.FileEntry("f", 1000, digest_bytes(data))])
    contents.receive(chunk(data, 0, 600))
    contents.close()
    contents.sweep(3600.0)
    assert len(list((tmp_path / "uploading").iterdir())) == 2
    contents.sweep(-1.0)
    assert not list((tmp_path / "uploading").iterdir())
