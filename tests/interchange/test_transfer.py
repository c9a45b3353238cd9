# SPDX-License-Identifier: Apache-2.0
"""Chunks, credit, resuming and safe paths, without any network."""

from __future__ import annotations

import errno
import hashlib
import io
import random
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interchange.digests import LEAF, TreeHasher, digest_bytes, digest_file, digest_json, is_digest, is_leaf
from interchange.errors import Cancelled, InputError
from interchange.messages import MissingFile
from interchange.part_file import PartFile
from interchange.paths import check_distinct, check_relative_path, join_inside, scan_folder
from interchange.transfer import Assembly, DigestMismatch, Eta, Inbox, Outbox

CHUNK = 100


def chunks(data: bytes, start: int = 0) -> list[tuple[int, bytes, str]]:
    pieces = [(at, data[at : at + CHUNK]) for at in range(start, len(data), CHUNK)]
    return [(at, piece, digest_bytes(piece)) for at, piece in pieces]


def part(folder: Path, data: bytes) -> PartFile:
    return PartFile(folder / "x.part", folder / "x", len(data), digest_bytes(data))


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc" * 1_000_000)
    assert digest_file(tmp_path / "f") == digest_bytes(b"abc" * 1_000_000)
    assert digest_json({"b": 1, "a": [1.5, None]}) == digest_json({"a": [1.5, None], "b": 1})
    assert is_digest(digest_bytes(b"")) and not is_digest("A" * 64) and not is_digest("0" * 64 + "\n")
    with pytest.raises(Cancelled):
        digest_file(tmp_path / "f", lambda: True)


def test_a_digest_is_that_of_the_leaves_digests() -> None:
    """Beside another implementation, in two lines; at the sizes where the number of leaves changes."""

    def by_hand(data: bytes) -> str:
        leaves = [hashlib.sha256(b"\0" + data[at : at + LEAF]).digest() for at in range(0, len(data) or 1, LEAF)]
        return leaves[0].hex() if len(leaves) == 1 else hashlib.sha256(b"\1" + b"".join(leaves)).hexdigest()

    content = random.Random(6).randbytes(3 * LEAF + 5)
    found = set()
    for size in (0, 1, LEAF - 1, LEAF, LEAF + 1, 2 * LEAF - 1, 2 * LEAF, 2 * LEAF + 1, 3 * LEAF, 3 * LEAF + 5):
        digest = digest_bytes(memoryview(content)[:size])
        assert digest == by_hand(content[:size])
        found.add(digest)
    assert len(found) == 10
    leaves = b"".join(bytes.fromhex(digest_bytes(content[at : at + LEAF])) for at in range(0, 2 * LEAF, LEAF))
    assert digest_bytes(leaves) != digest_bytes(content[: 2 * LEAF])  # a content that is a list of digests


