# SPDX-License-Identifier: Apache-2.0
"""Rigged heads from MakeHuman's CC0 files: `build_makehuman` makes one in the current scene (needs bpy)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .files import DataFolder
from .identities import MODIFIERS, identity_names

if TYPE_CHECKING:
    from ..spec import AvatarHandle, AvatarSpec

__all__ = ["MODIFIERS", "build_makehuman", "makehuman_identities"]


def build_makehuman(spec: AvatarSpec) -> AvatarHandle:
    """Build `spec.identity` from the files in `spec.data_dir` as a collection named `spec.name`.

    Raises InputError when the identity is unknown or files are missing or damaged; the scene is then as it was.
    """
    from .build import build

    return build(spec)


def makehuman_identities(data_dir: Path | None = None) -> list[str]:
    """Identities whose files are in the folder, without modifiers. Raises InputError if it is no MakeHuman folder."""
    data = DataFolder(data_dir)
    return [name for name in identity_names() if data.has_target(f"macrodetails/{name}")]
