# SPDX-License-Identifier: Apache-2.0
"""What a user can choose about a swap."""

from __future__ import annotations

from typing import Any

import attrs

from interchange.errors import InputError

from . import harmonization

ENGINES = ("auto", "cpu", "cuda")


def _within(low: float, high: float) -> Any:
    def check(_: Any, attribute: attrs.Attribute, value: Any) -> None:
        if not isinstance(value, (int, float)) or not low <= value <= high:
            raise InputError(f"The swap setting {attribute.name} is {value}; it goes from {low:g} to {high:g}.")

    return check


def _one_of(names: tuple[str, ...]) -> Any:
    def check(_: Any, attribute: attrs.Attribute, value: Any) -> None:
        if value not in names:
            raise InputError(f'The swap setting {attribute.name} is "{value}"; choose one of {", ".join(names)}.')

    return check


@attrs.frozen
class SwapSettings:
    """tone: 1 gives the whole double the performer's skin tone, 0 gives the performer's face the avatar's tone.
    strength: of the swap inside the face mask, 0..1. harmonize: how tones are matched. delight: take the photo's light
    off. gloss: what skin reflects at its surface, taken off with the light (0.025 is an index of 1.37). evenness: how
    much of the broad unevenness that is left then is taken for light, not skin. symmetry: fill hidden parts from the
    other half. smoothing: how little landmarks are trusted (0: hit exactly). levels: of the blending pyramid. samples:
    a side and pixel when views are filtered. texture_size: of the new skin in texels, None for the avatar's own.
    threads: views at a time, None for one a core. engine: what changes the views: auto takes an NVIDIA GPU if there is
    one; the pictures are the same. consistency: make one skin of what a per-view swapper paints, so that views agree;
    it means nothing to uv. rounds: of swapping and fusing; in a later one the swapper begins with the views that the
    one before made."""

    swapper: str = "uv"
    tone: float = attrs.field(default=1.0, validator=_within(0, 1))
    strength: float = attrs.field(default=1.0, validator=_within(0, 1))
    harmonize: str = attrs.field(default="mkl", validator=_one_of(harmonization.METHODS))
    delight: bool = True
    gloss: float = attrs.field(default=0.025, validator=_within(0, 0.1))
    evenness: float = attrs.field(default=0.85, validator=_within(0, 1))
    symmetry: bool = True
    smoothing: float = attrs.field(default=0.0, validator=_within(0, 10))
    levels: int = attrs.field(default=5, validator=_within(0, 10))
    samples: int = attrs.field(default=2, validator=_within(1, 8))
    texture_size: int | None = attrs.field(default=None, validator=attrs.validators.optional(_within(64, 8192)))
    threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(_within(1, 256)))
    engine: str = attrs.field(default="auto", validator=_one_of(ENGINES))
    consistency: bool = True
    rounds: int = attrs.field(default=1, validator=_within(1, 5))
