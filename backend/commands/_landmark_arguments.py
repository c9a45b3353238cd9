# SPDX-License-Identifier: Apache-2.0
"""Options of finding facial points by the user's own networks, and the networks that they lead to."""

from __future__ import annotations

import argparse
import os

from backend.faceswap.onnx.landmark_networks import Choice, LandmarkNetworks, choose, open_chosen
from backend.faceswap.onnx.models import models_folder
from backend.faceswap.onnx.session import find_runtime
from backend.faceswap.onnx.settings import AUTO, CPU, NONE
from backend.terminal import Terminal

from . import _onnx_arguments


def add_networks(parser: argparse.ArgumentParser, landmarker: str | None = AUTO) -> None:
    """--models, --landmarker, --detector, --providers; `landmarker`: what holds where it is not given."""
    _onnx_arguments.add_models(parser)
    parser.add_argument(
        "--landmarker", default=landmarker, metavar="NAME",
        help=f"the network that finds the points, or {AUTO}: the one in the models folder",
    )  # fmt: skip
    parser.add_argument(
        "--detector", default=AUTO, metavar="NAME",
        help=f"the network that finds faces (YuNet), {AUTO} (default): if there is one, or {NONE}",
    )  # fmt: skip
    parser.add_argument(
        "--providers", default=CPU, metavar="A,B",
        help=f"execution providers in order; what is not listed is not used (default {CPU})",
    )  # fmt: skip


def open_networks(options: argparse.Namespace, terminal: Terminal) -> LandmarkNetworks:
    """The networks that the options name, and two lines about them. InputError when they cannot be had."""
    providers = tuple(filter(None, options.providers.split(",")))
    choice = Choice(options.landmarker or AUTO, options.detector, providers or (CPU,))
    chosen = choose(models_folder(os.environ, options.models, "a landmarker"), choice)
    networks = open_chosen(chosen, choice, find_runtime())
    terminal.say(f"landmarker {chosen.landmarker.name} ({chosen.kind.id}), SHA-256 {chosen.landmarker.sha256}")
    terminal.say(f"  its makers' licence: {chosen.kind.licence}; computed by {networks.provider}")
    detector = chosen.detector
    found = "no detector: the whole photo is searched" if detector is None else f"detector {detector.name}"
    terminal.say(found if detector is None else f"{found}, SHA-256 {detector.sha256}")
    for sentence in networks.warnings:
        terminal.say(f"Note: {sentence}")
    return networks
