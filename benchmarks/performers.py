# SPDX-License-Identifier: Apache-2.0
"""Many performers for one target, made by code: who they are, how each is photographed, and the renders of them all.

Nobody's photo is taken like another's: head turned, another expression, a lamp of its own. The second photo of each, in
neutral expression and again another light, is for looking somebody up by a real picture. What is there already is not
rendered again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from backend.blender_process import run_blender
from backend.commands.demo import MAKEHUMAN, PROCEDURAL
from interchange.capture import Capture, write_json
from interchange.errors import InputError
from interchange.png import read_png, write_png

from .swap_scene import in_targets_tone

EXPRESSIONS = {"smile": 0.5, "brows_up": 0.4, "frown": 0.35, "pucker": 0.25, "jaw_open": 0.15, "brows_down": 0.35}
"""Shape keys that a portrait may have, and how much at most."""
_TURN = (6.0, 15.0, 4.0)  # degrees about the head bone's own axes at most: nod, turn, tilt
SOURCE, LIKENESS = "source", "likeness"
"""Folders of the portrait that is swapped, and of the other photo."""
TRUTHS = {"skin.png": "truth", "toned.png": "truth_toned"}
"""Skins of a performer, and the folders of the target with them, rendered: his own, and his own face in the target's
tone, which is all that a swap view by view can come to."""
YAWS = (0, 15, 30, 45, 60, -45)
"""Degrees by which a few performers turn their head in further portraits (`turned_folder`)."""
_SETTINGS = "performers.json"
_PROCEDURAL = ("ada", "bruno", "chidi")
_RACES, _SEXES, _AGES = ("african", "asian", "caucasian"), ("female", "male"), ("young", "old")
_FEATURES = (
    "nose-wide", "nose-narrow", "nose-long", "nose-hump", "lips-full", "lips-thin", "mouth-wide", "chin-strong",
    "chin-small", "head-round", "head-square", "head-oval", "face-full", "face-lean", "cheekbones-high",
)  # fmt: skip


@attrs.frozen
class Sitting:
    """How a portrait is taken. expression: shape keys. turn: degrees about the head bone's axes. lamp: azimuth and
    elevation in degrees from the face, strength beside the studio's key light. tint: its linear RGB."""

    expression: dict[str, float]
    turn: tuple[float, float, float]
    lamp: tuple[float, float, float]
    tint: tuple[float, float, float]


@attrs.frozen
class Performer:
    """name: of its folder. identity, seed: for the avatar's builder. kin: those of one kin look alike. sittings: by the
    folder that each portrait becomes. one_sided: marks on one half of the face (avatars/painting/onesided.py)."""

    name: str
    identity: str
    seed: int
    kin: str
    sittings: dict[str, Sitting]
    one_sided: bool = False


@attrs.frozen
class CastSettings:
    """Who and how. target: identity. makehuman: folder of its files, None for procedural heads. count: of performers.
    size: of the target's views in pixels, portrait_size: of portraits. side: degrees of the outer views from the front.
    views: how many there are, in one row. turned: how many performers also sit for portraits with their head turned."""

    target: str
    makehuman: Path | None
    count: int
    size: int = 256
    portrait_size: int = 512
    samples: int = 12
    side: float = 35.0
    views: int = 3
    turned: int = 3

    @property
    def kind(self) -> str:
        """Of the avatars."""
        return "makehuman" if self.makehuman else "procedural"

    @property
    def name(self) -> str:
        """A folder's name that tells them apart."""
        return f"cast-{self.kind}-{self.count}-on-{self.target}-{self.size}"

    @staticmethod
    def of(target: str | None, makehuman: Path | None, count: int) -> CastSettings:
        """The usual target."""
        return CastSettings(target or (MAKEHUMAN if makehuman else PROCEDURAL)[0], makehuman, count)


@attrs.frozen
class Cast:
    """Folders of the target's capture and, for each performer: those of its sittings (each a source folder), skins and
    true swaps (TRUTHS)."""

    root: Path
    performers: tuple[Performer, ...]

    @property
    def turned(self) -> list[Performer]:
        """Those who also sat with their head turned."""
        return [p for p in self.performers if turned_folder(0) in p.sittings]

    @property
    def capture(self) -> Path:
        """The target."""
        return self.root / "capture"

    def of(self, performer: Performer, what: str) -> Path:
        """`what`: a sitting, a skin, a true swap or the result of a swap."""
        return self.root / "performers" / performer.name / what


