# SPDX-License-Identifier: Apache-2.0
"""What can be done in a service's folder while the service does not run."""

from __future__ import annotations

from pathlib import Path

from interchange.errors import InputError
from interchange.local_server import LOCK_FILE
from interchange.locks import FileLock
from interchange.messages import GcReport

from .blobs import ContentStore
from .retention import Retention
from .settings import Settings
from .store import JobStore


def collect_garbage(state: Path, dry_run: bool, older_s: float | None = None) -> GcReport:
    """As the message server.gc. Raises InputError if there is no such folder, or a service runs in it."""
    settings = Settings(state)
    if not settings.database.is_file():
        raise InputError(f"{state} is no service's folder.", "Give the folder that digidouble serve was given.")
    lock = FileLock(state / LOCK_FILE)
    if not lock.acquire(0.0):
        raise InputError(f"A service runs in {state} but does not answer.", "Try again in a moment.")
    store = JobStore(settings.database)
    try:
        retention = Retention(settings, store, ContentStore(settings.store), lambda job_id: False)
        plan = retention.thorough(older_s)
        if not dry_run:
            retention.begin(plan)
            while retention.is_busy:
                retention.step()
        return plan.report()
    finally:
        store.close()
        lock.release()
