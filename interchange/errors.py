# SPDX-License-Identifier: Apache-2.0
"""Errors that reach a person: one sentence of what is wrong and where, one of what to do."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float, str], None]
"""`progress(stage, fraction 0..1, message)`: what long functions call to say how far they are."""


class InputError(Exception):
    """Something that the user gave is unusable.

    `message` says what is wrong and where; `hint` says what to do. The command line prints both and exits
    with 2, the service sends them with `code`, the panel reports them.
    """

    def __init__(self, message: str, hint: str = "", code: str = "INPUT") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Cancelled(Exception):
    """The user asked to stop; whatever was finished stays on disk."""
