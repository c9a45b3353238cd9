# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on's jobs without a window: `python -m blender_addon.headless COMMAND ...` in a Python that has bpy.

Exit codes: 0 done, 2 something given is unusable (one sentence on stderr), 130 interrupted (run again to go on).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TextIO

from ._interchange import capture, errors


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    lines = _private_stdout(keep=options.verbose)
    stop = _Stop()
    try:
        options.run(options, _progress(lines, as_json=options.json_progress), stop)
    except errors.InputError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(errors.describe_os_error(error), file=sys.stderr)
        return 2
    except errors.Cancelled:
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        return 130
    finally:
        lines.flush()
    return 0


class _Stop:
    """True once Ctrl-C or a termination request came; the view being rendered is finished first."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: Any) -> None:
        self._asked = True

    def __call__(self) -> bool:
        return self._asked


def _private_stdout(*, keep: bool) -> TextIO:
    """Our own stdout; Blender's chatter, which C code writes to descriptor 1, goes nowhere (or stays, if `keep`)."""
    sys.stdout.flush()
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    if not keep:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)
    return lines


def _progress(lines: TextIO, *, as_json: bool) -> errors.Progress:
    def report(stage: str, fraction: float, message: str) -> None:
        if as_json:
            text = json.dumps({"stage": stage, "fraction": round(fraction, 4), "message": message})
        else:
            text = f"{stage} {fraction:4.0%} {message}"
        print(text, file=lines, flush=True)

    return report


def open_blend(path: Path | None) -> Any:
    """Open a .blend file (an empty scene for None) and return bpy's context. InputError if it cannot be opened."""
    import bpy

    if path is None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        return bpy.context
    if not path.is_file():
        raise errors.InputError(f"The Blender file {path} is missing.", "Check its name.")
    try:
        bpy.ops.wm.open_mainfile(filepath=str(path.resolve()), load_ui=False, use_scripts=False)
    except RuntimeError as error:
        raise errors.InputError(
            f"The Blender file {path} cannot be opened.", "Was it saved by a newer Blender, or is it damaged?"
        ) from error
    return bpy.context


def run_capture(options: argparse.Namespace, progress: errors.Progress, stop: Callable[[], bool]) -> None:
    """Render an avatar from all sides."""
    from .capture.capture import capture_avatar
    from .capture.settings import CaptureSettings

    frames = None if options.frames is None else _frames(options.frames)
    context = open_blend(options.blend)
    settings = CaptureSettings(
        avatar=options.avatar,
        rig=_rig(options, context),
        render=_render_settings(options),
        pose=_pose_settings(options),
        poses=_poses(options, frames, context),
        spread=options.spread,
        needs_landmarks=not options.without_landmarks,
    )
    like = capture.Capture.load(options.cameras_of) if options.cameras_of else None
    for view in like.views if like else ():
        if (view.camera.width, view.camera.height) != (options.size, options.size):
            raise errors.InputError(
                f"The views of {options.cameras_of} are not {options.size} pixels a side.",
                f"Give --size {view.camera.width}.",
            )
    capture_avatar(options.out, settings, progress, stop, context, like)


def _rig(options: argparse.Namespace, context: Any) -> Any:
    """The cameras that are asked for."""
    from .capture import rigs

    train, held_out = options.train, options.held_out
    if options.rig == "sphere":
        return rigs.Sphere(train, held_out, seed=options.seed)
    if options.rig == "turntable":
        return rigs.Rings(train + held_out, held_out=held_out)
    if options.rig != "scene":
        return rigs.Dome(train, held_out, seed=options.seed)
    names = tuple(sorted(item.name for item in context.scene.objects if item.type == "CAMERA"))
    return rigs.SceneCameras(names, held_out=min(held_out, max(len(names) - 1, 0)))


def _poses(options: argparse.Namespace, frames: tuple[int, int, int] | None, context: Any) -> list[Any]:
    """More poses than one, if they are asked for."""
    from .capture.poses import frame_poses, random_expressions
    from .capture.request import sliders_of

    if frames is not None:
        return frame_poses(*frames)
    if options.expressions is not None:
        return random_expressions(sliders_of(context, options.avatar), options.expressions, options.seed)
    return []


