# SPDX-License-Identifier: Apache-2.0
"""Work on many views at a time that goes on where it was when it is begun again."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from interchange.capture import Capture, View, write_json
from interchange.consent import sha256_of_file
from interchange.errors import Cancelled, Progress

_WRITE_EVERY_S = 0.5


class State:
    """Which views are finished, on disk soon after each of them.

    views: by name the digest of what each was made from. notes: by name what is to be known about it. To replace a file
    waits for the disk, some 80 ms, which sixteen threads would wait for in turn; what a kill leaves unwritten is made
    again.
    """

    def __init__(self, path: Path, key: str) -> None:
        self._path, self._key, self._lock = path, key, threading.Lock()
        self._written = 0.0
        self.views: dict[str, str] = {}
        self.notes: dict[str, Any] = {}
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))
            if earlier.get("key") == key:
                self.views, self.notes = dict(earlier["views"]), dict(earlier.get("notes", {}))
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            pass  # no state, or one that a crash left half: everything is made anew

    def begin(self, kept: Sequence[str]) -> None:
        """Forget the other views, on disk too and before any is touched: a kill must not leave a view that is made anew
        noted as what it was before.
        """
        with self._lock:
            self.views = {name: self.views[name] for name in kept}
            self.notes = {name: note for name, note in self.notes.items() if name in self.views}
            self._write()

    def finish(self, view: str, digest: str, note: Any = None) -> None:
        """Note a view."""
        with self._lock:
            self.views[view] = digest
            if note is not None:
                self.notes[view] = note
            if time.monotonic() - self._written > _WRITE_EVERY_S:
                self._write()

    def flush(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        content = {"key": self._key, "views": self.views}
        write_json(self._path, content | ({"notes": self.notes} if self.notes else {}))
        self._written = time.monotonic()


def digest_of_view(capture: Capture, view: View) -> str:
    """SHA-256 of a view's file; empty if it is not there."""
    path = capture.folder / view.exr
    return sha256_of_file(path) if path.is_file() else ""


def run_views(
    views: Sequence[View],
    work: Callable[[View], None],
    threads: int | None,
    total: int,
    stage: str,
    progress: Progress | None,
    cancelled: Callable[[], bool],
) -> None:
    """Call `work` for each view, several at a time (`threads`, None for one a core); `total` counts finished ones too.

    Raises what `work` raises, and Cancelled when told; what is begun by then is finished first.
    """
    stop = threading.Event()

    def guarded(view: View) -> None:
        if stop.is_set() or cancelled():
            raise Cancelled
        work(view)

    with ThreadPoolExecutor(threads or min(os.cpu_count() or 1, 16), thread_name_prefix=stage) as pool:
        futures = [pool.submit(guarded, view) for view in views]
        try:
            _follow(futures, total, stage, progress)
        finally:
            stop.set()
            for future in futures:
                future.cancel()


def _follow(futures: list[Future[None]], total: int, stage: str, progress: Progress | None) -> None:
    waiting = set(futures)
    while waiting:
        finished, waiting = wait(waiting, return_when=FIRST_EXCEPTION if progress is None else "FIRST_COMPLETED")
        for future in finished:
            future.result()
        if progress:
            done = total - len(waiting)
            progress(stage, done / total, f"{done} of {total} views")
