# SPDX-License-Identifier: Apache-2.0
"""The content store: files by digest, uploads under way, and jobs' folders made out of them."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import Future
from pathlib import Path

import attrs

from interchange.digests import EMPTY
from interchange.errors import InputError
from interchange.messages import FileEntry, MissingFile, PutAck, PutChunk
from interchange.part_file import LEDGER, PartFile
from interchange.paths import join_inside
from interchange.service_errors import ServiceError

from .flushing import Flushing, Later
from .room import Room

_UNFLUSHED = 256 << 20  # bytes of whole contents that the disk may owe us; a slow disk would owe minutes otherwise


@attrs.frozen
class _Owed:
    """A whole content that a thread is flushing."""

    part: PartFile
    flushed: Future[None]

    @property
    def size(self) -> int:
        """In bytes."""
        return self.part.assembly.size


class ContentStore:
    """Contents that were received whole, and parts of those that were not.

    With `flushing`, whole contents are flushed beside the caller's thread. In all other respects it belongs to one.
    """

    def __init__(self, root: Path, flushing: Flushing | None = None, room: Room | None = None) -> None:
        """`room`: looked at before something is to be sent; None: never."""
        self.root, self._flushing, self._room = root, flushing, room
        self._uploading = root / "uploading"
        self._open: dict[str, PartFile] = {}
        self._owed: dict[str, _Owed] = {}
        self._wanted: dict[str, int] = {}  # digest -> size of what a job announced and we lack

    def path(self, digest: str) -> Path:
        """Where a content is, or would be."""
        return self.root / digest[:2] / digest

    def announce(self, files: Iterable[FileEntry]) -> list[MissingFile]:
        """Which contents must still be sent. Raises InputError (INPUT_MANIFEST), ServiceError (RES_DISK_FULL)."""
        lacking = [item for item in self.check(files).items() if not self._is_stored(*item)]
        found = [file for file in (self._missing(*item) for item in lacking) if file is not None]
        if self._room is not None:
            self._room.check(sum(file.size - file.have for file in found))
        self._wanted.update((file.digest, file.size) for file in found)
        return found

    def check(self, files: Iterable[FileEntry]) -> dict[str, int]:
        """Size by digest. InputError (INPUT_MANIFEST) if sizes contradict each other or what is stored."""
        sizes: dict[str, int] = {}
        for file in files:
            if sizes.setdefault(file.digest, file.size) != file.size or (file.size == 0) != (file.digest == EMPTY):
                raise _wrong_size(file.path)
        for item in sizes.items():
            self._is_stored(*item)
        return sizes

    def _is_stored(self, digest: str, size: int) -> bool:
        try:
            if self.path(digest).stat().st_size != size:
                raise _wrong_size(digest[:16])
        except FileNotFoundError:
            return False
        return True

    def _missing(self, digest: str, size: int) -> MissingFile | None:
        """None if it is whole after all: an empty file, or one that the disk had only to be waited for."""
        self._settle(digest)
        if self._is_stored(digest, size):
            return None
        if digest not in self._open and size > 0 and not self._part_path(digest, size).exists():
            return MissingFile(digest, size, 0)
        part = self._part(digest, size)
        if part.check():
            del self._open[digest]
            part.publish()
            _protect(part.target)
            return None
        return MissingFile(digest, size, part.have)

    def receive(self, chunk: PutChunk) -> PutAck | Later:
        """Store a chunk of an announced content; the answer's `credit` is what it gives back.

        With `flushing`, the answer to the last chunk of a content comes later, when the disk has it.

        Raises InputError (INPUT_DIGEST), ServiceError (JOB_STATE if nobody announced it), OSError.
        """
        self._settle(chunk.digest)
        if self.path(chunk.digest).exists():
            return PutAck(chunk.digest, chunk.size, len(chunk.data), stored=True)
        if self._wanted.get(chunk.digest) != chunk.size:
            raise _unwanted()
        part = self._part(chunk.digest, chunk.size)
        try:
            is_whole = part.append(chunk.offset, chunk.data, chunk.chunk_digest)
        except InputError:
            if part.assembly.complete:  # the whole was wrong and has been thrown away
                del self._open[chunk.digest]
            raise
        answer = PutAck(chunk.digest, part.have, len(chunk.data), stored=is_whole)
        return self._publish(part, answer) if is_whole else answer

    def _publish(self, part: PartFile, answer: PutAck) -> PutAck | Later:
        """Flush a whole content and give it its name; then it is answered for."""
        digest = part.assembly.digest
        del self._open[digest]

        def work() -> None:
            part.publish()
            _protect(part.target)

        if self._flushing is None:
            work()
            self._wanted.pop(digest, None)
            return answer
        flushed = self._flushing.begin(work)
        self._owed[digest] = _Owed(part, flushed)
        while sum(owed.size for owed in self._owed.values()) > max(_UNFLUSHED, part.assembly.size):
            self._settle(next(iter(self._owed)))

        def take() -> PutAck:
            self._settle(digest)
            flushed.result()
            if not part.target.exists():  # deleted since: not to be relied upon
                raise _unwanted()
            return answer

        return Later(flushed.done, take)

    def _settle(self, digest: str) -> None:
        """If a content is being flushed, wait until it has its name, or until the disk has refused it."""
        owed = self._owed.pop(digest, None)
        if owed is not None and owed.flushed.exception() is None:
            self._wanted.pop(digest, None)

    def _part(self, digest: str, size: int) -> PartFile:
        if digest not in self._open:
            self._open[digest] = PartFile(self._part_path(digest, size), self.path(digest), size, digest)
        return self._open[digest]

    def _part_path(self, digest: str, size: int) -> Path:
        return self._uploading / f"{digest}.{size}.part"

    def stored(self) -> list[Path]:
        """All contents that were received whole."""
        return [path for path in self.root.glob("??/*") if path.name.startswith(path.parent.name)]

    def touched_at(self, digest: str, size: int) -> float:
        """Unix seconds of the last byte that came of a content; 0 if none did."""
        times = [0.0]
        for path in (self.path(digest), self._part_path(digest, size)):
            with contextlib.suppress(FileNotFoundError):
                times.append(path.stat().st_mtime)
        return max(times)

    def discard(self, digest: str) -> None:
        """Delete a content, or what has arrived of it. To be asked for one that no job refers to."""
        self._settle(digest)
        part = self._open.pop(digest, None)
        if part is not None:
            part.close()
        self._wanted.pop(digest, None)
        for path in (self.path(digest), *self._uploading.glob(f"{digest}.*")):
            path.unlink(missing_ok=True)

    def sweep(self, age_s: float) -> None:
        """Delete parts that nobody has touched for so long, and ledgers whose part has become a file."""
        if not self._uploading.exists():
            return
        for part in self._uploading.iterdir():
            is_done = part.suffix == LEDGER and not part.with_suffix("").exists()
            if is_done or time.time() - part.stat().st_mtime > age_s:
                part.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the parts; they are found again."""
        for digest in list(self._owed):
            self._settle(digest)
        for part in self._open.values():
            part.close()
        self._open.clear()


def materialise(store: Path, files: Iterable[tuple[str, str]], folder: Path) -> None:
    """Put contents into a folder under their paths: (path, digest). Hard links where possible, copies elsewhere.

    May be done again over a half-filled folder. Raises InputError (unsafe path), OSError.
    """
    contents = ContentStore(store)
    for path, digest in files:
        target = join_inside(folder, path)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.hardlink_to(contents.path(digest))
        except OSError:
            part = target.with_name(target.name + ".part")
            shutil.copyfile(contents.path(digest), part)
            os.replace(part, target)


def _protect(path: Path) -> None:
    """Stored contents are shared by jobs through hard links: nobody writes into them."""
    if os.name == "posix":
        path.chmod(0o400)


def _unwanted() -> ServiceError:
    return ServiceError("JOB_STATE", "A file was sent that no job announced.", "Create the job first.")


def _wrong_size(name: str) -> InputError:
    return InputError(f"The size of {name} does not fit its digest.", "Describe the files anew.", "INPUT_MANIFEST")
