# SPDX-License-Identifier: Apache-2.0
"""Rigged sample avatars in the current Blender scene: heads built by code, and heads from MakeHuman's CC0 files.

Both kinds obey one contract (docs/avatars.md): object names, parts, landmarks, regions, shape keys, bones, one packed
skin image. `build` needs bpy; `identities`, `AvatarSpec` and `avatars.skin` do not.
"""

from __future__ import annotations

from pathlib import Path

from .spec import BONES, KINDS, PARTS, SHAPE_KEYS, AvatarHandle, AvatarSpec

__all__ = ["BONES", "KINDS", "PARTS", "SHAPE_KEYS", "AvatarHandle", "AvatarSpec", "build", "identities"]


def build(spec: AvatarSpec) -> AvatarHandle:
    """Build the avatar in the current scene as a new collection named `spec.name`.

    Raises InputError on an unknown identity, or when MakeHuman's files are missing or damaged.
    """
    if spec.kind == "procedural":
        from .procedural import build_procedural

        return build_procedural(spec)
    from .makehuman import build_makehuman

    return build_makehuman(spec)


def identities(kind: str, data_dir: Path | None = None) -> list[str]:
    """Names that `AvatarSpec.identity` may take. Raises InputError on an unknown kind or a bad data folder."""
    AvatarSpec(kind, "", "")  # validates the kind
    if kind == "procedural":
        from .procedural import IDENTITIES

        return sorted(IDENTITIES)
    from .makehuman import makehuman_identities

    return makehuman_identities(data_dir)
