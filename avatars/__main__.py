# SPDX-License-Identifier: Apache-2.0
"""Build a sample avatar and save it as a .blend file, with three lights and a camera.

python -m avatars --kind procedural --list
python -m avatars --kind makehuman --makehuman DIR --identity asian-female-old --out a.blend --expression smile=0.4
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from interchange.errors import InputError

from . import KINDS, AvatarSpec, build, identities


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 done, 2 unusable input (one sentence on stderr)."""
    options = _parser().parse_args(arguments)
    try:
        if options.list:
            print("\n".join(identities(options.kind, options.makehuman)))
        else:
            _build(options)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m avatars", description="Build a sample avatar as a .blend file.")
    parser.add_argument("--kind", choices=KINDS, default="procedural", help="made by code, or from MakeHuman's files")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="folder of MakeHuman's CC0 files")
    parser.add_argument("--identity", metavar="NAME", help="who; --list shows the names; MakeHuman: name+modifier")
    parser.add_argument("--list", action="store_true", help="list the identities")
    parser.add_argument("--name", default="avatar", help="name of the avatar in the file")
    parser.add_argument("--seed", type=int, default=0, help="varies skin and hair in detail")
    parser.add_argument("--one-sided", action="store_true", help="marks on one half: scar, moles, birthmark")
    parser.add_argument("--texture-size", type=int, default=1024, metavar="PIXELS", help="edge of the skin image")
    parser.add_argument("--expression", action="append", default=[], metavar="KEY=VALUE", help="e.g. smile=0.4; repeat")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the .blend file to write")
    return parser


def _build(options: argparse.Namespace) -> None:
    if not options.identity or not options.out:
        raise InputError("--identity and --out are both needed.", "--list shows the identities.")
    if options.out.suffix != ".blend":
        raise InputError(f"{options.out} is not a .blend file.", "Give --out a name that ends in .blend.")
    expression = parse_expression(options.expression)
    spec = AvatarSpec(
        options.kind, options.identity, options.name, options.seed, options.texture_size, options.makehuman,
        options.one_sided,
    )
    from .studio import aim, light_face, new_studio

    _tell(0.0, f"building {options.identity}")
    new_studio()
    avatar = build(spec)
    avatar.set_expression(expression)
    light_face(avatar.eye_centre)
    aim(avatar.eye_centre)
    _tell(0.9, f"saving {options.out}")
    _save(options.out)
    _tell(1.0, f"wrote {options.out}")


def parse_expression(items: list[str]) -> dict[str, float]:
    """["smile=0.4"] -> {"smile": 0.4}. Raises InputError on anything else, and on values outside 0..1."""
    result = {}
    for item in items:
        key, _, text = item.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise InputError(f"--expression {item} is not KEY=VALUE with a value from 0 to 1.", "Say smile=0.4.")
        result[key] = value
    return result


def _save(path: Path) -> None:
    import bpy

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        bpy.ops.wm.save_as_mainfile(filepath=str(path.resolve()), compress=True)
    except (OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} cannot be written ({reason}).", "Choose another folder.") from None


def _tell(fraction: float, message: str) -> None:
    print(json.dumps({"stage": "avatar", "fraction": fraction, "message": message}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
