# SPDX-License-Identifier: Apache-2.0
"""How much one device may keep on the service's disk, and how many of its jobs may wait."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from interchange.messages import FileEntry
from interchange.service_errors import ServiceError

from .store import JobStore


@attrs.frozen
class Quota:
    """`size`: bytes of input files and results of all of a key's jobs; `waiting`: its jobs that have not begun yet."""

    size: int | None = None
    waiting: int | None = None

    def check(self, store: JobStore, owner: str, files: Sequence[FileEntry] = ()) -> None:
        """Before a job with these files is taken. Raises ServiceError (RES_QUEUE_FULL, RES_QUOTA)."""
        waiting = 0 if self.waiting is None else store.count_waiting(owner)
        if self.waiting is not None and waiting >= self.waiting:
            text = f"{waiting} of your jobs wait already, which is as many as the service lets one device have."
            raise ServiceError("RES_QUEUE_FULL", text, "Wait until some are done, or cancel some.", "later")
        if self.size is None:
            return
        holdings = store.holdings(owner)
        fresh = {file.digest: file.size for file in files if file.digest not in holdings.contents}
        needed = holdings.size + sum(fresh.values())
        if fresh and needed > self.size:
            text = (
                f"With this job you would keep {needed / 1e6:.0f} MB on the service, which lets one device have"
                f" {self.size / 1e6:.0f} MB."
            )
            raise ServiceError("RES_QUOTA", text, "Delete jobs that you do not need: digidouble delete.", "later")
