# SPDX-License-Identifier: Apache-2.0
"""The process that does one job, and that the service can afford to lose: `python -m backend.service.worker TASK_FILE`.

On standard input it may read the word "cancel"; the end of standard input means that the service has died. It answers
with JSON lines on what was standard output when it started; what the job prints goes to standard error, which is the
attempt's log.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import inspect
import json
import logging
import math
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TextIO

import attrs

from interchange.digests import digest_file
from interchange.errors import Cancelled, InputError
from interchange.locks import FileLock
from interchange.messages import FileEntry
from interchange.paths import scan_folder
from interchange.service_errors import ErrorInfo
from interchange.transfer import Eta

from .blobs import materialise
from .previews import PreviewWriter
from .settings import JobPlace

LOCK_WAIT_S = 15.0  # an orphan of a service that died has left long before
ORPHAN_GRACE_S = 2.0
REPORT_INTERVAL_S = 0.1
MAX_RESULT = 1 << 20
NICE = 10  # the artist's Blender runs beside it, and must go on answering the mouse


@attrs.frozen
class Task:
    """What the service sends; `files` are (path, digest)."""

    job_id: str
    attempt: int
    runner: str
    kind: str
    parameters: dict[str, Any]
    files: list[list[str]]
    store: str
    root: str


class Channel:
    """JSON lines to the service, from any thread. If nobody listens any more, the lines are dropped."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, **line: Any) -> None:
        """Write one line."""
        data = json.dumps(line, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n"
        with self._lock, contextlib.suppress(OSError):
            self._stream.write(data)
            self._stream.flush()


class Reporter:
    """Progress with an ETA, at most ten times a second unless the stage changes."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        self._channel, self._clock = channel, clock
        self._eta = Eta(clock, span_s=60.0)
        self._stage, self._sent_at = "", -math.inf

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        fraction = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else 0.0
        now = self._clock()
        if stage == self._stage and now - self._sent_at < REPORT_INTERVAL_S and fraction < 1.0:
            return
        self._stage, self._sent_at = stage, now
        eta_s = self._eta.update(fraction, 1.0)
        self._channel.send(
            t="progress", stage=stage[:100], fraction=fraction, message=message[:500],
            eta_s=None if eta_s is None else round(eta_s, 1),
        )  # fmt: skip


class LogLines(logging.Handler):
    """Our own log records, and everybody's warnings, to the watchers."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.INFO)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        ours = record.name.split(".")[0] in ("digidouble", "backend", "interchange")
        if ours or record.levelno >= logging.WARNING:
            self._channel.send(t="log", level=record.levelname.lower(), message=record.getMessage()[:1000])


class Orders:
    """Listens to the service. `cancelled` is what the job asks."""

    def __init__(self, stream: TextIO) -> None:
        self._stop = threading.Event()
        self._stream = stream
        threading.Thread(target=self._listen, name="orders", daemon=True).start()

    def cancelled(self) -> bool:
        """True once the job is to stop."""
        return self._stop.is_set()

    def _listen(self) -> None:
        for line in self._stream:
            if line.strip() == "cancel":
                self._stop.set()
        self._stop.set()
        time.sleep(ORPHAN_GRACE_S)
        _end_process_group()


def _end_process_group() -> None:
    """The service is gone: leave at once, with every process that the job has started."""
    if os.name == "posix" and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(3)


def run_task(
    task: Task, report: Reporter, cancelled: Callable[[], bool], preview: PreviewWriter | None = None
) -> dict[str, Any]:
    """Do the job and return the line that says how it ended. A runner with an argument `preview` gets that, too."""
    place = JobPlace(Path(task.root))
    try:
        materialise(Path(task.store), [(path, digest) for path, digest in task.files], place.inputs)
        shutil.rmtree(place.outputs, ignore_errors=True)  # what an attempt before left there may be half a result
        for folder in (place.inputs, place.work, place.outputs):
            folder.mkdir(parents=True, exist_ok=True)
        run = load_runner(task.runner)
        more = {"preview": preview} if preview is not None and "preview" in inspect.signature(run).parameters else {}
        result = run(task.kind, task.parameters, place.inputs, place.work, place.outputs, report, cancelled, **more)
        return {"t": "done", "result": _check_result(result), "outputs": _list_outputs(place.outputs)}
    except Cancelled:
        return {"t": "stopped"}
    except Exception as error:
        with contextlib.suppress(OSError):  # the log's disk may be what is full
            traceback.print_exc()
        return {"t": "failed", "error": attrs.asdict(explain(error, place.log(task.attempt)))}


def load_runner(name: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]


def _list_outputs(folder: Path) -> list[dict[str, Any]]:
    return [
        attrs.asdict(FileEntry(name, path.stat().st_size, digest_file(path)))
        for name, path in scan_folder(folder).items()
    ]


def _check_result(result: Any) -> dict[str, Any]:
    """What a job returns travels as JSON: numbers that JSON lacks become null."""
    if result is not None and not isinstance(result, dict):
        raise TypeError(f"the job returned {type(result).__name__}, not a dict")
    clean = json.loads(json.dumps(result or {}), parse_constant=lambda _: None)
    if len(json.dumps(clean)) > MAX_RESULT:
        raise ValueError("the job returned more than 1 MiB; large results belong into files")
    return clean  # type: ignore[no-any-return]


def explain(error: Exception, log: Path) -> ErrorInfo:
    """An exception in words for a person. An InputError's sentence is kept as it is."""
    if isinstance(error, InputError):
        code = error.code if error.code.startswith(("INPUT", "RES_")) else "INPUT"
        retry = "later" if code.startswith("RES_") else "never"  # the machine's limits, not the input's fault
        return ErrorInfo(code, error.message[:2000], error.hint[:2000], retry)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Make room and submit the job again; it goes on where it stopped."
        return ErrorInfo("RES_DISK_FULL", "The service's disk is full.", hint, "later")
    if isinstance(error, MemoryError):
        hint = "Close other programs or make the job smaller, then submit it again."
        return ErrorInfo("RES_MEMORY", "The machine ran out of memory.", hint, "later")
    lines = "".join(traceback.format_exception(error))[-4000:]
    text = f"The job stopped because of a fault in the program ({type(error).__name__}: {str(error)[:500]})."
    return ErrorInfo("INTERNAL", text, f"Please report it with the log {log}.", "later", lines)


def main(task_file: Path) -> int:
    """Entry of the process."""
    channel = Channel(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    if hasattr(os, "nice"):  # on Windows the supervisor starts us below the others
        os.nice(NICE)
    task = Task(**json.loads(task_file.read_text(encoding="ascii")))
    orders = Orders(sys.stdin)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger().addHandler(LogLines(channel))
    lock = FileLock(JobPlace(Path(task.root)).lock)
    if not lock.acquire(LOCK_WAIT_S):
        print("another worker still holds this job", file=sys.stderr)
        return 4
    channel.send(t="started", pid=os.getpid())
    preview = PreviewWriter(JobPlace(Path(task.root)).preview, lambda: channel.send(t="preview"))
    channel.send(**run_task(task, Reporter(channel), orders.cancelled, preview))
    lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
