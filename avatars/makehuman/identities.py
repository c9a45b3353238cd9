# SPDX-License-Identifier: Apache-2.0
"""Named identities: which targets make the shape, what the skin, hair and eyes look like.

A name is race-gender-age, e.g. "asian-female-old"; "+modifier" after it changes a feature, e.g.
"caucasian-male-young+nose-wide+lips-full".
"""

from __future__ import annotations

import itertools
import zlib

import attrs

from interchange.errors import InputError

from ..skin import Colour, Look
from ..spec import unknown_identity

RACES = ("african", "asian", "caucasian")
GENDERS = ("female", "male")
AGES = ("young", "old")
HAIR_STYLES = ("short", "bob", "bun", "bald", "crop")

_PAIRED = "lr"

MODIFIERS: dict[str, list[tuple[str, float]]] = {
    "nose-wide": [("nose/nose-scale-horiz-incr", 0.6), ("nose/nose-nostrils-width-incr", 0.4)],
    "nose-narrow": [("nose/nose-scale-horiz-decr", 0.6)],
    "nose-long": [("nose/nose-scale-vert-incr", 0.5), ("nose/nose-point-down", 0.3)],
    "nose-hump": [("nose/nose-hump-incr", 0.7)],
    "lips-full": [("mouth/mouth-upperlip-volume-incr", 0.6), ("mouth/mouth-lowerlip-volume-incr", 0.6)],
    "lips-thin": [("mouth/mouth-upperlip-height-decr", 0.5), ("mouth/mouth-lowerlip-height-decr", 0.5)],
    "mouth-wide": [("mouth/mouth-scale-horiz-incr", 0.6)],
    "chin-strong": [("chin/chin-prominent-incr", 0.6), ("chin/chin-width-incr", 0.5)],
    "chin-small": [("chin/chin-prominent-decr", 0.5), ("chin/chin-height-decr", 0.4)],
    "head-round": [("head/head-round", 0.7)],
    "head-square": [("head/head-square", 0.7)],
    "head-oval": [("head/head-oval", 0.7)],
    "face-full": [("head/head-fat-incr", 0.6)],
    "face-lean": [("head/head-fat-decr", 0.6)],
    "ears-big": [(f"ears/{side}-ear-scale-incr", 0.5) for side in _PAIRED],
    "eyes-big": [(f"eyes/{side}-eye-scale-incr", 0.5) for side in _PAIRED],
    "eyes-small": [(f"eyes/{side}-eye-scale-decr", 0.5) for side in _PAIRED],
    "cheekbones-high": [(f"cheek/{side}-cheek-bones-incr", 0.7) for side in _PAIRED],
}

_CHARACTER: dict[str, list[str]] = {
    "african-female-young": ["cheekbones-high", "head-oval"],
    "african-female-old": ["head-round"],
    "african-male-young": ["chin-strong"],
    "african-male-old": ["face-lean", "nose-wide"],
    "asian-female-young": ["head-oval", "chin-small"],
    "asian-female-old": ["face-full"],
    "asian-male-young": ["head-square"],
    "asian-male-old": ["ears-big", "face-lean"],
    "caucasian-female-young": ["lips-full", "nose-narrow"],
    "caucasian-female-old": ["nose-long", "lips-thin"],
    "caucasian-male-young": ["head-square", "nose-hump"],
    "caucasian-male-old": ["nose-long", "ears-big", "face-lean"],
}
"""What makes the named ones individuals instead of averages; half as strong as when asked for."""

