# SPDX-License-Identifier: Apache-2.0
"""Options of swaps by the user's own ONNX networks, for the commands that swap."""

from __future__ import annotations

import argparse
from pathlib import Path

from backend.faceswap.onnx.descriptors import KINDS
from backend.faceswap.onnx.models import MODELS_VARIABLE
from backend.faceswap.onnx.settings import AUTO, OnnxSettings


def add_models(parser: argparse.ArgumentParser) -> None:
    """--models: where networks lie on the machine that computes."""
    parser.add_argument("--models", type=Path, metavar="DIR", help=f"folder of your networks (${MODELS_VARIABLE})")


def add_onnx(parser: argparse.ArgumentParser) -> None:
    """Which network, and how; defaults are OnnxSettings' own."""
    usual = OnnxSettings()
    group = parser.add_argument_group("with --swapper onnx", "Networks are named files of the models folder.")
    group.add_argument("--model", default="", metavar="NAME", help="the swap network")
    group.add_argument("--model-kind", choices=(AUTO, *KINDS), default=AUTO, metavar="KIND", help=", ".join(KINDS))
    group.add_argument("--recogniser", default="", metavar="NAME", help="the face recogniser that most kinds need")
    group.add_argument("--converter", default="", metavar="NAME", help="the converter that some kinds need, or none")
    group.add_argument(
        "--providers", default=",".join(usual.providers), metavar="A,B",
        help=f"execution providers in order; what is not listed is not used (default {','.join(usual.providers)})",
    )  # fmt: skip
    group.add_argument("--pixel-boost", type=int, default=usual.pixel_boost, metavar="N", help="N times the resolution")
    group.add_argument("--crop-scale", type=float, default=usual.crop_scale, metavar="X", help="above 1: a wider crop")
    group.add_argument("--morph", type=float, default=usual.morph, metavar="0..1", help="of a .dfm that morphs")
    group.add_argument(
        "--expect", action="append", type=_expectation, default=[], metavar="NAME=SHA256",
        help="refuse a network with another digest; repeatable",
    )  # fmt: skip
    group.add_argument("--licence", default="", metavar="TEXT", help="the network's licence; kept in the report")


def _expectation(text: str) -> tuple[str, str]:
    name, separator, digest = text.rpartition("=")
    if not separator:
        raise argparse.ArgumentTypeError("write NAME=SHA256")
    return name, digest


def onnx_settings(options: argparse.Namespace) -> OnnxSettings:
    """The options as settings; InputError for one that is out of range. Commands without them get the defaults."""
    if not hasattr(options, "model_kind"):
        return OnnxSettings()
    return OnnxSettings(
        model=options.model, kind=options.model_kind, recogniser=options.recogniser, converter=options.converter,
        providers=list(filter(None, options.providers.split(","))), pixel_boost=options.pixel_boost,
        crop_scale=options.crop_scale, morph=options.morph, sha256=dict(options.expect), licence=options.licence,
    )  # fmt: skip
