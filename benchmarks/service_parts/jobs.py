# SPDX-License-Identifier: Apache-2.0
"""A job that does nothing, so that the service is what is measured."""

from __future__ import annotations

from typing import Any


def run(kind: str, parameters: dict[str, Any], *_: Any) -> dict[str, Any]:
    """Done at once."""
    return {}
