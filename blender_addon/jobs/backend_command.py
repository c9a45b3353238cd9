# SPDX-License-Identifier: GPL-3.0-or-later
"""A command of the backend that is installed on this computer: a process that is looked at now and then. No bpy."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from .._interchange import errors
from .local_backend import Installation

_NO_CONSOLE = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open one


class BackendCommand:
    """Runs from when it is made until `close`. What it says goes into the files `output` and `errors` of a folder."""

    def __init__(self, installation: Installation, arguments: list[str], folder: Path, *, waits: bool) -> None:
        """waits: `step` returns when it is over. Raises InputError if it cannot be started."""
        self._folder, self._waits = folder, waits
        command = [str(installation.python), "-m", "backend.cli", *arguments]
        environment = {**os.environ, "PYTHONUTF8": "1"}  # names of files have all kinds of letters
        try:
            with open(folder / "output", "wb") as output, open(folder / "errors", "wb") as complaints:
                self.process = subprocess.Popen(
                    command, cwd=installation.home, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=complaints, creationflags=_NO_CONSOLE,
                )  # fmt: skip
        except OSError as error:
            raise errors.InputError(
                f"The backend cannot be started ({error.strerror or error}).", "Run: python3 install.py install"
            ) from error

    def step(self) -> int | None:
        """Its exit code, None while it runs."""
        return self.process.wait() if self._waits else self.process.poll()

    def said(self, name: str) -> list[str]:
        """The lines of `output` or `errors`, without blank ones."""
        text = (self._folder / name).read_text(encoding="utf-8", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def close(self) -> None:
        """End it if it still runs; closing twice is harmless."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
