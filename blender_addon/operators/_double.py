# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators on a double share."""

from __future__ import annotations

from typing import Any

from ..display.pointcloud import is_double
from ._base import Operator


class DoubleOperator(Operator):
    """Mix in before bpy.types.Operator for what is done to the active splat object."""

    @classmethod
    def why_not(cls, context: Any) -> str | None:
        """See Operator."""
        if not is_double(context.object):
            return "Select a double (a splat cloud) first"
        if context.mode != "OBJECT":
            return "Leave edit mode first"
        if context.object.library is not None or context.object.data.library is not None:
            return "This double belongs to another file; make it local first"
        return None


def count_words(count: int, noun: str = "splat") -> str:
    """'1 splat', '1,200 splats'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"

