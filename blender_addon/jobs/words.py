# SPDX-License-Identifier: GPL-3.0-or-later
"""What went wrong between Blender and a backend, in words for the panel. No bpy."""

from __future__ import annotations

import re
from typing import Any

from .._interchange import errors, service_errors
from .records import JobRecord

THIS = "This computer's backend"
STARTING = "Starting"
_UNREACHED = ("UNAVAILABLE", "OFFLINE", "AUTH_", "PROTO_")


def is_unreached(error: BaseException) -> bool:
    """True if it is the connection that failed, so that a job only has to wait."""
    return isinstance(error, service_errors.ServiceError) and error.code.startswith(_UNREACHED)


def problem_and_hint(error: BaseException) -> tuple[str, str]:
    """Any foreseen error as two sentences."""
    if isinstance(error, service_errors.ServiceError | errors.InputError):
        return error.message, error.hint
    if isinstance(error, OSError):
        if error.errno in (28, 122):  # ENOSPC, EDQUOT
            return f"This computer's disk is full ({error.filename or 'results folder'}).", "Make room, then Retry."
        place = f" {error.filename}" if error.filename else ""
        return f"A file could not be read or written: {error.strerror or error}{place}.", "Mend that, then Retry."
    raise TypeError(f"{type(error).__name__} was not foreseen") from error


def absent(name: str, *, is_local: bool) -> str:
    """There is no connection file: this computer's backend takes it away when it stops."""
    return f"{THIS} is not running." if is_local else f"{name}: its keys are gone. Pair with it again."


def unreached(error: Any, name: str, *, is_local: bool) -> str:
    """Why a backend cannot be reached, and what to do unless it is this computer's: see `with_advice`.

    `error` is a ServiceError of the connection, or an InputError (a damaged connection file, no ZeroMQ).
    """
    subject = THIS if is_local else name
    if isinstance(error, errors.InputError):
        return str(error)
    if error.code == "UNAVAILABLE":
        advice = "" if is_local else " Is it switched on, and on the same network?"
        return f"{subject} does not answer ({error.__cause__ or 'it is silent'}).{advice}"
    if error.code == "OFFLINE":
        return str(error)
    if error.code in ("AUTH_UNPAIRED", "AUTH_REVOKED"):
        return f"{subject}: {error.message} Remove it here and pair with it again."
    return f"{subject}: {error}"


def with_advice(sentence: str, *, is_local: bool, is_starting: bool) -> str:
    """What to do about this computer's backend: nothing, while it is being started; a sentence that does not begin with
    it (none is installed, say) has its own advice already.
    """
    if not is_local or not sentence:
        return sentence
    if is_starting:
        return f"{sentence} It is being started."
    return f"{sentence} Start it." if sentence.startswith(THIS) else sentence


def in_own_words(text: str, record: JobRecord) -> str:
    """A job's sentence with the folders that the artist knows instead of those of the backend's copies."""
    folders = {"capture": record.capture, "source": record.source, "": record.results}
    for name, folder in folders.items():
        place = r"\S*[/\\]jobs[/\\]" + re.escape(record.remote_id) + r"[/\\](?:inputs|work)[/\\]?" + name
        text = re.sub(place, lambda _, folder=folder, name=name: folder if name else f"{folder}/", text)  # type: ignore[misc]
    return text
