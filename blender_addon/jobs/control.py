# SPDX-License-Identifier: GPL-3.0-or-later
"""The first thread of a backend: how are the jobs, how are you, stop this one. It never carries files. No bpy."""

from __future__ import annotations

import contextlib
import queue
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._interchange import errors, service_errors, whole_files
from . import messages
from .line import Line
from .status import describe

POLL_S = 0.5
PREVIEW_S = 2.0
STATUS_S = 10.0


@dataclass(frozen=True)
class Watch:
    """Look after a job: `preview` is the file for its newest picture."""

    job_id: str
    remote_id: str
    preview: Path


@dataclass(frozen=True)
class Unwatch:
    """Do not look after it any more."""

    job_id: str


@dataclass(frozen=True)
class Cancel:
    """Ask the backend to stop it."""

    job_id: str
    remote_id: str


@dataclass(frozen=True)
class AskStatus:
    """How are you? Answered by messages.Status with the same `question`, whatever happens."""

    question: str


class ControlLine(Line):
    """Asks after each watched job twice a second."""

    purpose = "watch"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._watched: dict[str, Watch] = {}
        self._cancels: dict[str, str] = {}
        self._said: dict[str, messages.Polled] = {}
        self._pictures: dict[str, _Picture] = {}
        self._question, self._status_at = "", 0.0

    def serve_once(self) -> None:
        """See Line."""
        self._take_orders()
        if self.stopping.is_set() or not (self._watched or self._cancels or self._question):
            return
        try:
            self._round(self.client())
        except (service_errors.ServiceError, errors.InputError) as error:
            self._tell_unreached(error)
        else:
            self.reached()

    def _take_orders(self) -> None:
        """All that wait; blocks while there is nothing to watch."""
        busy = self._watched or self._cancels or self._question
        with contextlib.suppress(queue.Empty):
            self._take(self.orders.get(timeout=POLL_S) if busy else self.orders.get())
            while True:
                self._take(self.orders.get_nowait())

    def _take(self, order: Any) -> None:
        if isinstance(order, Watch):
            self._watched[order.job_id] = order
            self._cancels.pop(order.job_id, None)  # cancelled while the backend was away, then taken up again
        elif isinstance(order, Unwatch):
            self._forget(order.job_id)
        elif isinstance(order, Cancel):
            self._cancels[order.job_id] = order.remote_id
        elif isinstance(order, AskStatus):
            self._question = order.question

    def _forget(self, job_id: str) -> None:
        for table in (self._watched, self._said, self._pictures):
            table.pop(job_id, None)

    def _tell_unreached(self, error: Exception) -> None:
        if self._question:
            self.post(messages.Status(self.backend_id, False, (), self.in_words(error), self._question))
            self._question = ""
        if self._watched or self._cancels:
            self.lost(error)
        else:
            self.drop_client()

    def _round(self, client: Any) -> None:
        for job_id, remote_id in list(self._cancels.items()):
            with _whatever_the_job_says():
                client.cancel(remote_id)
            del self._cancels[job_id]
        for watch in list(self._watched.values()):
            self._poll(client, watch)
        if self._question or (self._watched and time.monotonic() - self._status_at > STATUS_S):
            self.post(messages.Status(self.backend_id, True, describe(client.stats()), "", self._question))
            self._question, self._status_at = "", time.monotonic()

    def _poll(self, client: Any, watch: Watch) -> None:
        try:
            info = client.get(watch.remote_id)
        except service_errors.ServiceError as error:
            if error.code != "JOB_UNKNOWN":
                raise
            self._forget(watch.job_id)
            problem = f"{self.name} does not know this job any more."
            self.post(messages.Failed(watch.job_id, problem, "Retry sends it again."))
            return
        if info.state == "failed" and info.error is not None:
            self._forget(watch.job_id)
            self.post(messages.Failed(watch.job_id, info.error.message, info.error.hint))
            return
        now = messages.Polled(
            watch.job_id, info.state, info.stage, info.fraction, info.message, info.eta_s, info.position
        )
        if now != self._said.get(watch.job_id):
            self._said[watch.job_id] = now
            self.post(now)
        if info.is_final:
            self._forget(watch.job_id)
        elif info.state == "running":
            self._look(client, watch)

    def _look(self, client: Any, watch: Watch) -> None:
        """Fetch the newest picture, where backend and client know of any."""
        ask, now = getattr(client, "preview", None), time.monotonic()
        shown = self._pictures.get(watch.job_id, _Picture())
        if ask is None or now - shown.asked_at < PREVIEW_S:
            return
        picture = ask(watch.remote_id, shown.number)
        self._pictures[watch.job_id] = _Picture(picture.number if picture is not None else shown.number, now)
        if picture is not None:
            with contextlib.suppress(OSError):  # a full disk: the job matters, not its picture
                with whole_files.whole_file(watch.preview) as file:
                    file.write(picture.data)
                self.post(messages.Preview(watch.job_id))


@dataclass(frozen=True)
class _Picture:
    """The newest one that we have, and when we last asked for another."""

    number: int = 0
    asked_at: float = -PREVIEW_S


@contextlib.contextmanager
def _whatever_the_job_says() -> Any:
    """A job that the backend never had needs no cancelling."""
    try:
        yield
    except service_errors.ServiceError as error:
        if not error.code.startswith("JOB_"):
            raise
