# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between client and service, and how it travels."""

from __future__ import annotations

from typing import NoReturn

import attrs
from attrs import validators

from .errors import Cancelled, InputError

RETRY = ("never", "same", "later")


class ProtocolError(Exception):
    """Bytes that are no message of this protocol. `code` is for the wire, `request_id` is whom to answer, if known."""

    def __init__(self, code: str, message: str, request_id: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.request_id = code, message, request_id


class ServiceError(Exception):
    """The service could not do it, through no fault of the input: unreachable, full disk, crashed job, unknown job.

    `retry`: "never", "same" (the same request may work at once) or "later" (when something has changed, such as room
    on the disk).
    """

    def __init__(self, code: str, message: str, hint: str = "", retry: str = "never") -> None:
        super().__init__(message)
        self.code, self.message, self.hint, self.retry = code, message, hint, retry

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ConnectionLost(Exception):
    """The other side is gone, or silent for too long; connecting again may help."""


@attrs.frozen
class ErrorInfo:
    """What went wrong, for a person: `message` says what and where, `hint` what to do, `detail` is for a bug report."""

    code: str = attrs.field(validator=validators.matches_re(r"[A-Z][A-Z0-9_]{1,39}\Z"))
    message: str
    hint: str = ""
    retry: str = attrs.field(default="never", validator=validators.in_(RETRY))
    detail: str = ""


def raise_error(error: ErrorInfo) -> NoReturn:
    """The exception that an error on the wire stands for: InputError, Cancelled or ServiceError."""
    if error.code.startswith("INPUT"):
        raise InputError(error.message, error.hint, error.code)
    if error.code == "JOB_CANCELLED":
        raise Cancelled(error.message)
    raise ServiceError(error.code, error.message, error.hint, error.retry)
