# SPDX-License-Identifier: Apache-2.0
"""Run the backend service until Ctrl-C.

Programs on this computer find it through the connection file in its state folder. Other computers need two things: the
service must listen at an address that they reach (--bind), and each must be paired once (digidouble pair). Never put it
on the open internet: use a VPN or an SSH tunnel.
"""

from __future__ import annotations

import argparse

from backend.service.server import serve
from backend.terminal import Terminal

from . import _arguments, _onnx_arguments
from ._service import ONLY_HERE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument(
        "--state", type=_arguments.new_path, required=True, metavar="DIR", help="jobs, files and keys are kept here"
    )
    parser.add_argument(
        "--port", type=_arguments.whole_number(0, 65535), default=0, metavar="N",
        help="TCP port (default: that of the last time, or any free one)",
    )  # fmt: skip
    parser.add_argument(
        "--bind", default="127.0.0.1", metavar="ADDRESS",
        help="address to listen at (default 127.0.0.1: this computer only; 0.0.0.0: all of its networks)",
    )  # fmt: skip
    parser.add_argument(
        "--pair-port", type=_arguments.whole_number(0, 65535), default=0, metavar="N",
        help="TCP port of `digidouble pair` (default: any free one)",
    )  # fmt: skip
    parser.add_argument(
        "--slots", type=_arguments.whole_number(1, 1000), metavar="N",
        help="jobs at the same time (default: one a GPU, or 1 on a machine without)",
    )  # fmt: skip
    _onnx_arguments.add_models(parser)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve."""
    serve(
        options.state, options.bind, options.port, slots=options.slots, pair_port=options.pair_port,
        models=options.models, ready=lambda c: terminal.say(listening(c.endpoint, options.bind)),
    )  # fmt: skip
    return 0


def listening(endpoint: str, address: str) -> str:
    """Where, and for whom. `endpoint` is that for this computer's own clients."""
    port = endpoint.rpartition(":")[2]
    if address.startswith(ONLY_HERE):
        return f"Listening at {endpoint}, Ctrl-C ends"
    return f"Listening at {address}, port {port}, to paired computers (digidouble pair lets one in), Ctrl-C ends"