_TONE: dict[str, tuple[Colour, Colour]] = {  # skin, lips
    "african": ((0.480, 0.330, 0.250), (0.440, 0.240, 0.215)),
    "asian": ((0.840, 0.670, 0.545), (0.720, 0.430, 0.390)),
    "caucasian": ((0.870, 0.690, 0.605), (0.720, 0.420, 0.400)),
}
_HAIR: dict[str, Colour] = {
    "african": (0.085, 0.060, 0.048),
    "asian": (0.080, 0.066, 0.060),
    "caucasian": (0.290, 0.195, 0.125),
}
_GREY: dict[str, Colour] = {
    "african": (0.40, 0.375, 0.35),
    "asian": (0.53, 0.51, 0.49),
    "caucasian": (0.70, 0.68, 0.65),
}
_IRIS: dict[str, Colour] = {
    "african": (0.26, 0.155, 0.09),
    "asian": (0.30, 0.18, 0.10),
    "caucasian": (0.34, 0.41, 0.45),
}
_STYLE: dict[tuple[str, str, str], str] = {
    ("african", "female", "young"): "bun", ("african", "female", "old"): "crop",
    ("african", "male", "young"): "crop", ("african", "male", "old"): "bald",
    ("asian", "female", "young"): "bob", ("asian", "female", "old"): "bun",
    ("asian", "male", "young"): "short", ("asian", "male", "old"): "short",
    ("caucasian", "female", "young"): "bob", ("caucasian", "female", "old"): "bob",
    ("caucasian", "male", "young"): "short", ("caucasian", "male", "old"): "bald",
}  # fmt: skip


@attrs.frozen
class Identity:
    """One person: targets as (path, weight), the race whose expression units fit, looks, hair style, receding 0..1."""

    name: str
    race: str
    targets: tuple[tuple[str, float], ...]
    look: Look
    hair_style: str
    receding: float = 0.0


def identity_names() -> list[str]:
    """All names without modifiers, sorted."""
    return sorted("-".join(parts) for parts in itertools.product(RACES, GENDERS, AGES))


def identity(name: str, seed: int = 0) -> Identity:
    """The identity of that name; `seed` varies the skin. Raises InputError on an unknown name or modifier."""
    base, *modifiers = name.split("+")
    if base not in identity_names():
        raise unknown_identity(name, "makehuman", identity_names())
    for modifier in modifiers:
        if modifier not in MODIFIERS:
            raise InputError(f"There is no modifier {modifier!r} ({name}).", f"Choose among {', '.join(MODIFIERS)}.")
    race, gender, age = base.split("-")
    targets = [
        (f"macrodetails/{base}", 1.0),
        (f"macrodetails/universal-{gender}-{age}-averagemuscle-averageweight", 1.0),
    ]
    targets.append((f"expression/units/{race}/mouth-compression", 0.28))  # the neutral mouth stands slightly open
    for trait in _CHARACTER[base]:
        targets += [(path, 0.5 * weight) for path, weight in MODIFIERS[trait]]
    for modifier in modifiers:
        targets += MODIFIERS[modifier]
    style = _STYLE[race, gender, age]
    look = _look(race, gender, age, zlib.crc32(base.encode()) % 10000 + 10007 * seed)
    receding = 0.7 if (gender, age) == ("male", "old") else (0.25 if gender == "male" else 0.0)
    return Identity(name, race, tuple(targets), look, style, receding)


def _look(race: str, gender: str, age: str, seed: int) -> Look:
    female, old = gender == "female", age == "old"
    tone, lips = _TONE[race]
    hair = _GREY[race] if old else _HAIR[race]
    dark = _HAIR[race]
    brows = _mix(dark, hair, 0.55) if old else _mix(dark, (0.06, 0.04, 0.03), 0.25)
    return Look(
        tone=_mix(tone, (0.80, 0.62, 0.52), 0.10) if not female else tone,
        lips=_mix(lips, tone, 0.35 if old else (0.30 if not female else 0.0)),
        hair=hair,
        brows=brows,
        iris=_IRIS[race],
        brow_thickness=0.85 if female else 1.15,
        brow_density=(0.70 if old else 0.95) * (0.9 if female else 1.0),
        brow_arch=0.6 if female else 0.25,
        freckles=0.55 if (race, gender, age) == ("caucasian", "female", "young") else 0.0,
        moles=2 if race != "asian" else 3,
        stubble=0.0 if female else (0.55 if race == "caucasian" else 0.30) * (0.8 if old else 1.0),
        blush=0.25 if female and not old else 0.12,
        makeup=0.35 if female and not old else 0.0,
        wrinkles=0.85 if old else 0.0,
        seed=seed,
    )


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    return (a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t, a[2] + (b[2] - a[2]) * t)
