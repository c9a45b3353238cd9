# SPDX-License-Identifier: Apache-2.0
"""`python -m backend.service --state DIR`: run the service, or with --detach start it in the background and return.

Settings come as for `digidouble serve`: service.toml in DIR, the environment, and these options, which win.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from interchange.connection import Connection
from interchange.errors import InputError

from . import configuration, logs
from .settings import DEFAULT_RUNNER


def make_parser() -> argparse.ArgumentParser:
    """The options of the process."""
    parser = argparse.ArgumentParser(prog="python -m backend.service", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="folder for jobs, files and keys")
    parser.add_argument("--bind", help="address to listen on (this computer only by default)")
    parser.add_argument("--port", type=int, help="0 = any free port; clients find it in connection.json")
    parser.add_argument("--pair-port", type=int, help="port of the pairing endpoint (default: any free one)")
    parser.add_argument("--runner", default=DEFAULT_RUNNER, help="module:function that does a job")
    parser.add_argument("--slots", type=_positive, help="jobs at the same time (default: one a GPU, or 1 without)")
    grace = "seconds from cancelling to killing"
    parser.add_argument("--cancel-grace", type=float, dest="cancel_grace_s", metavar="S", help=grace)
    silence = "seconds of silence after which a worker is killed"
    parser.add_argument("--stall", type=float, dest="stall_s", metavar="S", help=silence)
    parser.add_argument("--status-port", type=int, help="port of the status page on 127.0.0.1 (default: none)")
    parser.add_argument("--log-json", action="store_true", default=None, help="log lines as JSON")
    parser.add_argument("--models", type=Path, help="folder of the user's networks, which jobs may name")
    parser.add_argument("--detach", action="store_true", help="run in the background, log to server.log")
    return parser


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not possible, at least 1 is needed")
    return value


def main() -> int:
    """Entry of the process."""
    options = make_parser().parse_args()
    if options.detach:
        return _detach(options.state)
    from .server import serve

    names = {option.name for option in configuration.OPTIONS}
    given = {name: value for name, value in vars(options).items() if name in names}
    try:
        settings = configuration.load(configuration.usual_file(options.state), os.environ, given)
        logs.set_up(settings.get("log_json", False))
        serve(options.state, runner=options.runner, **settings)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _detach(state: Path) -> int:
    """Start this program again as a process that outlives its parent; leave when it serves, or say why it does not."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--detach"]
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"The folder {state} cannot be made ({error.strerror}).", file=sys.stderr)
        return 2
    apart: dict[str, Any] = {"start_new_session": True} if os.name == "posix" else {"creationflags": 0x00000208}
    with open(state / "server.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "backend.service", *arguments],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **apart,
        )  # fmt: skip
    while (status := process.poll()) is None:
        if _serves(state, process.pid):
            return 0
        time.sleep(0.05)
    print((state / "server.log").read_text(errors="replace")[-2000:], file=sys.stderr)
    return status or 1


def _serves(state: Path, pid: int) -> bool:
    try:
        return Connection.load(state).pid == pid
    except InputError:
        return False


if __name__ == "__main__":
    sys.exit(main())