def _frames(text: str) -> tuple[int, int, int]:
    """START:END or START:END:STEP. Raises InputError otherwise."""
    try:
        numbers = [int(part) for part in text.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3):
        raise errors.InputError(f"{text!r} are no frames.", "Write them like 1:48 or 1:48:4.")
    return numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else 1


def run_portrait(options: argparse.Namespace, progress: errors.Progress, stop: Callable[[], bool]) -> None:
    """Render a source portrait."""
    from .capture.portrait import take_portrait

    context = open_blend(options.blend)
    render, pose = _render_settings(options), _pose_settings(options)
    take_portrait(options.out, options.avatar, render, pose, progress, context, stop)


def run_truth(options: argparse.Namespace, progress: errors.Progress, stop: Callable[[], bool]) -> None:
    """Render the true swap."""
    from .capture.truth import true_swap

    captured = capture.Capture.load(options.capture)
    split = None if options.views == "all" else options.views
    skin = options.skin or _skin_of(options.skin_of, options.out)
    true_swap(captured, skin, options.out, split, progress, stop, open_blend(options.blend))


def _skin_of(blend: Path, out: Path) -> Path:
    """Save the skin image of the avatar in another .blend file."""
    from .capture.avatar import find_avatar
    from .capture.textures import save_skin

    context = open_blend(blend)
    head = find_avatar(context.scene, context.view_layer, None).head
    return save_skin(head, out / "textures" / "source_skin.png")


def run_import(options: argparse.Namespace, progress: errors.Progress, stop: Callable[[], bool]) -> None:
    """Put splats into a .blend file."""
    from .display.demo import build_demo

    if options.out.suffix.lower() != ".blend":
        raise errors.InputError(f"{options.out} is not a .blend file name.", "Give --out a name that ends in .blend.")
    if options.blend is not None and options.out.exists() and options.out.samefile(options.blend):
        raise errors.InputError(f"--out would overwrite the avatar's file {options.blend}.", "Give another name.")
    context = open_blend(options.blend)
    captured = capture.Capture.load(options.capture) if options.capture else None
    progress("import", 0.1, "reading splats")
    counts = build_demo(options.splats, options.out, context, captured)
    stands = "following the avatar" if counts["follows"] else "standing still"
    progress("import", 1.0, f"{counts['splats']} splats, {counts['cameras']} cameras, {stands}")


def _render_settings(options: argparse.Namespace) -> Any:
    from .capture.settings import RenderSettings

    return RenderSettings(
        size=options.size,
        samples=options.samples,
        lens_mm=options.lens,
        height=options.height,
        engine=options.engine.upper(),
    )


def _pose_settings(options: argparse.Namespace) -> Any:
    from .capture.settings import PoseSettings

    expression = dict(_assignment(text, 1) for text in options.expression)
    bones = dict(_assignment(text, 3) for text in options.pose)
    return PoseSettings({name: value[0] for name, value in expression.items()}, bones, options.frame)


