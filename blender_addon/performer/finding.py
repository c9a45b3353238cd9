# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a photo by the artist's own network: the backend's command `landmarks` on this computer, as a process that
is looked at now and then. The photo goes nowhere else. No bpy.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from .._interchange import errors, landmarks
from ..jobs.local_backend import Installation

_COMMAND = "digidouble landmarks: "
_NOTE = "Note: "
_NO_CONSOLE = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows would open one


class Finding:
    """A Machine. `found` and `notes` (sentences for the artist) are there after the last step.

    Raises InputError when it is made if the backend cannot be started.
    """

    def __init__(
        self, installation: Installation, models: Path, photo: Path, clock: Callable[[], float], *, waits: bool
    ) -> None:
        self._photo, self._clock, self._waits, self._began = photo, clock, waits, clock()
        self._folder = Path(tempfile.mkdtemp(prefix="digidouble-points-"))
        self._process: subprocess.Popen | None = None
        self.found: landmarks.LandmarkFile | None = None
        self.notes: list[str] = []
        try:
            self._process = self._start(installation, models)
        except OSError as error:
            self.close()
            raise errors.InputError(
                f"The backend cannot be started ({error.strerror or error}).", "Run: python3 install.py install"
            ) from error

    @property
    def fraction(self) -> float:
        """Half-way until they are there: one photo has no fractions."""
        return 1.0 if self.found else 0.5

    @property
    def message(self) -> str:
        """Which photo, and seconds so far."""
        return f"looking at {self._photo.name}, {self._clock() - self._began:.0f} s"

    def step(self) -> bool:
        """Look whether it is finished. Raises InputError with the backend's sentence if it failed."""
        assert self._process is not None
        if self._waits:
            self._process.wait()
        code = self._process.poll()
        if code is None:
            return True
        if code:
            lines = self._said("errors")
            sentence = lines[-1].removeprefix(_COMMAND) if lines else f"The backend failed (exit code {code})."
            raise errors.InputError(sentence.replace(str(self._photo), self._photo.name))
        notes = (line for line in self._said("output") if line.startswith(_NOTE))
        self.notes = [note.removeprefix(_NOTE).replace(str(self._photo), self._photo.name) for note in notes]
        self.found = landmarks.read_landmark_file(self._folder / "found" / "landmarks.json")
        return False

    def close(self) -> None:
        """End the process if it still runs, and remove what it has written."""
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            process.kill()
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _said(self, name: str) -> list[str]:
        text = (self._folder / name).read_text(encoding="utf-8", errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _start(self, installation: Installation, models: Path) -> subprocess.Popen:
        command = [
            str(installation.python), "-m", "backend.cli", "landmarks", "--photo", str(self._photo.absolute()),
            "--models", str(models), "--out", str(self._folder / "found"),
        ]  # fmt: skip
        environment = {**os.environ, "PYTHONUTF8": "1"}  # names of photos have all kinds of letters
        with open(self._folder / "output", "wb") as output, open(self._folder / "errors", "wb") as complaints:
            return subprocess.Popen(
                command, cwd=installation.home, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=complaints, creationflags=_NO_CONSOLE,
            )  # fmt: skip
