# SPDX-License-Identifier: GPL-3.0-or-later
"""Which avatar is meant, and where its capture and its portrait go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .._interchange import capture
from ..folders import from_property, safe_name, work_folder
from .avatar import avatar_names


def chosen_avatar(context: Any) -> str | None:
    """The collection of the avatar that is chosen in the panel; None leaves it to the file, if that holds only one."""
    choose = getattr(context.scene.digidouble.avatar, "collection_name", None)
    return choose(context) if choose is not None else None


def capture_folder(context: Any, avatar: str | None = None) -> Path:
    """The artist's choice, or `capture` in the avatar's folder of the work folder. avatar: another than the chosen."""
    own = avatar_folder(context, avatar) / "capture"
    return own if avatar is not None else from_property(context.scene.digidouble.capture.folder, own)


def portrait_folder(context: Any, avatar: str | None = None) -> Path:
    """`portrait` in the avatar's folder of the work folder."""
    return avatar_folder(context, avatar) / "portrait"


def avatar_folder(context: Any, avatar: str | None = None) -> Path:
    """The avatar's folder of the work folder."""
    known = avatar_names()
    name = avatar or chosen_avatar(context) or (known[0] if len(known) == 1 else "avatar")
    return work_folder(context) / safe_name(name)


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a whole capture: its manifest is written last."""
    return (Path(folder) / capture.MANIFEST).is_file()