def _assignment(text: str, count: int) -> tuple[str, tuple[float, ...]]:
    """name=1 or name=1,2,3. Raises InputError otherwise."""
    name, _, values = text.partition("=")
    try:
        numbers = tuple(float(v) for v in values.split(","))
    except ValueError:
        numbers = ()
    if not name or len(numbers) != count:
        example = "smile=0.3" if count == 1 else "head=0,0,15"
        raise errors.InputError(f"{text!r} is not understood.", f"Write it like {example}.")
    return name.strip(), numbers


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence and exit code 2, without the usage text."""
        self.exit(2, f"{message[:1].upper()}{message[1:]}. See {self.prog} --help\n")


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = _Parser(prog="python -m blender_addon.headless", description="Digidouble's Blender jobs without a window.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)

    command = _command(commands, "capture", run_capture, "render an avatar from all sides, with all passes")
    _avatar_options(command, "the capture folder to write")
    command.add_argument("--train", type=int, default=40, metavar="N", help="views to fit on (default 40)")
    command.add_argument("--held-out", type=int, default=8, metavar="N", help="views kept for judging (default 8)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="picks pattern and expressions (default 0)")
    command.add_argument(
        "--rig", choices=("dome", "sphere", "turntable", "scene"), default="dome",
        help="where the cameras stand; scene: those in the file (default dome)",
    )  # fmt: skip
    several = command.add_mutually_exclusive_group()
    several.add_argument("--frames", metavar="START:END[:STEP]", help="a pose for each of these frames")
    several.add_argument("--expressions", type=int, metavar="N", help="poses with random shape keys, by the seed")
    command.add_argument("--spread", action="store_true", help="spread the cameras over the poses")
    command.add_argument("--cameras-of", type=Path, metavar="DIR", help="use another capture's cameras, not a rig")
    command.add_argument("--without-landmarks", action="store_true", help="allow an avatar without face landmarks")
    _quality_options(command, size=320, samples=8)

    command = _command(commands, "portrait", run_portrait, "render a portrait of an avatar as a source for swaps")
    _avatar_options(command, "the source folder to write")
    _quality_options(command, size=640, samples=32)

    command = _command(commands, "truth", run_truth, "render a capture's views again with another skin on the head")
    command.add_argument("--capture", type=Path, required=True, metavar="DIR", help="the capture")
    command.add_argument("--blend", type=Path, required=True, metavar="FILE", help="the file it was made from")
    skin = command.add_mutually_exclusive_group(required=True)
    skin.add_argument("--skin", type=Path, metavar="IMAGE", help="the other skin, a PNG laid out for the head's UVs")
    skin.add_argument("--skin-of", type=Path, metavar="FILE", help="take it from the avatar in this .blend file")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder to write")
    command.add_argument("--views", choices=("held_out", "train", "all"), default="held_out", help="default: held_out")

    command = _command(commands, "import", run_import, "put a double's splats into a .blend file")
    command.add_argument("--splats", type=Path, required=True, metavar="FILE", help="the double: any splat file")
    command.add_argument("--blend", type=Path, metavar="FILE", help="the avatar's file, which is not changed")
    command.add_argument("--capture", type=Path, metavar="DIR", help="its capture: adds the cameras")
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="the .blend file to write")
    return parser


def _command(commands: Any, name: str, run: Callable[..., None], text: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=text, description=f"{text[:1].upper()}{text[1:]}.")
    command.add_argument("--json-progress", action="store_true", help="progress as JSON lines")
    command.add_argument("--verbose", action="store_true", help="show what Blender prints")
    command.set_defaults(run=run)
    return command


def _avatar_options(command: argparse.ArgumentParser, out: str) -> None:
    command.add_argument("--blend", type=Path, required=True, metavar="FILE", help="the .blend file with the avatar")
    command.add_argument("--avatar", metavar="NAME", help="its collection, if the file holds several")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help=out)
    command.add_argument("--expression", action="append", default=[], metavar="KEY=VALUE", help="e.g. smile=0.3")
    command.add_argument("--pose", action="append", default=[], metavar="BONE=X,Y,Z", help="degrees, e.g. head=0,0,15")
    command.add_argument("--frame", type=int, metavar="N", help="frame of the timeline (default: where the file is)")


def _quality_options(command: argparse.ArgumentParser, *, size: int, samples: int) -> None:
    command.add_argument("--size", type=int, default=size, metavar="PIXELS", help=f"edge of a picture (default {size})")
    command.add_argument("--height", type=int, metavar="PIXELS", help="of pictures that are not square")
    command.add_argument("--engine", choices=("cycles", "eevee"), default="cycles", help="default cycles")
    command.add_argument("--samples", type=int, default=samples, metavar="N", help=f"per pixel (default {samples})")
    command.add_argument("--lens", type=float, default=85.0, metavar="MM", help="lens on a 36 mm sensor (default 85)")


if __name__ == "__main__":
    sys.exit(main())
