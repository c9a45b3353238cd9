# SPDX-License-Identifier: Apache-2.0
"""Render any splat file: at the cameras of a capture, a transforms.json or a COLMAP model, or once around it.

Without --cameras the views stand on a circle around the splats. Pictures are PNG files with alpha, or one animation.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import ImageColor

from backend.fitting.inputs import load_cameras
from backend.rendering import (
    ANIMATIONS,
    bounds_of,
    load_visible,
    render_views,
    resized,
    turntable,
    write_animation,
    write_stills,
)
from backend.terminal import Terminal
from interchange.cameras import Camera
from interchange.splats import SplatCloud

from . import _arguments

FRAMES, PIXELS = 48, 512
DOUBLE = "splats.ply"
"""What a double's folder has for its splats."""


def background(text: str) -> tuple[int, int, int] | None:
    """A type of option: `transparent`, or a colour's name or #rrggbb."""
    if text == "transparent":
        return None
    try:
        return ImageColor.getrgb(text)[:3]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no colour; give one like white or #808080") from None


def frame_rate(text: str) -> float:
    """A type of option: frames a second."""
    value = float(text)
    if not 0.1 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not possible, choose 0.1 to 100")
    return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("splats", type=Path, metavar="SPLATS", help="a splat file of any known format, or a double")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--cameras", type=Path, metavar="INPUT", help="a capture, a transforms.json or a COLMAP model")
    frames = _arguments.whole_number(1, 10_000)
    where.add_argument(
        "--turntable", type=frames, default=FRAMES, metavar="N", help=f"N views around the splats (default {FRAMES})"
    )
    parser.add_argument(
        "--size", type=_arguments.SIZE, metavar="PIXELS",
        help=f"longer side of a picture (default: the cameras' own; {PIXELS} for a turntable)",
    )  # fmt: skip
    parser.add_argument(
        "--background", type=background, default=None, metavar="COLOUR", help="default transparent; white, #202428, ..."
    )
    parser.add_argument(
        "--format", choices=("png", *ANIMATIONS), help="PNG files (default), or one animation (default if --out is one)"
    )
    parser.add_argument("--fps", type=frame_rate, default=12, metavar="N", help="of an animation (default 12)")
    _arguments.add_out(parser, "the folder for the pictures, or the animation's file")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Load, place cameras, render."""
    path = options.splats / DOUBLE if options.splats.is_dir() else options.splats
    cloud = load_visible(path)
    views = _views(options, cloud)
    pictures = render_views(cloud, views, options.background, terminal.progress("render"))
    animation = _animation(options)
    if animation is None:
        write_stills(options.out, pictures)
        terminal.say(f"Wrote {len(views)} pictures to {options.out}")
    else:
        terminal.say(f"Wrote {write_animation(animation, pictures, options.fps)}")
    return 0


def _animation(options: argparse.Namespace) -> Path | None:
    """The file of the animation that is wanted; None for stills. --out may name it, or its folder."""
    named = options.out.suffix.lower().lstrip(".")
    if named in ANIMATIONS and options.format in (None, named):
        return Path(options.out)
    if options.format in (None, "png"):
        return None
    name = "views" if options.cameras else "turntable"
    return Path(options.out / f"{name}.{options.format}")


def _views(options: argparse.Namespace, cloud: SplatCloud) -> list[tuple[str, Camera]]:
    if options.cameras is None:
        return turntable(bounds_of(cloud), options.turntable, options.size or PIXELS)
    views = load_cameras(options.cameras)
    return [(name, resized(camera, options.size)) for name, camera in views] if options.size else views
