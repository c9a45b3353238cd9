# SPDX-License-Identifier: Apache-2.0
"""What may go from the service's disk: jobs that ended long ago, uploads nobody goes on with, files of no job.

Nothing goes by itself but abandoned uploads, unless the settings say how long jobs are kept. First the job list forgets
a job, then its files go: a crash in between leaves files of no job, which the next thorough look finds.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path

import attrs

from interchange.digests import is_digest
from interchange.messages import CREATED, FINAL_STATES, UPLOADING, GcReport

from .blobs import ContentStore
from .settings import Settings
from .store import JobRecord, JobStore


@attrs.frozen
class Plan:
    """Jobs to be forgotten, folders without a job, contents without a job; bytes that come free."""

    jobs: list[JobRecord]
    folders: list[Path]
    contents: list[str]
    size: int

    def report(self) -> GcReport:
        """As it goes over the wire."""
        return GcReport(self.size, len(self.folders) + len(self.contents), [job.job_id for job in self.jobs])


class Retention:
    """Plans what goes, and lets it go one by one, so that nobody waits. `is_busy`: a worker still holds the job."""

    def __init__(
        self, settings: Settings, store: JobStore, contents: ContentStore, is_busy: Callable[[str], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._settings, self._store, self._contents = settings, store, contents
        self._is_busy, self._clock = is_busy, clock
        self._due: deque[Callable[[], None]] = deque()

    def usual(self) -> Plan:
        """What goes by itself."""
        return self._plan(self._settings.keep_s, thorough=False)

    def thorough(self, older_s: float | None = None) -> Plan:
        """What a person may ask for: also everything that no job needs. `older_s`: None as in the settings."""
        return self._plan(self._settings.keep_s if older_s is None else older_s, thorough=True)

    def _plan(self, older_s: float | None, thorough: bool) -> Plan:
        now = self._clock()
        given_up = now - self._settings.abandoned_upload_s
        jobs = self._store.untouched_since((CREATED, UPLOADING), given_up)
        jobs = [job for job in jobs if self._last_byte_at(job) < given_up]
        if older_s is not None:
            jobs += self._store.untouched_since(FINAL_STATES, now - older_s)
        jobs = [job for job in jobs if not self._is_busy(job.job_id)]
        if not jobs and not thorough:
            return Plan([], [], [], 0)
        needed = self._store.needed_without({job.number for job in jobs})
        freed = {file.digest: file.size for job in jobs for file in self._store.files(job, output=False)}
        size = sum(freed[digest] for digest in freed.keys() - needed)
        size += sum(_own_size(self._settings.job_folder(job.job_id).root) for job in jobs)
        folders: list[Path] = []
        contents: list[str] = []
        if thorough:
            folders = [path for path in _children(self._settings.state / "jobs") if self._is_nobodys(path)]
            stray = [path for path in self._contents.stored() if path.name not in needed and path.name not in freed]
            contents = [path.name for path in stray]
            size += sum(_own_size(path) for path in folders) + sum(path.stat().st_size for path in stray)
        return Plan(jobs, folders, contents, size)

    def _last_byte_at(self, job: JobRecord) -> float:
        files = self._store.files(job, output=False)
        return max((self._contents.touched_at(file.digest, file.size) for file in files), default=0.0)

    def begin(self, plan: Plan) -> None:
        """Let it go, by and by: see `step`."""
        for job in plan.jobs:
            self._due.append(lambda job=job: self._forget(job))  # type: ignore[misc]
        for folder in plan.folders:
            self._due.append(lambda folder=folder: self._clear(folder))  # type: ignore[misc]
        for digest in plan.contents:
            self._due.append(lambda digest=digest: self._release([digest]))  # type: ignore[misc]

    @property
    def is_busy(self) -> bool:
        """True while something is left to be deleted."""
        return bool(self._due)

    def step(self) -> None:
        """Delete the next thing, unless it is needed again."""
        if self._due:
            self._due.popleft()()

    def delete(self, job: JobRecord) -> None:
        """Forget a job and delete what only it needed."""
        digests = [file.digest for file in self._store.files(job, output=False)]
        self._store.delete(job.job_id)
        shutil.rmtree(self._settings.job_folder(job.job_id).root, ignore_errors=True)
        self._release(digests)

    def _forget(self, planned: JobRecord) -> None:
        job = self._store.find(planned.job_id)
        if job is not None and job.updated_at == planned.updated_at and not self._is_busy(job.job_id):
            self.delete(job)

    def _clear(self, folder: Path) -> None:
        if self._is_nobodys(folder):
            shutil.rmtree(folder, ignore_errors=True)

    def _release(self, digests: Iterable[str]) -> None:
        for digest in set(digests):
            if is_digest(digest) and not self._store.refers_to(digest):
                self._contents.discard(digest)

    def _is_nobodys(self, folder: Path) -> bool:
        return self._store.find(folder.name) is None and not self._is_busy(folder.name)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _own_size(folder: Path) -> int:
    """Bytes of a folder's files, without those that are other names of stored contents."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(place, name))
            size += status.st_size if status.st_nlink == 1 else 0
    return size
