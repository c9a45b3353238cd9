# SPDX-License-Identifier: Apache-2.0
"""Errors that reach a person: one sentence of what is wrong and where, one of what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable

Progress = Callable[[str, float, str], None]
"""`progress(stage, fraction 0..1, message)`: what long functions call to say how far they are."""


def messages_only(progress: Progress | None, stage: str) -> Progress | None:
    """For a part of a stage that counts from 0 to 1 for itself: its messages pass, as the beginning of `stage`."""
    if progress is None:
        return None
    return lambda _, __, message: progress(stage, 0.0, message)


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


def describe_os_error(error: OSError) -> str:
    """A full disk or a forbidden folder in words; anything else as the system says it, with the path."""
    place = f" ({error.filename})" if error.filename else ""
    words = {
        errno.ENOSPC: "The disk is full{}. Make room and run the same command again; it goes on from there.",
        errno.EDQUOT: "The disk quota is used up{}. Make room and run the same command again.",
        errno.ENOENT: "There is no such file or folder{}. Check its name.",
        errno.EACCES: "This may not be read or written{}. Choose another place, or change its permissions.",
        errno.EPERM: "This may not be read or written{}. Choose another place, or change its permissions.",
        errno.EROFS: "This disk is read-only{}. Choose another folder with --out.",
        errno.ENOTDIR: "A file is where a folder is needed{}. Choose another --out, or move that file away.",
        errno.EEXIST: "A file is where a folder is needed{}. Choose another --out, or move that file away.",
        errno.EISDIR: "A folder is where a file is needed{}. Give the name of a file.",
        errno.ENAMETOOLONG: "This name is too long{}. Choose a shorter one.",
    }
    template = words.get(error.errno or 0)
    return template.format(place) if template else f"{error.strerror or error}{place}."
