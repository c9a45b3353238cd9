# SPDX-License-Identifier: GPL-3.0-or-later
"""Calling our operators from Python: what they report as an error comes out as the exception that it was."""

from __future__ import annotations

import re
from typing import Any

import bpy

from .._interchange import errors

_BLENDERS_WORDS = re.compile(r"^(Error: |Operator bpy\.ops\.\S+ |Converting py args to operator properties:)")


def call(operator: str, /, **arguments: Any) -> None:
    """Run `bpy.ops.digidouble.<operator>` to its end.

    Raises InputError with the sentence that a button would show (grey or pressed), Cancelled if it was stopped,
    RuntimeError with the error report for a bug of ours.
    """
    session = bpy.context.window_manager.digidouble
    session.error_report = ""
    try:
        result = getattr(bpy.ops.digidouble, operator)(**arguments)
    except TypeError as error:  # an argument of the wrong kind
        raise errors.InputError(_BLENDERS_WORDS.sub("", str(error)).strip()) from error
    except RuntimeError as error:
        if session.error_report:
            raise RuntimeError(session.error_report) from error
        lines = (_BLENDERS_WORDS.sub("", line).strip() for line in str(error).splitlines())
        raise errors.InputError(" ".join(line for line in lines if line)) from error
    if "FINISHED" not in result:
        raise errors.Cancelled
