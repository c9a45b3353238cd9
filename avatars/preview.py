# SPDX-License-Identifier: Apache-2.0
"""Contact sheets of avatars: python -m avatars.preview --kind makehuman --identity asian-female-old --out DIR

One PNG an identity: front, 45 degrees, profile; below them expressions from the front.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from interchange.errors import InputError
from interchange.png import write_png

from . import KINDS, AvatarSpec, build, identities

_VIEWS = (0.0, 45.0, 90.0)
_EXPRESSIONS = (
    {"smile": 0.8},
    {"jaw_open": 0.8, "brows_up": 1.0},
    {"frown": 0.9, "brows_down": 0.8},
    {"blink_left": 1.0, "smile": 0.3},
    {"blink_left": 1.0, "blink_right": 1.0},
    {"pucker": 1.0},
)


def contact_sheet(spec: AvatarSpec, size: int, samples: int) -> npt.NDArray[np.uint8]:
    """Build the avatar in a fresh scene and photograph it: three views, then expressions three in a row."""
    from .studio import aim, light_face, new_studio, photograph

    new_studio(size, samples)
    avatar = build(spec)
    light_face(avatar.eye_centre)
    shots = []
    for azimuth in _VIEWS:
        aim(avatar.eye_centre, azimuth)
        shots.append(photograph())
    aim(avatar.eye_centre, 0.0, 0.68)
    for expression in _EXPRESSIONS:
        avatar.set_expression(expression)
        shots.append(photograph())
        avatar.set_expression(dict.fromkeys(expression, 0.0))
    rows = [np.concatenate(shots[i : i + 3], axis=1) for i in range(0, len(shots), 3)]
    return np.concatenate(rows, axis=0)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 done, 2 unusable input."""
    parser = argparse.ArgumentParser(prog="python -m avatars.preview", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kind", choices=KINDS, default="procedural")
    parser.add_argument("--identity", action="append", metavar="NAME", help="repeat for several; default: all")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="folder of MakeHuman's CC0 files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=384, help="edge of one picture in pixels")
    parser.add_argument("--samples", type=int, default=12, help="Cycles samples a pixel")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        for name in options.identity or identities(options.kind, options.makehuman):
            spec = AvatarSpec(options.kind, name, "preview", options.seed, data_dir=options.makehuman)
            path = options.out / f"{options.kind}-{name}.png"
            write_png(path, contact_sheet(spec, options.size, options.samples))
            print(path, flush=True)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
