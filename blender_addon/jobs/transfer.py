# SPDX-License-Identifier: GPL-3.0-or-later
"""The second thread of a backend: it sends inputs and fetches results, one job after the other. No bpy."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._interchange import errors, service_errors
from . import messages, words
from .inputs import files_to_send
from .line import Line
from .records import FETCHING, PREPARING, UPLOADING, JobRecord

REPORT_S = 0.2
_STATES = {"prepare": PREPARING, "upload": UPLOADING, "download": FETCHING}
_NOT_FETCHED = "swapped/views/"


@dataclass(frozen=True)
class Send:
    """Digest, upload, queue. `record` is a copy of the thread's own; `stop` cancels this order."""

    record: JobRecord
    stop: threading.Event


@dataclass(frozen=True)
class Fetch:
    """Bring the results."""

    record: JobRecord
    stop: threading.Event


class TransferLine(Line):
    """Goes on with an order until it is done, cancelled, or found impossible; a lost backend is waited for."""

    purpose = "transfer"
    patience_s = 3.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stop: threading.Event | None = None

    def cancelled(self) -> bool:
        """See Line."""
        return self.stopping.is_set() or (self._stop is not None and self._stop.is_set())

    def pause(self, seconds: float) -> None:
        """See Line: a cancelled order waits no longer."""
        until = time.monotonic() + seconds
        while not self.cancelled() and (left := until - time.monotonic()) > 0:
            self.stopping.wait(min(left, 0.1))

    def serve_once(self) -> None:
        """See Line."""
        order = self.orders.get()
        if order is None:
            return
        self._stop = order.stop
        try:
            self._do(order)
        except errors.Cancelled:
            if not self.stopping.is_set():
                self._withdraw(order.record)
        except (errors.InputError, service_errors.ServiceError, OSError) as error:
            self.post(messages.Failed(order.record.job_id, *words.problem_and_hint(error)))
        except Exception as error:
            hint = "Copy the error report from the panel."
            self.post(messages.Failed(order.record.job_id, "Something went wrong inside Digidouble.", hint))
            self.post(messages.Surprise(f"transfer of {order.record.name}", error))
        finally:
            self._stop = None

    def _do(self, order: Send | Fetch) -> None:
        """Once more after each loss of the connection."""
        while True:
            if self.cancelled():
                raise errors.Cancelled
            try:
                self._send(order.record) if isinstance(order, Send) else self._fetch(order.record)
                return
            except (service_errors.ServiceError, errors.InputError) as error:
                if not self.is_unreached(error):
                    raise
                self.lost(error)

    def _send(self, record: JobRecord) -> None:
        report = self._reporter(record)
        report("prepare", 0.0, "looking for the files")
        files = files_to_send(record.capture, record.source)
        client = self.client()
        client.ping()  # nobody reads gigabytes for their digests while there is nobody to send them to
        try:
            remote = client.submit(record.kind, record.parameters, files, record.remote_id or record.job_id, report)
        except service_errors.ServiceError as error:
            if error.code != "JOB_CONFLICT":
                raise
            record.remote_id = uuid.uuid4().hex  # the capture has changed since: a new job, under our old name
            remote = client.submit(record.kind, record.parameters, files, record.remote_id, report)
        self.reached()
        self.post(messages.Sent(record.job_id, remote))

    def _fetch(self, record: JobRecord) -> None:
        def wanted(path: str) -> bool:
            return record.fetch_views or not path.startswith(_NOT_FETCHED)

        self.client().download(record.remote_id, Path(record.results), self._reporter(record), wanted)
        self.reached()
        self.post(messages.Fetched(record.job_id))

    def _withdraw(self, record: JobRecord) -> None:
        """The backend may have the job already."""
        self._stop = None
        with contextlib.suppress(service_errors.ServiceError, errors.InputError, errors.Cancelled):
            self.client().cancel(record.remote_id or record.job_id)
        self.post(messages.Stopped(record.job_id))

    def _reporter(self, record: JobRecord) -> Callable[[str, float, str], None]:
        """Progress for the panel, five times a second at most: a busy Blender must not find thousands waiting."""
        told_at, told_stage = -REPORT_S, ""

        def report(stage: str, fraction: float, message: str) -> None:
            nonlocal told_at, told_stage
            now = time.monotonic()
            if stage == told_stage and now - told_at < REPORT_S and fraction < 1.0:
                return
            told_at, told_stage = now, stage
            self.post(messages.Progress(record.job_id, _STATES[stage], fraction, message))

        return report


def copy_of(record: JobRecord) -> JobRecord:
    """A record for a thread."""
    return dataclasses.replace(record)
