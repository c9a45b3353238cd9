# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a capture. No bpy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from .._interchange import errors
from .rigs import Dome


@attrs.frozen
class RenderSettings:
    """Quality of the pictures. size: pixels a side. samples: paths a pixel. bounces: of diffuse and glossy light.

    denoise: clean the picture with OpenImageDenoise (albedo and normal guided); light is cleaned with it. lens_mm: on a
    36 mm sensor.
    """

    size: int = 320
    samples: int = 8
    bounces: int = 1
    denoise: bool = True
    lens_mm: float = 85.0

    def __attrs_post_init__(self) -> None:
        if not 16 <= self.size <= 8192:
            raise errors.InputError(f"Pictures of {self.size} pixels are not possible.", "Choose 16 to 8192.")
        if not 1 <= self.samples <= 65536:
            raise errors.InputError(f"{self.samples} samples are not possible.", "Choose 1 to 65536, for example 8.")
        if not 8 <= self.lens_mm <= 1000:
            raise errors.InputError(f"A lens of {self.lens_mm} mm is not possible.", "Choose 8 to 1000, say 85.")


def _angles(value: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(float(v) for v in xyz) for name, xyz in value.items()}


@attrs.frozen
class PoseSettings:
    """How the avatar is held. expression: shape keys 0..1. bones: degrees around the bone's own x, y, z.

    frame: of the timeline, None = where it is. Everything not named stays as the scene has it.
    """

    expression: dict[str, float] = attrs.field(factory=dict)
    bones: dict[str, tuple[float, ...]] = attrs.field(factory=dict, converter=_angles)
    frame: int | None = None

    def __attrs_post_init__(self) -> None:
        for name, degrees in self.bones.items():
            if not all(math.isfinite(d) for d in degrees):
                raise errors.InputError(f"The bone {name!r} cannot be turned by {degrees}.", "Give three angles.")


@attrs.frozen
class CaptureSettings:
    """A whole capture: which avatar, which cameras, which pose, which quality.

    avatar: name of its collection, None if there is only one. needs_landmarks: refuse an avatar without them.
    """

    avatar: str | None = None
    dome: Dome = attrs.field(factory=Dome)
    render: RenderSettings = attrs.field(factory=RenderSettings)
    pose: PoseSettings = attrs.field(factory=PoseSettings)
    needs_landmarks: bool = True


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON values."""
    return attrs.asdict(settings, value_serializer=lambda _, __, value: list(value) if type(value) is tuple else value)
