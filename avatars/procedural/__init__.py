# SPDX-License-Identifier: Apache-2.0
"""Rigged heads wholly by code: no data files. `build_procedural` needs bpy, the rest of the package only numpy."""

from __future__ import annotations

from .identities import IDENTITIES

__all__ = ["IDENTITIES", "build_procedural"]


def __getattr__(name: str) -> object:
    if name == "build_procedural":  # imports bpy only when a head is really built
        from .build import build_procedural

        return build_procedural
    raise AttributeError(name)
