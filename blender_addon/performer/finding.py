# SPDX-License-Identifier: GPL-3.0-or-later
"""Points of a photo by the artist's own network: the backend's command `landmarks` on this computer, as a process that
is looked at now and then. The photo goes nowhere else. No bpy.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from .._interchange import errors, landmarks
from ..jobs.backend_command import BackendCommand
from ..jobs.local_backend import Installation

_SPEAKER = "digidouble landmarks: "
_NOTE = "Note: "


class Finding:
    """A Machine. `found` and `notes` (sentences for the artist) are there after the last step.

    Raises InputError when it is made if the backend cannot be started.
    """

    def __init__(
        self, installation: Installation, models: Path, photo: Path, clock: Callable[[], float], *, waits: bool
    ) -> None:
        self._photo, self._clock, self._began = photo, clock, clock()
        self._folder = Path(tempfile.mkdtemp(prefix="digidouble-points-"))
        self.found: landmarks.LandmarkFile | None = None
        self.notes: list[str] = []
        arguments = ["landmarks", "--photo", str(photo.absolute()), "--models", str(models)]
        arguments += ["--out", str(self._folder / "found")]
        try:
            self._command = BackendCommand(installation, arguments, self._folder, waits=waits)
        except errors.InputError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

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
        code = self._command.step()
        if code is None:
            return True
        if code:
            lines = self._command.said("errors")
            sentence = lines[-1].removeprefix(_SPEAKER) if lines else f"The backend failed (exit code {code})."
            raise errors.InputError(sentence.replace(str(self._photo), self._photo.name))
        notes = (line for line in self._command.said("output") if line.startswith(_NOTE))
        self.notes = [note.removeprefix(_NOTE).replace(str(self._photo), self._photo.name) for note in notes]
        self.found = landmarks.read_landmark_file(self._folder / "found" / "landmarks.json")
        return False

    def close(self) -> None:
        """End the process if it still runs, and remove what it has written."""
        self._command.close()
        shutil.rmtree(self._folder, ignore_errors=True)
