# SPDX-License-Identifier: Apache-2.0
"""Rigged heads wholly by code: no data files. `build_procedural` needs bpy, the rest of the package only numpy."""

from __future__ import annotations

from ..spec import AvatarHandle, AvatarSpec
from .identities import IDENTITIES

__all__ = ["IDENTITIES", "build_procedural"]


def build_procedural(spec: AvatarSpec) -> AvatarHandle:
    """Build `spec.identity` in the current scene; see `avatars.procedural.build`. Raises InputError if unknown."""
    from .build import build_procedural as build  # bpy is imported only when a head is really built

    return build(spec)
