# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of a capture. No bpy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from .._interchange import errors, paths
from .framing import Lens
from .rigs import Dome, Rig, SceneCameras

ENGINES = ("CYCLES", "EEVEE")
LAYERS = ("albedo", "light", "depth", "normal", "uv")
"""What a view can hold beside its picture and masks."""

MOST_POSES = 1000


@attrs.frozen
class RenderSettings:
    """Quality of the pictures. size: pixels a side, or across if there is a height. samples: a pixel.

    bounces: of diffuse and glossy light (Cycles). denoise: clean the picture with OpenImageDenoise (albedo and normal
    guided; Cycles); light is cleaned with it. lens_mm: on a 36 mm sensor along the longer side.
    """

    size: int = 320
    samples: int = 8
    bounces: int = 1
    denoise: bool = True
    lens_mm: float = 85.0
    height: int | None = None
    engine: str = "CYCLES"

    def __attrs_post_init__(self) -> None:
        for side in (self.size, self.pixels[1]):
            if not 16 <= side <= 8192:
                raise errors.InputError(f"Pictures of {side} pixels are not possible.", "Choose 16 to 8192.")
        if not 1 <= self.samples <= 65536:
            raise errors.InputError(f"{self.samples} samples are not possible.", "Choose 1 to 65536, for example 8.")
        if not 8 <= self.lens_mm <= 1000:
            raise errors.InputError(f"A lens of {self.lens_mm} mm is not possible.", "Choose 8 to 1000, say 85.")
        if self.engine not in ENGINES:
            raise errors.InputError(f"There is no engine {self.engine!r}.", f"Choose {' or '.join(ENGINES)}.")

    @property
    def pixels(self) -> tuple[int, int]:
        """Width and height."""
        return self.size, self.size if self.height is None else self.height

    @property
    def lens(self) -> Lens:
        """The lens of the rig's cameras."""
        return Lens(self.lens_mm, *self.pixels)


def _angles(value: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(float(v) for v in xyz) for name, xyz in value.items()}


@attrs.frozen
class PoseSettings:
    """How the avatar is held. expression: shape keys 0..1. bones: degrees around the bone's own x, y, z.

    frame: of the timeline, None = where it is. name: in the capture. action: put on the armature and the shape keys.
    Everything not named stays as the scene has it.
    """

    expression: dict[str, float] = attrs.field(factory=dict)
    bones: dict[str, tuple[float, ...]] = attrs.field(factory=dict, converter=_angles)
    frame: int | None = None
    name: str = "rest"
    action: str | None = None

    def __attrs_post_init__(self) -> None:
        if "/" in paths.check_relative_path(self.name):  # files are called by it
            raise errors.InputError(f"A pose cannot be called {self.name!r}.", "Leave out the slash.")
        for name, degrees in self.bones.items():
            if not all(math.isfinite(d) for d in degrees):
                raise errors.InputError(f"The bone {name!r} cannot be turned by {degrees}.", "Give three angles.")


def _layers(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(layer for layer in LAYERS if layer in names)


def _poses(poses: Iterable[PoseSettings]) -> tuple[PoseSettings, ...]:
    return tuple(poses)


@attrs.frozen
class CaptureSettings:
    """A whole capture: which avatar, which cameras, which pose, which quality.

    avatar: name of its collection, None if there is only one. distance: of the rig's cameras from the avatar's middle
    in metres, None to frame it as large as it goes. poses: if there are any, they take the place of `pose`.
    spread: each pose is seen by its share of the cameras, not by all. layers: what the pictures hold beside colour and
    masks. needs_landmarks: refuse an avatar without them.
    """

    avatar: str | None = None
    rig: Rig | SceneCameras = attrs.field(factory=Dome)
    distance: float | None = None
    render: RenderSettings = attrs.field(factory=RenderSettings)
    pose: PoseSettings = attrs.field(factory=PoseSettings)
    poses: tuple[PoseSettings, ...] = attrs.field(default=(), converter=_poses)
    spread: bool = False
    layers: tuple[str, ...] = attrs.field(default=LAYERS, converter=_layers)
    needs_landmarks: bool = True

    def __attrs_post_init__(self) -> None:
        names = [pose.name for pose in self.poses]
        if len(names) > MOST_POSES:
            raise errors.InputError(f"{len(names)} poses are too many.", f"Ask for up to {MOST_POSES}.")
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise errors.InputError(f"Two poses are called {twice[0]!r}.", "Give each a name of its own.")
        if self.distance is not None and not 0 < self.distance < 1e4:
            raise errors.InputError(f"A distance of {self.distance} m is not possible.", "Choose a positive one.")

    @property
    def all_poses(self) -> tuple[PoseSettings, ...]:
        """The poses to capture, one or more."""
        return self.poses or (self.pose,)


def plain(settings: Any) -> dict[str, Any]:
    """Settings as JSON values."""
    return attrs.asdict(settings, value_serializer=lambda _, __, value: list(value) if type(value) is tuple else value)