@given(st.integers(0, 3), st.integers(0, 5), st.lists(st.integers(1, 2 * LEAF), max_size=8), st.booleans())
@settings(max_examples=30, deadline=None)
def test_the_cut_changes_no_digest(leaves: int, more: int, cuts: list[int], known: bool) -> None:
    """Whatever the pieces; those that are leaves may come as their digests."""
    content = random.Random(leaves).randbytes(leaves * LEAF + more)
    hasher, at = TreeHasher(), 0
    for length in [*cuts, *[LEAF] * 4]:
        piece = content[at : at + length]
        if known and len(piece) > 0 and is_leaf(at, len(piece), len(content)):
            hasher.add_leaf(digest_bytes(piece), len(piece))
        else:
            hasher.update(piece)
        at += len(piece)
    hasher.update(content[at:])
    assert hasher.size == len(content) and hasher.hexdigest() == digest_bytes(content)
    assert len(hasher.leaves()) == max(1, -(-len(content) // LEAF))


def test_what_is_no_leaf() -> None:
    hasher = TreeHasher()
    for length in (0, LEAF + 1):
        with pytest.raises(ValueError, match="no leaf"):
            hasher.add_leaf("0" * 64, length)
    hasher.add_leaf("0" * 64, 5)
    with pytest.raises(ValueError, match="at 5 are no leaf"):
        hasher.add_leaf("0" * 64, 5)


# -- receiving --------------------------------------------------------------------------------------------------------


def leaves_of(data: bytes) -> list[tuple[int, bytes, str]]:
    pieces = [(at, data[at : at + LEAF]) for at in range(0, len(data), LEAF)]
    return [(at, piece, digest_bytes(piece)) for at, piece in pieces]


@pytest.mark.parametrize("cut", [chunks, leaves_of])
@pytest.mark.parametrize("promised", ["the file's", "another's"])
def test_a_whole_is_made_of_its_chunks(promised: str, cut: Callable[[bytes], Any], tmp_path: Path) -> None:
    """Chunks count in their order, also those of before an interruption; a wrong file is found at its end."""
    data = random.Random(4).randbytes(950 if cut is chunks else 9 * LEAF // 2)
    digest = digest_bytes(data if promised == "the file's" else data[:-1])

    def opened() -> PartFile:
        return PartFile(tmp_path / "x.part", tmp_path / "x", len(data), digest)

    file, pieces = opened(), cut(data)
    for piece in pieces[:3]:
        assert not file.add(*piece)
    file.close()
    file = opened()
    assert file.have == pieces[3][0]
    for piece in pieces[3:-1]:
        assert not file.add(*piece)
    if promised == "the file's":
        assert file.add(*pieces[-1]) and (tmp_path / "x").read_bytes() == data
    else:
        with pytest.raises(DigestMismatch):
            file.add(*pieces[-1])
        assert not list(tmp_path.iterdir())


def test_leaves_in_another_order_are_no_file(tmp_path: Path) -> None:
    """Each chunk is what it says, and the bytes are all there."""
    data = random.Random(5).randbytes(3 * LEAF)
    receiver = part(tmp_path, data)
    first, second, third = leaves_of(data)
    assert not receiver.add(*first)
    assert not receiver.add(second[0], third[1], third[2])
    with pytest.raises(DigestMismatch, match="file"):
        receiver.add(third[0], second[1], second[2])
    assert not list(tmp_path.iterdir())


def test_a_disk_that_does_not_flush_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed flush the system may have dropped any of the bytes, and would say nothing the next time."""
    receiver = part(tmp_path, bytes(300))
    for piece in chunks(bytes(300))[:-1]:
        receiver.add(*piece)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="error"):
        patch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "error")))
        receiver.add(*chunks(bytes(300))[-1])
    assert not list(tmp_path.iterdir())


def test_a_file_arrives(tmp_path: Path) -> None:
    data = random.Random(1).randbytes(1234)
    receiver = part(tmp_path, data)
    outcome = [receiver.add(*chunk) for chunk in chunks(data)]
    assert outcome == [False] * 12 + [True]
    assert (tmp_path / "x").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_cut_at_any_byte_resumes(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Cut part and ledger anywhere, as a crash may: what is kept is a prefix, and the file still arrives."""
    folder = tmp_path_factory.mktemp("cut")
    content = random.Random(data.draw(st.integers(0, 9))).randbytes(data.draw(st.integers(1, 1000)))
    pieces = chunks(content)
    first = part(folder, content)
    for piece in pieces[: data.draw(st.integers(0, len(pieces) - 1))]:
        first.add(*piece)
    had = first.have
    first.close()
    for name in ("x.part", "x.part.chunks"):
        stored = (folder / name).read_bytes()
        (folder / name).write_bytes(stored[: data.draw(st.integers(0, len(stored)))])
    if data.draw(st.booleans()) and (stored := bytearray((folder / "x.part").read_bytes())):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= 1
        (folder / "x.part").write_bytes(stored)
    second = part(folder, content)
    assert second.have <= had and second.have % CHUNK == 0
    assert (folder / "x.part").read_bytes() == content[: second.have]
    for piece in chunks(content, second.have):
        second.add(*piece)
    assert (folder / "x").read_bytes() == content


def test_an_undamaged_part_is_kept_whole(tmp_path: Path) -> None:
    data = bytes(1000)
    first = part(tmp_path, data)
    for piece in chunks(data)[:7]:
        first.add(*piece)
    first.close()
    again = part(tmp_path, data)
    assert again.have == 700
    again.discard()
    assert not list(tmp_path.iterdir())


def test_chunks_out_of_turn_change_nothing(tmp_path: Path) -> None:
    data = random.Random(2).randbytes(300)
    receiver = part(tmp_path, data)
    first, second, third = chunks(data)
    for piece in (second, first, first, third, second, first):
        receiver.add(*piece)
    assert receiver.have == 200
    assert receiver.add(*third)
    assert (tmp_path / "x").read_bytes() == data


def test_wrong_bytes_are_refused(tmp_path: Path) -> None:
    data = bytes(300)
    receiver = part(tmp_path, data)
    with pytest.raises(DigestMismatch, match="chunk"):
        receiver.add(0, b"x" * 100, digest_bytes(b"y" * 100))
    with pytest.raises(InputError, match="fit"):
        receiver.add(0, b"x" * 301, digest_bytes(b"x" * 301))
    with pytest.raises(InputError, match="fit"):
        receiver.add(0, b"", digest_bytes(b""))
    assert receiver.have == 0
    wrong = b"w" * 300
    receiver.add(*chunks(wrong)[0])
    receiver.add(*chunks(wrong)[1])
    with pytest.raises(DigestMismatch, match="file"):
        receiver.add(*chunks(wrong)[2])
    assert not list(tmp_path.iterdir())


class FullDisk(io.BytesIO):
    """Takes `room` bytes, the last write only in part."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(len(data), self.room)
        self.room -= taken
        return super().write(bytes(data[:taken]))


@pytest.mark.parametrize("full", ["data", "ledger"])
def test_a_full_disk_loses_nothing(full: str) -> None:
    content = random.Random(3).randbytes(300)
    data, ledger = FullDisk(10**6), FullDisk(10**6)
    victim = data if full == "data" else ledger
    victim.room = 150 if full == "data" else 50
    assembly = Assembly(len(content), digest_bytes(content), data, ledger)
    first, second, third = chunks(content)
    assembly.add(*first)
    with pytest.raises(OSError, match="No space"):
        assembly.add(*second)
    assert assembly.have == 100 and data.getvalue() == content[:100]
    victim.room = 10**6
    assert Assembly(len(content), digest_bytes(content), data, ledger).have == 100  # as after a restart
    assert assembly.add(*second) and assembly.add(*third)
    assembly.check()
    assert data.getvalue() == content


# -- sending ----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.integers(100, 500), st.data())
def test_outbox_against_a_forgetful_receiver(sizes: list[int], credit: int, data: st.DataObject) -> None:
    """The receiver now and then throws a file's progress away; credit is never overdrawn and everything arrives."""
    names = [f"{i:064x}" for i in range(len(sizes))]
    have = dict.fromkeys(names, 0)
    total = dict(zip(names, sizes, strict=True))
    outbox = Outbox([MissingFile(name, total[name], 0) for name in names], credit, CHUNK)
    wire: deque[object] = deque()
    losses = 3
    for _ in range(2000):
        if outbox.done:
            break
        while (piece := outbox.next()) is not None:
            wire.append(piece)
        assert sum(p.length for p in wire) + outbox.credit == credit and outbox.credit >= 0
        piece = wire.popleft()  # IndexError here would be a standstill
        if losses and data.draw(st.integers(0, 9)) == 0 and have[piece.digest] < total[piece.digest]:
            have[piece.digest], losses = 0, losses - 1
        if piece.offset == have[piece.digest]:
            have[piece.digest] += piece.length
        now = have[piece.digest]
        outbox.acknowledge(piece.digest, now, now == total[piece.digest], piece.length)
    assert outbox.done and have == total and outbox.have == outbox.total


def test_outbox_sends_only_what_lacks() -> None:
    outbox = Outbox([MissingFile("0" * 64, 250, 200)], 1000, CHUNK)
    piece = outbox.next()
    assert piece is not None and (piece.offset, piece.length) == (200, 50)
    assert outbox.next() is None and outbox.sent == 50


@given(st.lists(st.integers(0, 900), max_size=6), st.integers(100, 500))
def test_inbox_asks_for_everything_once(sizes: list[int], window: int) -> None:
    inbox = Inbox([(str(i), size, 0) for i, size in enumerate(sizes)], window, CHUNK)
    got = dict.fromkeys(map(str, range(len(sizes))), 0)
    asked: deque[object] = deque()
    while not inbox.done:
        while (request := inbox.next()) is not None:
            asked.append(request)
        assert inbox.in_flight <= window
        request = asked.popleft()
        assert request.offset == got[request.path]
        got[request.path] += request.length
        inbox.received(request.length)
    assert list(got.values()) == sizes and inbox.next() is None


def test_eta_follows_the_present_pace() -> None:
    now = 0.0
    eta = Eta(lambda: now, span_s=10.0)
    assert eta.update(500, 1000) is None  # what a resumed transfer found there says nothing about its pace
    for _ in range(5):
        now += 1.0
        left = eta.update(500 + 10 * now, 1000)
    assert left == pytest.approx(45.0)
    for _ in range(20):
        now += 1.0
        left = eta.update(550 + 20 * (now - 5), 1000)
    assert left == pytest.approx((1000 - 950) / 20)
    assert eta.update(0, 1000) is None  # it began anew


# -- paths ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["a", "capture/views/front.exr", "ä ö/ü.png", "a.b/c..d", ".hidden", "con_1.txt"])
def test_good_paths(path: str) -> None:
    assert check_relative_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a/./b", "a//b", "a/", "C:/x", "C:x", "a\\b", "\\\\host\\x", "a\0b",
     "a\nb", "NUL", "con.txt", "a/COM1", "x.", "x ", "a:b", "x" * 201, "d/" * 250 + "x", "what?"],
)  # fmt: skip
def test_bad_paths(path: str) -> None:
    with pytest.raises(InputError) as caught:
        check_relative_path(path)
    assert caught.value.code == "INPUT_PATH" and len(str(caught.value)) < 300


@given(st.text(max_size=30))
def test_an_accepted_path_stays_inside(path: str) -> None:
    try:
        checked = join_inside(Path("/base/folder"), path)
    except InputError:
        return
    assert checked.resolve().is_relative_to("/base/folder") and checked != Path("/base/folder")


@pytest.mark.parametrize("paths", [["a", "A"], ["a/b", "a"], ["a", "a/b"], ["x/y", "X/Y"], ["STRASSE", "straße"]])
def test_colliding_paths(paths: list[str]) -> None:
    with pytest.raises(InputError, match="collides"):
        check_distinct(paths)


def test_symbolic_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/file").write_text("x")
    assert list(scan_folder(tmp_path)) == ["real/file"]
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(InputError, match="symbolic link"):
        join_inside(tmp_path, "link/file")
    with pytest.raises(InputError, match="symbolic link"):
        scan_folder(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        scan_folder(tmp_path / "none")
