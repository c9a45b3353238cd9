# SPDX-License-Identifier: Apache-2.0
"""What the service can be told, and where it keeps its things."""

from __future__ import annotations

from pathlib import Path

import attrs

from interchange.connection import CONNECTION_FILE
from interchange.transfer import CHUNK, WINDOW

DEFAULT_RUNNER = "backend.pipeline:run_job"


@attrs.frozen
class Settings:
    """`runner` is "module:function" with the signature of backend.pipeline.run_job. Times are seconds, sizes bytes."""

    state: Path = attrs.field(converter=Path)
    bind: str = "127.0.0.1"
    port: int = 0  # 0 = the port of the last time if it is free, else any
    runner: str = DEFAULT_RUNNER
    pair_port: int = 0  # of the pairing endpoint, while there is one
    slots: int | None = None  # jobs that run at the same time; None: one a GPU, or 1 on a machine without
    max_crashes: int = 3  # a job that took so many workers down with it is given up
    cancel_grace_s: float = 5.0  # from asking a worker to stop to killing it
    stall_s: float = 900.0  # a worker that says nothing for so long is killed; counts as a crash
    progress_interval_s: float = 0.25
    chunk: int = CHUNK
    window: int = WINDOW  # credit of one connection
    total_window: int = 256 << 20  # credit of all connections
    max_files: int = 20_000
    max_file_size: int = 64 << 30
    abandoned_upload_s: float = 24 * 3600.0
    quota_size: int | None = None  # bytes of inputs and results that one device may keep; None: as the disk has
    quota_waiting: int | None = 1000  # jobs of one device that may wait; None: any number
    keep_s: float | None = None  # jobs are deleted so long after their end; None: never by themselves
    status_port: int | None = None  # of the status page on 127.0.0.1; None: there is none
    log_json: bool = False
    keep_free: int | None = None  # bytes of the disk that stay free; None: as room.py says
    models: Path | None = None  # folder of the user's networks; None: as the environment says

    @property
    def connection_file(self) -> Path:
        """Endpoint and keys for clients of this user, mode 0600."""
        return self.state / CONNECTION_FILE

    @property
    def port_file(self) -> Path:
        """The port of the last time, which paired devices know; it stays when the service is stopped."""
        return self.state / "port"

    @property
    def keys_file(self) -> Path:
        """The service's own secret key, mode 0600."""
        return self.state / "keys.json"

    @property
    def database(self) -> Path:
        """Jobs, their files and events."""
        return self.state / "service.sqlite"

    @property
    def store(self) -> Path:
        """Contents by digest."""
        return self.state / "store"

    @property
    def reserve(self) -> Path:
        """Room kept back for a full disk."""
        return self.state / "reserve"

    def job_folder(self, job_id: str) -> JobPlace:
        """Where a job's files live."""
        return JobPlace(self.state / "jobs" / job_id)


@attrs.frozen
class JobPlace:
    """A job's folders: inputs (as sent), work (survives attempts), outputs (what clients fetch), logs."""

    root: Path

    @property
    def inputs(self) -> Path:
        """Files under the paths that the client gave them."""
        return self.root / "inputs"

    @property
    def work(self) -> Path:
        """Checkpoints and intermediate results."""
        return self.root / "work"

    @property
    def outputs(self) -> Path:
        """Results."""
        return self.root / "outputs"

    def log(self, attempt: int) -> Path:
        """Everything that the attempt's worker printed."""
        return self.root / "logs" / f"attempt-{attempt}.log"

    @property
    def task(self) -> Path:
        """What the worker is told."""
        return self.root / "task.json"

    @property
    def preview(self) -> Path:
        """The newest preview."""
        return self.root / "preview.bin"

    @property
    def lock(self) -> Path:
        """Held by the worker, so that a job never runs twice at the same time."""
        return self.root / "worker.lock"
