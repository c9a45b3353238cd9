# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, so that they are called and explained the same everywhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import attrs

from backend.faceswap.settings import BLENDS, METHODS, MOST_PHOTOS, PARTS, SwapSettings
from backend.fitting.settings import FitSettings
from interchange.errors import InputError

from . import _onnx_arguments


def new_path(text: str) -> Path:
    """A path to write to. An empty one (a shell variable that is not set, say) would be the current folder."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def double_folder(path: Path) -> Path:
    """The folder of a double that a command was given. InputError if there is none, before any other complaint."""
    if not (path / "splats.ply").is_file():
        raise InputError(f"{path} is not a double: it has no splats.ply.", "Give the folder that a fit has written.")
    return path


def add_folders_beside(parser: argparse.ArgumentParser, folders: dict[str, str]) -> None:
    """Options for folders that lie beside a double when it was made as the guide says; what each holds, by name."""
    for name, text in folders.items():
        parser.add_argument(f"--{name}", type=Path, metavar="DIR", help=f"{text} (default: {name}/ beside the double)")


def folder_beside(options: argparse.Namespace, name: str) -> Path | None:
    """The folder that was given, else the one of that name beside options.double, None where there is none."""
    given: Path | None = getattr(options, name)
    beside = options.double.resolve().parent / name
    return given or (beside if beside.exists() else None)


def capture_beside(options: argparse.Namespace) -> Path:
    """The capture that a double was made from. InputError if it was not given and is not there."""
    capture = folder_beside(options, "capture")
    if capture is None:
        raise InputError(f"There is no capture beside {options.double}.", "Say with --capture which one was fitted.")
    return capture


def add_out(parser: argparse.ArgumentParser, what: str, default: Path | None = None) -> None:
    """--out."""
    parser.add_argument("--out", type=new_path, required=default is None, default=default, metavar="PATH", help=what)


def add_photos(parser: argparse.ArgumentParser) -> None:
    """--photo, one or several."""
    parser.add_argument(
        "--photo", type=Path, required=True, nargs="+", action="extend", metavar="FILE",
        help="a sharp frontal photo, evenly lit; several of one sitting, the one that settles the tone first",
    )  # fmt: skip


def free_name(stem: str, suffix: str, taken: Sequence[str]) -> str:
    """A file name that is none of `taken`, on disks that do not tell capitals either."""
    folded = {name.casefold() for name in taken}
    names = (f"{stem}{'' if number == 1 else f'_{number}'}{suffix}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name.casefold() not in folded)


def add_avatar(parser: argparse.ArgumentParser) -> None:
    """Which avatar of which .blend file, and its expression."""
    parser.add_argument("--blend", type=Path, required=True, metavar="FILE", help="the .blend file with the avatar")
    parser.add_argument("--avatar", metavar="NAME", help="its collection's name; needed if the file holds several")
    parser.add_argument(
        "--expression",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="shape key 0..1, e.g. smile=0.4; repeatable",
    )


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A type of option: a whole number in a range, so that a slip is seen before any work."""

    def number(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not possible, choose {least} to {most}")
        return value

    number.__name__ = "whole number"
    return number


SIZE = whole_number(16, 8192)
"""Pixels a side of a rendered picture."""

SEED = whole_number(0, 2**31 - 1)
"""Of random numbers."""


def add_views(parser: argparse.ArgumentParser, held_out_at_least: int = 0) -> None:
    """How many views of what size. A whole job measures itself, so it needs held-out views."""
    views, judges, samples = whole_number(1, 10_000), whole_number(held_out_at_least, 10_000), whole_number(1, 65536)
    parser.add_argument("--train", type=views, default=48, metavar="N", help="views to fit to (default 48)")
    parser.add_argument("--held-out", type=judges, default=8, metavar="N", help="views to measure with (default 8)")
    parser.add_argument("--size", type=SIZE, default=320, metavar="PIXELS", help="edge of a view (default 320)")
    parser.add_argument("--samples", type=samples, default=12, metavar="N", help="Cycles samples (default 12)")


def add_fit(parser: argparse.ArgumentParser) -> None:
    """The fit's main settings; defaults are FitSettings' own."""
    usual = FitSettings()
    parser.add_argument("--splats", type=int, default=usual.splats, metavar="N", help=f"default {usual.splats}")
    parser.add_argument(
        "--iterations", type=int, default=usual.iterations, metavar="N", help=f"default {usual.iterations}"
    )
    parser.add_argument(
        "--sh-degree",
        type=int,
        default=usual.sh_degree,
        choices=range(4),
        help="how far colour may change with the view",
    )
    parser.add_argument("--seed", type=SEED, default=0, metavar="N", help="same seed, same result (default 0)")
    parser.add_argument("--time-budget", type=float, metavar="SECONDS", help="end the fit after this time")


def fit_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The fit's settings as a job's parameters."""
    settings = FitSettings(
        splats=options.splats,
        iterations=options.iterations,
        sh_degree=options.sh_degree,
        seed=options.seed,
        time_budget_s=options.time_budget,
    )
    return attrs.asdict(settings)


def add_swap(parser: argparse.ArgumentParser) -> None:
    """The swap's main settings; defaults are SwapSettings' own."""
    usual = SwapSettings()
    parser.add_argument(
        "--swapper",
        default=usual.swapper,
        metavar="NAME",
        help="uv (default): one new skin; classical: each view by itself; onnx: by your own network",
    )
    parser.add_argument(
        "--no-consistency", action="store_true", help="leave the views as a per-view swapper painted them"
    )
    parser.add_argument(
        "--rounds",
        type=whole_number(1, 5),
        default=usual.rounds,
        metavar="N",
        help=f"how often views are swapped one by one and made one skin of (default {usual.rounds})",
    )
    parser.add_argument(
        "--tone", type=float, default=usual.tone, metavar="0..1", help="1: the performer's skin tone; 0: the avatar's"
    )
    parser.add_argument(
        "--strength", type=float, default=usual.strength, metavar="0..1", help="how much of the new face is taken"
    )
    parser.add_argument(
        "--harmonize", choices=METHODS, default=usual.harmonize,
        help=f"how skin tones are matched (default {usual.harmonize})",
    )  # fmt: skip
    parser.add_argument(
        "--blending", choices=BLENDS, default=usual.blend,
        help="laplacian (default): mix skins band by band; gradient: the face's tone follows the skin around it",
    )  # fmt: skip
    parser.add_argument(
        "--part", action="append", default=[], type=_part, metavar="NAME=0..1",
        help="how much of the new lips, brows or eyes is taken, e.g. brows=0.5; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--eye-colour", type=float, default=usual.eye_colour, metavar="0..1",
        help="how far the irises take the performer's colour (default 1); the lids are --part eyes",
    )  # fmt: skip
    parser.add_argument(
        "--photos", type=whole_number(1, MOST_PHOTOS), default=usual.photos, metavar="N",
        help=f"use at most so many of the performer's photos, those that show the face best (default {usual.photos})",
    )  # fmt: skip
    _add_shape(parser)


def _part(text: str) -> tuple[str, float]:
    """A part of the face and its strength, so that a slip is seen before any work."""
    name, _, value = text.partition("=")
    if name not in PARTS:
        raise argparse.ArgumentTypeError(f"{text!r} names no part, choose {', '.join(PARTS)}")
    try:
        return name, float(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} gives no number, write it like {name}=0.5") from None


def _add_shape(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--shape", type=float, default=0.0, metavar="0..1",
        help="how far the face takes the performer's shape, not only the skin (default 0)",
    )  # fmt: skip


def swap_settings(options: argparse.Namespace) -> dict[str, Any]:
    """The swap's settings as a job's parameters. InputError if there is no such swapper."""
    from backend.faceswap.registry import swapper_named  # here: it loads the kernels, which takes a second

    swapper_named(options.swapper)
    settings = SwapSettings(
        swapper=options.swapper, tone=options.tone, strength=options.strength, shape=options.shape,
        eye_colour=options.eye_colour, photos=options.photos,
        harmonize=options.harmonize, blend=options.blending, **dict(options.part),
        consistency=not options.no_consistency, rounds=options.rounds, onnx=_onnx_arguments.onnx_settings(options),
    )  # fmt: skip
    return attrs.asdict(settings)