def turned_folder(yaw: int) -> str:
    """Of the portrait with the head turned by `yaw` degrees."""
    return f"yaw_{yaw:+d}"


def performers(makehuman: bool, count: int, turned: int = 0) -> list[Performer]:
    """Always the same people; the first `turned` of them also turn their head. MakeHuman: twelve kinds of people, then
    again with other features and seeds, so that everybody has kin; procedural: the three identities and people varied
    from them, closer kin still."""
    known = ["-".join((r, s, a)) for a in _AGES for s in _SEXES for r in _RACES]
    kinds = known if makehuman else list(_PROCEDURAL)
    found = []
    for index in range(count):
        draw = np.random.default_rng([7, index])
        kin, seed = kinds[index % len(kinds)], index // len(kinds)
        features = draw.choice(_FEATURES, 2, replace=False) if makehuman and seed else ()
        identity = "+".join([kin, *features])
        sittings = {SOURCE: _sitting(draw), LIKENESS: _neutral(draw)}
        if index < turned:
            sittings |= {turned_folder(yaw): attrs.evolve(sittings[SOURCE], turn=(0.0, yaw, 0.0)) for yaw in YAWS}
        found.append(Performer(f"{index:02d}_{kin}_{seed}", identity, seed, kin, sittings))
    return found


def _sitting(draw: np.random.Generator) -> Sitting:
    names = draw.choice(list(EXPRESSIONS), 2, replace=False)
    expression = {str(name): round(float(draw.uniform(0.2, 1) * EXPRESSIONS[str(name)]), 3) for name in names}
    return attrs.evolve(_neutral(draw), expression=expression)


def _neutral(draw: np.random.Generator) -> Sitting:
    nod, turn, tilt = (round(float(draw.uniform(-most, most)), 2) for most in _TURN)
    lamp = (round(float(draw.uniform(-75, 75)), 1), round(float(draw.uniform(-10, 50)), 1),
            round(float(draw.uniform(0.2, 0.9)), 2))  # fmt: skip
    warmth = float(draw.uniform(-0.15, 0.15))
    return Sitting({}, (nod, turn, tilt), lamp, (round(1 + warmth, 3), 1.0, round(1 - warmth, 3)))


def render_cast(
    settings: CastSettings,
    root: Path,
    people: Sequence[Performer] | None = None,
    truths: Mapping[str, str] = TRUTHS,
) -> Cast:
    """Render what is missing in `root`; `people` instead of those that the settings draw. Raises InputError
    if it holds another cast, or Blender's environment is not there."""
    root.mkdir(parents=True, exist_ok=True)
    if people is None:
        people = performers(settings.makehuman is not None, settings.count, settings.turned)
    cast = Cast(root, tuple(people))
    wanted = attrs.asdict(settings) | {
        "makehuman": str(settings.makehuman.resolve()) if settings.makehuman else None,
        "kind": settings.kind,
        "performers": [attrs.asdict(p) for p in cast.performers],
        "truths": dict(truths),
    }
    wanted = json.loads(json.dumps(wanted))
    path = root / _SETTINGS
    if path.exists() and json.loads(path.read_text()) != wanted:
        raise InputError(f"{root} holds another cast.", "Choose another --folder.")
    write_json(path, wanted)
    print(f"  rendering {len(people)} performers in {root}", flush=True)
    run_blender("benchmarks.performers_blender", [path], _tell, log=root / "blender.log")
    wanted_toned = cast.performers if "toned.png" in truths else ()
    toned = [p for p in wanted_toned if not cast.of(p, "toned.png").exists()]
    for performer in toned:
        skin = read_png(cast.of(performer, "skin.png"))[..., :3].astype(np.float32) / 255
        write_png(cast.of(performer, "toned.png"), in_targets_tone(Capture.load(cast.capture), skin))
    if toned:
        run_blender("benchmarks.performers_blender", [path], _tell, log=root / "blender.log")
    return cast


def _tell(_: str, fraction: float, message: str) -> None:
    print(f"  {fraction:4.0%} {message}", flush=True)
