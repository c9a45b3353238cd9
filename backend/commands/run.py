# SPDX-License-Identifier: Apache-2.0
"""The whole job on your own avatar: capture, swap, fit, import, report. Goes on where it was when it is run again."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from backend.faceswap.onnx.models import models_folder
from backend.faceswap.onnx.preparation import check_networks
from backend.faceswap.onnx.session import find_runtime
from backend.faceswap.source import check_source
from backend.ledger import Ledger
from backend.terminal import Terminal
from backend.whole_job import JobPlan, alone_in, capture_step, compiling_kernels, complete, take_in

from . import _arguments, _onnx_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _arguments.add_avatar(parser)
    parser.add_argument("--source", type=Path, required=True, metavar="DIR", help="the performer's source folder")
    _arguments.add_views(parser, held_out_at_least=1)
    _arguments.add_fit(parser)
    _arguments.add_swap(parser)
    _onnx_arguments.add_onnx(parser)
    _arguments.add_out(parser, "where everything goes")


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Consent and networks first; nothing is rendered for a job that would be refused."""
    started = time.monotonic()
    check_source(options.source)
    root = options.out.resolve()
    parameters = {"swap": _arguments.swap_settings(options), "fit": _arguments.fit_settings(options)}
    if options.swapper == "onnx":
        check_networks(_onnx_arguments.onnx_settings(options), models_folder(os.environ), find_runtime)
    plan = JobPlan(
        root, options.blend.resolve(), options.avatar or "", options.train, options.held_out, options.size,
        options.samples, tuple(options.expression), parameters,
    )  # fmt: skip
    settings = {
        "blend": plan.blend.name,
        "avatar": plan.avatar,
        "expression": list(plan.expression),
        "views": plan.views,
        "parameters": parameters,
    }
    with alone_in(root):
        ledger = Ledger(root / "ledger.json", settings)
        take_in(plan, ledger, options.source)
        with compiling_kernels():
            capture_step(plan, ledger, terminal)
        complete(plan, ledger, terminal, started)
    return 0
