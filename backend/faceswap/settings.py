# SPDX-License-Identifier: Apache-2.0
"""What a user can choose about a swap."""

from __future__ import annotations

import attrs

from . import harmonization
from .checks import one_of as _one_of
from .checks import whole as _whole
from .checks import within as _within
from .onnx.settings import OnnxSettings

ENGINES = ("auto", "cpu", "cuda")
BLENDS = ("laplacian", "gradient")
PARTS = ("lips", "brows", "eyes")
"""Of the face, with a strength of their own; see `regions`."""
MOST_PHOTOS = 1000
METHODS = harmonization.METHODS


@attrs.frozen
class SwapSettings:
    """tone: 1 gives the whole double the performer's skin tone, 0 gives the performer's face the avatar's tone.
    strength: of the swap inside the face mask, 0..1; lips, brows, eyes: the same for these parts alone, times strength
    (eyes are the lids and what is around them). eye_colour: how far the irises take the performer's colour; uv only.
    harmonize: how tones are matched. blend: how skins are joined: laplacian mixes them band by band, gradient keeps the
    face's differences and lets its tone follow the skin around it. delight: take the photo's light off. gloss: what
    skin reflects at its surface, taken off with the light (0.0225 is an index of 1.35). evenness: how much of the broad
    unevenness that is left then is taken for light, not skin. symmetry: fill hidden parts from the other half. shape:
    how far the target's face is moved to the performer's shape, in 3D; expressions, skull and neck stay. smoothing: how
    little landmarks are trusted (0: hit exactly; None: as they agree with each other). levels: of the blending pyramid.
    samples: a side and pixel when views are filtered. texture_size: of the new skin in texels, None for the avatar's
    own. threads: views at a time, None for one a core. engine: what changes the views: auto takes an NVIDIA GPU if
    there is one; the pictures are the same. consistency: make one skin of what a per-view swapper paints, so that views
    agree; it means nothing to uv. rounds: of swapping and fusing; in a later one the swapper begins with the views that
    the one before made. photos: how many of the source's photos are used at most; of more, those are chosen that show
    the face best (choosing.py). onnx: of the swapper `onnx` alone."""

    swapper: str = "uv"
    tone: float = attrs.field(default=1.0, validator=_within(0, 1))
    strength: float = attrs.field(default=1.0, validator=_within(0, 1))
    harmonize: str = attrs.field(default="mkl", validator=_one_of(METHODS))
    lips: float = attrs.field(default=1.0, validator=_within(0, 1))
    brows: float = attrs.field(default=1.0, validator=_within(0, 1))
    eyes: float = attrs.field(default=1.0, validator=_within(0, 1))
    eye_colour: float = attrs.field(default=1.0, validator=_within(0, 1))
    blend: str = attrs.field(default="laplacian", validator=_one_of(BLENDS))
    delight: bool = True
    gloss: float = attrs.field(default=0.0225, validator=_within(0, 0.1))
    evenness: float = attrs.field(default=0.85, validator=_within(0, 1))
    symmetry: bool = True
    shape: float = attrs.field(default=0.0, validator=_within(0, 1))
    smoothing: float | None = attrs.field(default=None, validator=attrs.validators.optional(_within(0, 10)))
    levels: int = attrs.field(default=5, validator=_within(0, 10))
    samples: int = attrs.field(default=2, validator=_within(1, 8))
    texture_size: int | None = attrs.field(default=None, validator=attrs.validators.optional(_within(64, 8192)))
    threads: int | None = attrs.field(default=None, validator=attrs.validators.optional(_within(1, 256)))
    engine: str = attrs.field(default="auto", validator=_one_of(ENGINES))
    consistency: bool = True
    rounds: int = attrs.field(default=1, validator=_within(1, 5))
    photos: int = attrs.field(default=7, validator=_whole(1, MOST_PHOTOS))
    onnx: OnnxSettings = attrs.field(factory=OnnxSettings)

    def parts(self) -> dict[str, float]:
        """Strengths of the face's parts by name."""
        return {name: getattr(self, name) for name in PARTS}
