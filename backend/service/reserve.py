# SPDX-License-Identifier: Apache-2.0
"""A little room kept back on the disk, so that a full disk can still be written down as the end of a job."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

SIZE = 2 << 20


class Reserve:
    """A file of zeros that is given up when the disk is full, and made again when there is room."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> bool:
        """Keep room back, unless it would be the last there is. True if there is a reserve now."""
        if self.path.exists():
            return True
        if shutil.disk_usage(self.path.parent).free < 4 * SIZE:
            return False
        part = self.path.with_name(self.path.name + ".part")
        with contextlib.suppress(OSError):
            part.write_bytes(bytes(SIZE))
            os.replace(part, self.path)
        part.unlink(missing_ok=True)
        return self.path.exists()

    def release(self) -> None:
        """Give the room up."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
