# SPDX-License-Identifier: Apache-2.0
"""How much of its disk the service leaves free: for jobs that run already, and for everybody else on the machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import attrs

from interchange.service_errors import ServiceError

SHARE, MOST, LEAST = 0.05, 5_000_000_000, 64_000_000
"""What is kept free unless somebody says otherwise: this share of the disk, within these bytes. A twentieth of a large
disk would lie idle for nothing; with less than `LEAST` the job list and the logs could not be written."""


@attrs.frozen
class Room:
    """The disk that `folder` is on. `keep`: bytes of it that stay free, None for the usual. Paths must exist."""

    folder: Path
    keep: int | None = None
    usage: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage  # total, used, free

    def check(self, needed: int) -> None:
        """Before so many bytes are taken. Raises ServiceError (RES_DISK_FULL). For nothing there is always room."""
        free, kept = self._look()
        if needed and free - needed < kept:
            text = (
                f"The service's disk has no room for the {needed / 1e6:.0f} MB of this job:"
                f" {free / 1e6:.0f} MB are free, of which it keeps {kept / 1e6:.0f} MB."
            )
            raise ServiceError("RES_DISK_FULL", text, self._advice, "later")

    def shortage(self) -> str:
        """Why no job should start now; "" if one may. The words stay the same while it lasts."""
        free, kept = self._look()
        if free >= kept:
            return ""
        return f"The service's disk has less than {kept / 1e6:.0f} MB free: no job starts. {self._advice}"

    def _look(self) -> tuple[int, int]:
        total, _, free = self.usage(self.folder)
        return free, min(max(int(total * SHARE), LEAST), MOST) if self.keep is None else self.keep

    @property
    def _advice(self) -> str:
        return f"Make room where {self.folder} is, or lower keep_free_mb in the service's settings."
