# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of several open Blenders looks after a job: the one that holds its lock. No bpy.

The system takes a lock back when its process dies, so a job is free again after a crash.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import BinaryIO


class Claim:
    """A lock on a file, held until `release` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._file: BinaryIO | None = None

    def take(self) -> bool:
        """True if it is ours now. Raises OSError if the file cannot be made."""
        if self._file is not None:
            return True
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = open(self.path, "a+b")  # noqa: SIM115 (stays open as long as the lock is held)
        if _lock(file):
            self._file = file
            return True
        file.close()
        return False

    def release(self) -> None:
        """Let another have it; the file goes too."""
        if self._file is not None:
            if os.name != "nt":  # Windows removes no open file
                with contextlib.suppress(OSError):
                    self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def _lock(file: BinaryIO) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
