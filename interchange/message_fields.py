# SPDX-License-Identifier: Apache-2.0
"""Kinds of fields that the messages of the protocol are made of, and what their values must be."""

from __future__ import annotations

import re
from typing import Any

import attrs
from attrs import validators

from .digests import is_digest

MAX_NAME = 60


def check_digest(_: Any, attribute: attrs.Attribute[str], value: str) -> None:
    """A validator: the digest of a content."""
    if not is_digest(value):
        raise ValueError(f"{attribute.name} is no digest")


def text(pattern: str) -> Any:
    """A validator: all of the text matches."""
    return validators.matches_re(re.compile(pattern + r"\Z"))


def payload(kind: str, **options: Any) -> Any:
    """A field that travels as the message's payload frame, as it is ("bytes") or as a JSON document ("json")."""
    return attrs.field(metadata={"payload": kind}, **options)


NOT_NEGATIVE = [validators.ge(0)]
JOB_ID = [text(r"[A-Za-z0-9_-]{1,64}")]
PRIORITY = [validators.ge(-100), validators.le(100)]
KEY = [text(r"[!-~]{40}")]  # a public key as Z85 text
NAME: list[Any] = [validators.max_len(MAX_NAME)]
PORT = [validators.ge(1), validators.le(65535)]
OPTIONAL_FRACTION = validators.optional([validators.ge(0.0), validators.le(1.0)])
