# SPDX-License-Identifier: GPL-3.0-or-later
"""What every long piece of work looks like from outside. No bpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from .._interchange import errors


class Machine(Protocol):
    """Work in steps. Whoever steps it calls `close()` in the end, whatever happened."""

    @property
    def fraction(self) -> float:
        """0..1 done."""

    @property
    def message(self) -> str:
        """One line for the artist, with the time left where it is known."""

    def step(self) -> bool:
        """Do a little. True as long as there is more to do. Raises InputError when it cannot go on."""

    def close(self) -> None:
        """Give back whatever the work had taken; closing twice is harmless."""


def run(
    machine: Machine,
    stage: str,
    progress: errors.Progress | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Step a machine to its end and close it. Raises Cancelled between two steps when told."""
    try:
        while machine.step():
            if progress:
                progress(stage, machine.fraction, machine.message)
            if cancelled():
                raise errors.Cancelled
    finally:
        machine.close()
