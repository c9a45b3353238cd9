# SPDX-License-Identifier: Apache-2.0
"""Run the backend service until Ctrl-C. Clients find it through the connection file in its state folder."""

from __future__ import annotations

import argparse

from backend.service.server import serve
from backend.terminal import Terminal

from . import _arguments, _onnx_arguments


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--state", type=_arguments.new_path, required=True, metavar="DIR", help="jobs, files and keys are kept here"
    )
    parser.add_argument(
        "--port", type=_arguments.whole_number(0, 65535), default=0, metavar="N",
        help="TCP port on 127.0.0.1 (default: any free one)",
    )  # fmt: skip
    parser.add_argument(
        "--slots", type=_arguments.whole_number(1, 1000), metavar="N",
        help="jobs at the same time (default: one a GPU, or 1 on a machine without)",
    )  # fmt: skip
    _onnx_arguments.add_models(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve."""
    serve(
        options.state, port=options.port, slots=options.slots, models=options.models,
        ready=lambda c: terminal.say(f"Listening at {c.endpoint}, Ctrl-C ends"),
    )  # fmt: skip
    return 0
