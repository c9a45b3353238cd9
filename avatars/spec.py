# SPDX-License-Identifier: Apache-2.0
"""What is asked of an avatar builder, and what it hands back. No bpy in here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

KINDS = ("procedural", "makehuman")

SHAPE_KEYS = ("jaw_open", "smile", "brows_up", "brows_down", "blink_left", "blink_right", "pucker", "frown")
"""Expressions that every avatar has, 0..1; a kind may have more."""

BONES = ("neck", "head", "jaw", "eye.L", "eye.R")
"""Bones that every avatar has."""

PARTS = ("head", "eyes", "hair", "mouth", "lashes")
"""Values of the object property `digidouble_part`."""


def _kind(_: object, __: object, value: str) -> None:
    if value not in KINDS:
        raise InputError(f"There is no avatar kind {value!r}.", f"Choose one of {', '.join(KINDS)}.")


def _texture_size(_: object, __: object, value: int) -> None:
    if not 64 <= value <= 8192:
        raise InputError(f"A texture of {value} pixels is not possible.", "Choose 64 to 8192, for example 1024.")


@attrs.frozen
class AvatarSpec:
    """Which avatar to build.

    kind: procedural or makehuman. identity: one of `avatars.identities(kind)`. name: of the collection and prefix of
    all objects, e.g. "A". seed: varies skin detail, never topology or UVs. texture_size: edge of the square skin image
    in pixels. data_dir: folder of the MakeHuman CC0 files, None for the default places. one_sided: marks
    on one half of the face, as real people have.
    Raises InputError on an unknown kind or an impossible texture size.
    """

    kind: str = attrs.field(validator=_kind)
    identity: str
    name: str
    seed: int = 0
    texture_size: int = attrs.field(default=1024, validator=_texture_size)
    data_dir: Path | None = attrs.field(default=None, converter=attrs.converters.optional(Path))
    one_sided: bool = False


@attrs.frozen(eq=False)
class AvatarHandle:
    """What was built, as living bpy objects of the current file.

    parts: every mesh object by its part name ("head", "eyes", "hair", "teeth", ...). landmarks: 68 vertex ids of the
    head's base mesh. eye_centre: (3,) midpoint between the eyes in the world, rest pose, metres.
    """

    name: str
    collection: Any
    head: Any
    armature: Any
    parts: dict[str, Any]
    landmarks: tuple[int, ...]
    eye_centre: npt.NDArray[np.float64]

    def set_expression(self, values: dict[str, float]) -> None:
        """Set shape keys 0..1 on all parts together. Raises InputError if the avatar has no such expression."""
        known = {block.name for block in self.head.data.shape_keys.key_blocks}
        for key, value in values.items():
            if key not in known:
                raise InputError(f"The avatar {self.name} has no expression {key!r}.", f"It has {_listed(known)}.")
            for part in self.parts.values():
                blocks = getattr(part.data.shape_keys, "key_blocks", None)
                if blocks is not None and key in blocks:
                    blocks[key].value = value


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names - {"Basis"}))


def unknown_identity(identity: str, kind: str, known: list[str]) -> InputError:
    """The error for an identity that a builder does not have."""
    return InputError(f"There is no {kind} identity {identity!r}.", f"Choose one of {', '.join(known)}.")


Builder = Callable[[AvatarSpec], AvatarHandle]
