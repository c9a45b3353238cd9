# SPDX-License-Identifier: Apache-2.0
"""Run the backend service until Ctrl-C.

Programs on this computer find it through the connection file in its state folder. Other computers need two things: the
service must listen at an address that they reach (--bind), and each must be paired once (digidouble pair). Never put it
on the open internet: use a VPN or an SSH tunnel.

Settings may stand in a file (--config; service.toml in the state folder is read without being named), in the
environment (DIGIDOUBLE_SERVICE_PORT and so on) and on the command line, which wins.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from backend.service import configuration, logs, units
from backend.service.server import serve
from backend.service.settings import Settings
from backend.terminal import Terminal
from interchange.errors import InputError
from interchange.local_server import stop_local_server

from . import _arguments, _onnx_arguments
from ._service import ONLY_HERE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    parser.add_argument("--state", type=_arguments.new_path, metavar="DIR", help="jobs, files and keys are kept here")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (default: service.toml in DIR, if any)")
    port = _arguments.whole_number(0, 65535)
    parser.add_argument("--port", type=port, metavar="N", help="TCP port (default: that of the last time, or any)")
    parser.add_argument(
        "--bind", metavar="ADDRESS",
        help="address to listen at (default 127.0.0.1: this computer only; 0.0.0.0: all of its networks)",
    )  # fmt: skip
    parser.add_argument("--pair-port", type=port, metavar="N", help="port of `digidouble pair` (default: any free one)")
    parser.add_argument(
        "--status-port", type=_arguments.whole_number(1, 65535), metavar="N",
        help="show a status page, /metrics and /health at this port of 127.0.0.1 (default: nowhere)",
    )  # fmt: skip
    parser.add_argument(
        "--slots", type=_arguments.whole_number(1, 1000), metavar="N",
        help="jobs at the same time (default: one a GPU, or 1 on a machine without)",
    )  # fmt: skip
    parser.add_argument("--log-json", action="store_true", default=None, help="log lines as JSON, for programs")
    _onnx_arguments.add_models(parser)
    for name, text in (
        ("--print-config", "print a settings file with every option explained, and end"),
        ("--print-unit", "print a systemd unit, with notes for Windows, and end"),
        ("--stop", "stop the service that runs in DIR; its jobs wait for the next start"),
    ):
        parser.add_argument(name, action="store_true", help=text)


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """Serve, or print what was asked for."""
    if options.print_config:
        usual = Settings(Path())
        terminal.say(configuration.print_config(lambda field: getattr(usual, field)))
        return 0
    if options.state is None:
        raise InputError("The service needs a folder.", "Give one: --state DIR.")
    if options.stop:
        if not stop_local_server(options.state):
            raise InputError(f"No service runs in {options.state}.")
        terminal.say("Stopped.")
        return 0
    names = {option.name for option in configuration.OPTIONS}
    given = {name: value for name, value in vars(options).items() if name in names}
    settings = configuration.load(_config_file(options), os.environ, given)
    if options.print_unit:
        terminal.say(_units(options, given))
        return 0
    logs.set_up(settings.get("log_json", False))
    address = settings.get("bind", "127.0.0.1")
    page = f" (status: http://127.0.0.1:{settings['status_port']}/)" if "status_port" in settings else ""
    serve(
        options.state, ready=lambda c: terminal.say(listening(c.endpoint, address) + page), **settings
    )
    return 0


def _config_file(options: argparse.Namespace) -> Path | None:
    if options.config is not None:
        return Path(options.config)
    return configuration.usual_file(options.state)


def _units(options: argparse.Namespace, given: dict[str, object]) -> str:
    """The arguments of this very call, with whole paths."""
    arguments = ["--state", str(options.state.resolve())]
    if options.config is not None:
        arguments += ["--config", str(options.config.resolve())]
    for name, value in given.items():
        if value is not None:
            word = f"--{name.replace('_', '-')}"
            arguments += [word] if value is True else [word, str(value.resolve() if isinstance(value, Path) else value)]
    folder = Path(__file__).resolve().parents[2]
    return units.systemd(sys.executable, arguments, folder) + "\n" + units.windows(sys.executable, arguments, folder)


def listening(endpoint: str, address: str) -> str:
    """Where, and for whom. `endpoint` is that for this computer's own clients."""
    port = endpoint.rpartition(":")[2]
    if address.startswith(ONLY_HERE):
        return f"Listening at {endpoint}, Ctrl-C ends"
    return f"Listening at {address}, port {port}, to paired computers (digidouble pair lets one in), Ctrl-C ends"
