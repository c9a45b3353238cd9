# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an artist stands with an avatar: sentences for grey buttons, and the head that operators work on."""

from __future__ import annotations

from typing import Any

from .._interchange import errors
from ..capture.avatar import is_among
from .marks import refuse_linked
from .vertex_marks import IDS


def no_head(context: Any) -> str | None:
    """Why nothing can be done yet, or None."""
    avatar = context.scene.digidouble.avatar
    if avatar.head is None:
        return "Choose the character's head first."
    if avatar.usable_head(context) is None:
        return f"The head {avatar.head.name!r} is no longer in the scene. Choose another."
    return None


def head_of(context: Any) -> Any:
    """The head, ready to be marked. Raises InputError if it is linked or being edited."""
    head = context.scene.digidouble.avatar.head
    refuse_linked(head)
    if head.mode == "EDIT":
        raise errors.InputError(f"{head.name!r} is being edited.", "Leave edit mode first (Tab).")
    return head


def no_landmarks(context: Any) -> str | None:
    """Why nothing can be made of landmarks yet, or None."""
    head = context.scene.digidouble.avatar.head
    return None if IDS in head else "Place some landmarks first."


def in_layer(item: Any, view_layer: Any) -> bool:
    """Whether an object is in the view layer."""
    return is_among(item, view_layer.objects)
