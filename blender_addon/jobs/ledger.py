# SPDX-License-Identifier: GPL-3.0-or-later
"""The history of jobs on disk: one JSON file a job, so that two Blenders never write over each other's. No bpy.

A thread writes, since a disk may take its time and Blender's window may not wait. Format: docs/formats/addon_files.md.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import threading
from pathlib import Path
from typing import Any

from .._interchange import whole_files
from .records import STATES, JobRecord

FORMAT, VERSION = "digidouble-job", 1
_FIELDS = {item.name: item for item in dataclasses.fields(JobRecord)}
_REQUIRED = ("job_id", "name", "kind", "backend_id", "parameters", "capture", "source", "results")


class Ledger:
    """Job records below one folder. Belongs to the main thread."""

    def __init__(self, folder: Path) -> None:
        """The folder is made with the first job."""
        self.folder = Path(folder)
        self._tasks: queue.SimpleQueue[tuple[Path, str | None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.problem: OSError | None = None

    def read(self) -> list[JobRecord]:
        """All records, oldest first. Files that are none of ours are left alone."""
        records = [record for path in sorted(self.folder.glob("*.json")) if (record := read_record(path)) is not None]
        return sorted(records, key=lambda record: record.created_at)

    def read_one(self, job_id: str) -> JobRecord | None:
        """A job's record, if it is there."""
        return read_record(self.folder / f"{job_id}.json")

    def save(self, record: JobRecord) -> None:
        """Write it, soon."""
        self._do(self._path(record), to_json(record))

    def remove(self, record: JobRecord) -> None:
        """Forget it, soon, with its picture."""
        self._do(self._path(record), None)

    def preview_path(self, job_id: str) -> Path:
        """Where the newest picture of a job is kept."""
        return self.folder / f"{job_id}.png"

    def lock_path(self, job_id: str) -> Path:
        """The file whose lock says which Blender looks after a job."""
        return self.folder / f"{job_id}.lock"

    def close(self, timeout_s: float = 2.0) -> None:
        """Finish what is to be written."""
        if self._thread is not None:
            self._tasks.put(None)
            self._thread.join(timeout_s)
            self._thread = None

    def _path(self, record: JobRecord) -> Path:
        return self.folder / f"{record.job_id}.json"

    def _do(self, path: Path, text: str | None) -> None:
        self._tasks.put((path, text))
        if self._thread is None:
            self._thread = threading.Thread(target=self._write, name="digidouble ledger", daemon=True)
            self._thread.start()

    def _write(self) -> None:
        while (task := self._tasks.get()) is not None:
            path, text = task
            try:
                if text is None:
                    for each in (path, path.with_suffix(".png"), path.with_suffix(".lock")):
                        with contextlib.suppress(OSError):
                            each.unlink(missing_ok=True)
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with whole_files.whole_file(path) as file:
                        file.write(text.encode("utf-8"))
            except OSError as error:
                self.problem = error  # the inbox says it; the job itself goes on


def to_json(record: JobRecord) -> str:
    """The text of a record's file."""
    return json.dumps({"format": FORMAT, "version": VERSION, **dataclasses.asdict(record)}, indent=1)


def read_record(path: Path) -> JobRecord | None:
    """The record in a file; None if it is damaged or of another kind. Fields that we do not know are ignored."""
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
        if values.get("format") != FORMAT or values.get("version") != VERSION or values.get("state") not in STATES:
            return None
        record = JobRecord(**{name: values[name] for name in _FIELDS if name in values})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record if all(isinstance(getattr(record, name), str | dict) for name in _REQUIRED) else None
