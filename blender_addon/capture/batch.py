# SPDX-License-Identifier: GPL-3.0-or-later
"""Several captures as one machine. An avatar that cannot be captured does not keep the others from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._interchange import errors
from .capture import CaptureJob
from .settings import CaptureSettings


class BatchJob:
    """Captures one avatar after the other. jobs: name, folder, settings. Raises InputError if none can be captured."""

    def __init__(self, jobs: list[tuple[str, Path, CaptureSettings]], context: Any, *, waits: bool = True) -> None:
        self._todo, self._total, self._context, self._waits = list(jobs), len(jobs), context, waits
        self._present: tuple[str, CaptureJob] | None = None
        self._stopped = False
        self.done = 0
        self.remarks: list[str] = []

    @property
    def fraction(self) -> float:
        """0..1 of all avatars."""
        part = 0.0 if self._present is None else self._present[1].fraction
        gone = self._total - len(self._todo) - (self._present is not None)
        return (gone + part) / max(self._total, 1)

    @property
    def message(self) -> str:
        """Which avatar, and how far."""
        return "" if self._present is None else f"{self._present[0]}, {self._present[1].message}"

    @property
    def busy(self) -> bool:
        """A render of ours goes on beside the window."""
        return self._present is not None and self._present[1].busy

    def stop(self) -> None:
        """See CaptureJob."""
        self._stopped = True
        if self._present is not None:
            self._present[1].stop()

    def step(self) -> bool:
        """A step of the present capture, or begin the next. What is wrong with an avatar becomes a remark."""
        try:
            if self._present is None:
                return self._begin()
            if self._present[1].step():
                return True
        except errors.InputError as error:
            self.remarks.append(f"{self._present[0]}: {error}" if self._present else str(error))
        else:
            self.done += 1
        self.close()
        return True

    def _begin(self) -> bool:
        if self._stopped:
            raise errors.Cancelled
        if not self._todo:
            if not self.done and self.remarks:
                raise errors.InputError(self.remarks[0], "No avatar could be captured.")
            return False
        name, folder, settings = self._todo.pop(0)
        try:
            self._present = (name, CaptureJob(folder, settings, self._context, waits=self._waits))
        except errors.InputError as error:
            self.remarks.append(f"{name}: {error}")
        return True

    def close(self) -> None:
        """Give the file back as it was."""
        if self._present is not None:
            for remark in self._present[1].remarks:
                if remark not in self.remarks:
                    self.remarks.append(remark)
            self._present[1].close()
            self._present = None
