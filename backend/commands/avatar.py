# SPDX-License-Identifier: Apache-2.0
"""Build a sample avatar as a .blend file.

digidouble avatar --identity ada --out ada.blend
digidouble avatar --makehuman DIR --identity asian-female-old --out a.blend
digidouble avatar --list
"""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.blender_process import run_blender
from backend.terminal import Terminal
from interchange.errors import InputError

from . import _arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--identity", metavar="NAME", help="who; --list shows the names")
    parser.add_argument(
        "--makehuman", type=Path, metavar="DIR", help="MakeHuman's CC0 files; without, a procedural head"
    )
    parser.add_argument("--seed", type=_arguments.SEED, default=0, metavar="N", help="varies freckles and the like")
    parser.add_argument("--name", metavar="NAME", help="the avatar's name in the file (default: the identity)")
    parser.add_argument("--out", type=_arguments.new_path, metavar="FILE", help="the .blend file to write")
    parser.add_argument(
        "--expression", action="append", default=[], metavar="KEY=VALUE", help="shape key 0..1, e.g. smile=0.4"
    )
    parser.add_argument("--list", action="store_true", help="list the identities")


def build_arguments(identity: str, out: Path, makehuman: Path | None, seed: int, name: str | None) -> list[str | Path]:
    """Arguments of the avatar builder in Blender's environment."""
    kind: list[str | Path] = (
        ["--kind", "makehuman", "--makehuman", makehuman] if makehuman else ["--kind", "procedural"]
    )
    return [*kind, "--identity", identity, "--seed", str(seed), "--name", name or identity, "--out", out]


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Build one avatar, or list them."""
    if options.list:
        kind = (
            ["--kind", "makehuman", "--makehuman", options.makehuman] if options.makehuman else ["--kind", "procedural"]
        )
        run_blender("avatars", [*kind, "--list"], echo=terminal.say)
        return 0
    if not options.identity or not options.out:
        raise InputError("avatar needs --identity and --out.", "--list shows the identities.")
    arguments = build_arguments(options.identity, options.out, options.makehuman, options.seed, options.name)
    arguments += [word for e in options.expression for word in ("--expression", e)]
    run_blender("avatars", arguments, terminal.progress("avatar"))
    terminal.say(f"Wrote {options.out}")
    return 0
