# SPDX-License-Identifier: Apache-2.0
"""Starts worker processes, listens to them, stops them, and notices when they die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs
import cattrs
import zmq

from backend.faceswap.onnx.models import MODELS_VARIABLE
from interchange.messages import FileEntry
from interchange.service_errors import ErrorInfo

from .gpus import VISIBLE
from .settings import JobPlace, Settings
from .store import JobRecord
from .worker import Task

LINES = "inproc://workers"
WINDOWS_FLAGS = 0x00000200 | 0x00004000  # a process group of its own, below normal priority
REPOSITORY = Path(__file__).resolve().parents[2]


@attrs.frozen
class Line:
    """What a worker said; `body` is None when it has nothing more to say."""

    job_id: str
    attempt: int
    body: dict[str, Any] | None


class Worker:
    """One worker process and what is known about it. Times come from the clock that is passed in."""

    def __init__(
        self, context: zmq.Context[Any], settings: Settings, record: JobRecord, files: Sequence[FileEntry], now: float,
        gpu: str | None = None,
    ) -> None:  # fmt: skip
        """Start the process, which sees the GPU `gpu` and no other (None: as the service does). Raises OSError."""
        self.job_id, self.attempt = record.job_id, record.attempt
        self.settings, self.gpu = settings, gpu
        self.last_heard = now
        self.kill_at: float | None = None
        self.stalled = False
        self.ended = False
        self.outcome: Callable[[], None] | None = None  # what is to be written down, kept until it was
        self.place: JobPlace = settings.job_folder(record.job_id)
        self.place.root.mkdir(parents=True, exist_ok=True)
        self.place.task.write_text(json.dumps(attrs.asdict(_task(settings, record, files))), encoding="ascii")
        self.process = _start(self.place.task, self.place.log(record.attempt), gpu, settings.models)
        self._thread = threading.Thread(target=self._listen, args=(context,), name=f"worker-{self.job_id}", daemon=True)
        self._thread.start()

    def _tell(self, text: str) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(text.encode("ascii") + b"\n")
            self.process.stdin.flush()

    def _listen(self, context: zmq.Context[Any]) -> None:
        """In a thread of its own, because pipes cannot be polled on every system."""
        assert self.process.stdout is not None
        with context.socket(zmq.PUSH) as lines, contextlib.suppress(zmq.ZMQError):
            lines.linger = 0
            lines.connect(LINES)
            prefix = [self.job_id.encode("ascii"), str(self.attempt).encode("ascii")]
            for line in self.process.stdout:
                lines.send_multipart([*prefix, line])
            lines.linger = 1000
            lines.send_multipart([*prefix, b""])

    def stop(self, now: float) -> None:
        """Ask it to stop; it is killed if it does not within the grace time."""
        if self.kill_at is None:
            self.kill_at = now + self.settings.cancel_grace_s
            self._tell("cancel")

    def check(self, now: float) -> None:
        """To be called now and then: kills what does not stop, or has been silent for too long."""
        if self.kill_at is not None and now >= self.kill_at:
            self.kill()
        elif now - self.last_heard > self.settings.stall_s:
            self.stalled = True
            self.kill()

    @property
    def is_dead(self) -> bool:
        """True if the process is gone, whatever its pipe says."""
        return self.process.poll() is not None

    def kill(self) -> None:
        """End the process and everything that it has started, now."""
        with contextlib.suppress(OSError):
            if os.name == "posix":
                os.killpg(self.process.pid, signal.SIGKILL)
            else:
                self.process.kill()

    def reap(self) -> None:
        """Release what belonged to a process that has ended."""
        self.kill()  # what it started must not outlive it
        self.process.wait()
        self._thread.join(timeout=2.0)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()

    def obituary(self) -> ErrorInfo:
        """Why it died, as far as anybody can tell, with the end of its log."""
        log = self.place.log(self.attempt)
        detail = _tail(log)
        if self.stalled:
            text = f"The worker said nothing for {self.settings.stall_s:.0f} s."
            return ErrorInfo("JOB_STALLED", text, f"Its log is {log}.", "later", detail)
        status = self.process.returncode
        how = f"was killed by signal {-status}" if status is not None and status < 0 else f"ended with status {status}"
        hint = f"If the machine ran out of memory, make the job smaller; the log is {log}."
        return ErrorInfo("JOB_CRASHED", f"The worker {how}.", hint, "later", detail)


def parse_line(frames: Sequence[bytes]) -> Line:
    """A line as it comes from a worker's thread; what is no JSON object counts as silence."""
    job_id, attempt, text = frames[0].decode("ascii"), int(frames[1]), frames[2]
    if not text:
        return Line(job_id, attempt, None)
    try:
        body = json.loads(text)
    except ValueError:
        body = {}
    return Line(job_id, attempt, body if isinstance(body, dict) else {})


def parse_outputs(body: dict[str, Any]) -> list[FileEntry]:
    """The results that a worker lists."""
    return cattrs.structure(body["outputs"], list[FileEntry])


def _task(settings: Settings, record: JobRecord, files: Sequence[FileEntry]) -> Task:
    return Task(
        record.job_id, record.attempt, settings.runner, record.kind, record.parameters,
        [[file.path, file.digest] for file in files], str(settings.store.resolve()),
        str(settings.job_folder(record.job_id).root.resolve()),
    )  # fmt: skip


def _start(task: Path, log: Path, gpu: str | None, models: Path | None) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ)
    paths = [str(REPOSITORY), *filter(None, [environment.get("PYTHONPATH")])]
    environment["PYTHONPATH"] = os.pathsep.join(paths)
    if gpu is not None:
        environment[VISIBLE] = gpu
    if models is not None:
        environment[MODELS_VARIABLE] = str(models.resolve())
    group: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": WINDOWS_FLAGS}
    with open(log, "ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "backend.service.worker", str(task.resolve())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment, **group,
        )  # fmt: skip


def _tail(path: Path, size: int = 2000) -> str:
    try:
        with open(path, "rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
