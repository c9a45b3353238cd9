# SPDX-License-Identifier: Apache-2.0
"""The one job client: the add-on, the command line and the tests all use it.

    with JobClient(state_folder) as client:
        job_id = client.submit("double", parameters, scan_folder(inputs), progress=progress)
        client.wait(job_id, progress)
        client.download(job_id, out, progress)

Every call survives a server that is killed and started again, as long as it comes back within `Timing.patience_s`.
A client belongs to one thread.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, overload

from . import messages as wire
from .connection import Link
from .download import fetch_files
from .errors import Progress
from .paths import check_distinct, check_relative_path, join_inside
from .png import png_size
from .service_errors import ConnectionLost, ServiceError, raise_error
from .session import Session
from .transfer import Meter, TransferStatus
from .upload import Source, describe, send_missing


class JobClient(Session):
    """Submits jobs, watches them, fetches their results."""

    transfer: TransferStatus | None = None
    """How far the upload or download is that runs, or ran last."""

    # -- jobs ---------------------------------------------------------------------------------------------------------

    def submit(
        self,
        kind: str,
        parameters: dict[str, Any],
        files: Mapping[str, Path],
        job_id: str | None = None,
        progress: Progress | None = None,
        priority: int = 0,
    ) -> str:
        """Create a job, send the files that the service lacks, and queue it. Returns the job's id.

        `files`: path in the job's inputs folder ("capture/capture.json") -> file on disk. Doing it again with the same
        `job_id`, parameters and files changes nothing, except that a failed or cancelled job is taken up again where it
        stopped. Progress stages: "prepare" (digests), "upload". `priority`: see `prioritise`.

        Raises InputError (unreadable file, unsafe path, what the service says of the input), ServiceError, Cancelled.
        """
        job_id = job_id or uuid.uuid4().hex
        sources, entries = describe(files, self._cancelled, progress or _silent)
        create = wire.JobCreate(job_id, kind, wire.JobSpec(parameters, entries), priority)
        self._persistently(lambda: self._submit_once(create, sources, progress or _silent))
        return job_id

    def cancel(self, job_id: str) -> wire.JobInfo:
        """Ask to stop a job; one that has ended stays as it is. A running one ends within seconds: see `watch`."""
        return self._ask(wire.JobCancel(job_id), wire.JobState).job

    def prioritise(self, job_id: str, priority: int) -> wire.JobInfo:
        """Let a waiting job come before my others with a lower number (-100 to 100; 0 is usual)."""
        return self._ask(wire.JobPriority(job_id, priority), wire.JobState).job

    def delete(self, job_id: str) -> None:
        """Forget a job that has ended or has not begun, with its files. No error if there is none."""
        self._ask(wire.JobDelete(job_id), wire.Pong)

    def get(self, job_id: str) -> wire.JobInfo:
        """A job's present state. ServiceError JOB_UNKNOWN if the service does not have it."""
        return self._ask(wire.JobGet(job_id), wire.JobState).job

    def result(self, job_id: str) -> dict[str, Any]:
        """What a succeeded job returned. Raises as `wait` does if it did not succeed."""
        answer = self._ask(wire.JobGet(job_id), wire.JobState)
        if answer.job.state == wire.SUCCEEDED:
            return answer.result or {}
        if answer.job.error is not None:
            raise_error(answer.job.error)
        raise ServiceError("JOB_STATE", f"Job {job_id} is {answer.job.state}.", "Wait for it to end.", "later")

    def jobs(self, limit: int = 100, everybody: bool = False) -> list[wire.JobInfo]:
        """My jobs, newest first, at most `limit`. `everybody`: all devices'; on the service's own computer only."""
        found: list[wire.JobInfo] = []
        after: int | None = None
        while len(found) < limit:
            page = self._ask(wire.JobList(min(limit - len(found), 100), after, everybody), wire.JobPage)
            found += page.jobs
            after = page.next
            if after is None:
                break
        return found

    @overload
    def watch(self, job_id: str, after_seq: int = 0) -> Iterator[wire.Event]: ...

    @overload
    def watch(self, job_id: str, after_seq: int = 0, *, previews: bool) -> Iterator[wire.Event | wire.Preview]: ...

    def watch(self, job_id: str, after_seq: int = 0, *, previews: bool = False) -> Iterator[Any]:
        """Yield a job's events from the first after `after_seq` on, live, until it has ended.

        With `previews` also wire.Preview objects: the newest there is, then each new one (fewer, to a slow caller). A
        service that knows no previews sends none.

        A lost connection is made up for silently. Raises ServiceError (JOB_UNKNOWN; UNAVAILABLE when out of patience).
        """
        seq, shown = after_seq, 0 if previews else None
        try:
            while True:
                news = self._persistently(lambda seq=seq, shown=shown: self._next_news(job_id, seq, shown))  # type: ignore[misc]
                if isinstance(news, wire.Preview):
                    if shown is not None and news.number > shown:
                        shown = news.number
                        yield news
                elif news.seq > seq:
                    seq = news.seq
                    yield news
                    if news.kind == "state" and news.state in wire.FINAL_STATES:
                        return
        finally:
            self._unwatch(job_id)

    def preview(self, job_id: str, newer_than: int = 0) -> wire.Preview | None:
        """The newest preview, also of a job that has ended; None if there is none with a number above `newer_than`.

        `data` is a PNG of at most 512 pixels a side, of which `interchange.png.decode_png` makes an array.
        """
        found = self._persistently(lambda: self._preview_once(job_id, newer_than))
        return None if found is None or found.number == 0 else _check_preview(found)

    def wait(self, job_id: str, progress: Progress | None = None) -> dict[str, Any]:
        """Watch a job to its end and return what it returned.

        Raises InputError (the job found its input unusable; the sentence is the job's), ServiceError (it crashed too
        often, the disk is full), Cancelled (somebody cancelled it).
        """
        for event in self.watch(job_id):
            if event.kind == "progress" and progress is not None:
                progress(event.stage or "", event.fraction or 0.0, event.message or "")
        return self.result(job_id)

    def files(self, job_id: str) -> list[wire.FileEntry]:
        """The files that a succeeded job produced."""
        return self._ask(wire.JobFiles(job_id), wire.JobFilesPage).files

    def download(
        self,
        job_id: str,
        folder: Path,
        progress: Progress | None = None,
        select: Callable[[str], bool] = lambda path: True,
    ) -> list[Path]:
        """Fetch a job's files into a folder; those that are there already, by digest, are left alone.

        `select` chooses by path. Returns the local paths. Raises InputError, ServiceError, Cancelled, OSError.
        """
        entries = [entry for entry in self.files(job_id) if select(entry.path)]
        check_distinct(check_relative_path(entry.path) for entry in entries)
        targets = {entry.path: join_inside(Path(folder), entry.path) for entry in entries}
        self._persistently(lambda: self._download_once(job_id, entries, targets, progress or _silent))
        return list(targets.values())

    def ping(self) -> None:
        """Returns if the service answers."""
        self._persistently(lambda: self._link("control").request(wire.Ping()))

    def stats(self) -> wire.Stats:
        """The service's own account of itself."""
        return self._ask(wire.ServerStats(), wire.Stats)

    def stop_server(self) -> None:
        """Stop the service gracefully; its jobs wait for its next start."""
        self._link("control").request(wire.ServerStop())

    # -- files --------------------------------------------------------------------------------------------------------

    def _submit_once(self, create: wire.JobCreate, sources: Mapping[str, Source], progress: Progress) -> None:
        created = self._request("control", create, wire.JobCreated)
        if created.state in (wire.FAILED, wire.CANCELLED):
            self._request("control", wire.JobRetry(create.job_id), wire.JobState)
            created = self._request("control", create, wire.JobCreated)
        if created.missing:
            self._upload(created.missing, sources, progress)
        self._request("control", wire.JobCommit(create.job_id), wire.JobState)
        progress("upload", 1.0, "")

    def _upload(self, missing: list[wire.MissingFile], sources: Mapping[str, Source], progress: Progress) -> None:
        meter = Meter("upload", sum(file.size for file in missing), self._clock)
        send_missing(self._link("data"), missing, sources, meter, progress, self._tell)

    def _download_once(
        self, job_id: str, entries: list[wire.FileEntry], targets: Mapping[str, Path], progress: Progress
    ) -> None:
        def link() -> Link:
            return self._link("data")

        fetch_files(link, job_id, entries, targets, self._clock, self._cancelled, progress, self._tell)

    def _tell(self, status: TransferStatus) -> None:
        self.transfer = status

    # -- events -------------------------------------------------------------------------------------------------------

    def _next_news(self, job_id: str, seq: int, shown: int | None) -> wire.Event | wire.Preview:
        """The next event, or preview if `shown` is a number. Asks again now and then, in case we were forgotten."""
        while True:
            link = self._link("control")
            if job_id not in self._watching:
                wanted = shown if "preview" in link.welcome.features else None
                self._request("control", wire.JobWatch(job_id, seq, wanted), wire.JobState)
                self._watching.add(job_id)
            envelope = link.receive(self.timing.renew_watch_s)
            message = None if envelope is None else envelope.message
            if message is None:
                self._watching.discard(job_id)
            elif isinstance(message, wire.Event) and message.job_id == job_id:
                link.send(wire.EventAck(job_id, message.seq))
                return message
            elif isinstance(message, wire.Preview) and message.job_id == job_id:
                link.send(wire.PreviewAck(job_id, message.number))
                return _check_preview(message)
            elif isinstance(message, wire.Error):
                Link.check(message)

    def _preview_once(self, job_id: str, newer_than: int) -> wire.Preview | None:
        if "preview" not in self._link("control").welcome.features:
            return None
        return self._request("control", wire.JobPreview(job_id, newer_than), wire.Preview)

    def _unwatch(self, job_id: str) -> None:
        self._watching.discard(job_id)
        if "control" in self._links:
            with contextlib.suppress(ConnectionLost):
                self._links["control"].send(wire.JobUnwatch(job_id))


def _check_preview(preview: wire.Preview) -> wire.Preview:
    """It goes to a decoder in the artist's program."""
    size = png_size(preview.data)
    if size is None or not 0 < min(size) <= max(size) <= wire.PREVIEW_EDGE:
        text = f"The service sent a preview of job {preview.job_id} that is no picture, or too large."
        raise ServiceError("PROTO_BAD_HEADER", text)
    return preview


def _silent(stage: str, fraction: float, message: str) -> None:
    """No progress wanted."""
