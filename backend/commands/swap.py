# SPDX-License-Identifier: Apache-2.0
"""Put the source's face on the captured avatar: in all views at once through its UV texture, or view by view.

The source folder holds the photo, its landmarks and the consent record (`digidouble source` makes one).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from backend.faceswap.onnx.models import models_folder
from backend.faceswap.registry import OnnxSwapper
from backend.faceswap.settings import ENGINES, SwapSettings
from backend.faceswap.swap import REPORT, swap
from backend.pipeline import settings_from
from backend.terminal import Terminal

from . import _arguments, _onnx_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--capture", type=Path, required=True, metavar="DIR", help="the target's capture folder")
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the source folder")
    _arguments.add_out(parser, "the swapped folder to write")
    _arguments.add_swap(parser)
    _onnx_arguments.add_models(parser)
    _onnx_arguments.add_onnx(parser)
    parser.add_argument("--engine", choices=ENGINES, default="auto", help="what computes; auto: a GPU if one works")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Swap."""
    chosen = {**_arguments.swap_settings(options), "engine": options.engine}
    settings = settings_from(chosen, SwapSettings)
    swapper = None
    if settings.swapper == OnnxSwapper.info.name:
        swapper = OnnxSwapper(lambda: models_folder(os.environ, options.models))
    result = swap(
        options.capture, options.source, options.out, settings, terminal.progress("swap"), lambda: False,
        swapper=swapper,
    )  # fmt: skip
    terminal.say(result.report["engine_reason"])
    for line in _network_lines(result.report):
        terminal.say(line)
    for sentence in result.warnings:
        terminal.say(f"Note: {sentence}")
    found = result.report.get("consistency")
    if found:
        agree = f"{found['views_used']} views agree on one skin to {found['residual_levels']:.1f} of 255 levels"
        terminal.say(f"{agree}; {REPORT} tells of each")
    terminal.say(f"Wrote {options.out}")
    return 0


def _network_lines(report: dict[str, Any]) -> list[str]:
    """What a swap by networks says of them: digests, licence, views left alone."""
    if "models" not in report:
        return []
    lines = [f"{m['role']} {m['file']}, SHA-256 {m['sha256']}" for m in report["models"]]
    alone = sum(not view["swapped"] for view in report["views"].values())
    return [*lines, f"licence: {report['licence']}", f"{alone} of {len(report['views'])} views left alone"]
