# SPDX-License-Identifier: GPL-3.0-or-later
"""Which avatar of the file can stand in for a performer."""

from __future__ import annotations

from typing import Any

from .._interchange import errors
from ..capture.avatar import avatar_names


def choose_avatar(context: Any, name: str = "") -> str:
    """The avatar called `name`; without a name the only one that is not to be captured itself.

    Raises InputError if there is none, or several to choose from.
    """
    known = avatar_names()
    listed = ", ".join(known) or "none"
    if name:
        if name not in known:
            raise errors.InputError(f"There is no avatar called {name!r} in this file.", f"Avatars: {listed}.")
        return name
    others = other_avatars(context)
    if not others:
        raise errors.InputError("The file holds no second avatar.", "Append the one that the double shall look like.")
    if len(others) > 1:
        raise errors.InputError("The file holds several avatars.", f"Name the one to be looked like: {listed}.")
    return others[0]


def other_avatars(context: Any) -> list[str]:
    """The avatars of the file, but not the one that is to be captured. Of a single one, that one is."""
    known = avatar_names()
    return [avatar for avatar in known if avatar != _target(context)] if len(known) > 1 else []


def _target(context: Any) -> str | None:
    """The avatar that is to be captured, as far as it has been chosen."""
    chosen = getattr(context.scene.digidouble.avatar, "collection_name", None)
    try:
        return chosen(context) if callable(chosen) else None
    except errors.InputError:
        return None
