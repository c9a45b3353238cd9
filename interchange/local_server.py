# SPDX-License-Identifier: Apache-2.0
"""A service on this computer: find the one that runs, start one, stop it. For the demo and the add-on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from .client import JobClient
from .connection import CONNECTION_FILE, Connection, Timing
from .errors import InputError
from .service_errors import ConnectionLost, ServiceError

_QUICK = Timing(hello_s=2.0, request_s=2.0, patience_s=0.0, pause_first_s=0.05, pause_max_s=0.1)


def find_local_server(state_folder: Path) -> Connection | None:
    """The service that runs in a state folder, if one answers."""
    try:
        connection = Connection.load(Path(state_folder) / CONNECTION_FILE)
        with JobClient(connection, _QUICK) as client:
            client.ping()
        return connection
    except (InputError, ServiceError):
        return None


def start_local_server(
    state_folder: Path,
    python: Path | str,
    working_folder: Path,
    arguments: Sequence[str] = (),
    timeout_s: float = 30.0,
) -> Connection:
    """The service that runs in a state folder; if none answers, start one that outlives this process.

    `python`: the backend environment's interpreter; `working_folder`: where the packages are; `arguments`: more options
    of `python -m backend.service`. Raises ServiceError (UNAVAILABLE) with the end of its log if it does not come up.
    """
    state_folder = Path(state_folder).resolve()
    if (connection := find_local_server(state_folder)) is not None:
        return connection
    command = [str(python), "-m", "backend.service", "--state", str(state_folder), "--detach", *arguments]
    try:
        started = subprocess.run(
            command, cwd=working_folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        text = f"The service cannot be started ({error})."
        raise ServiceError("UNAVAILABLE", text, "Run the installation again.") from error
    if started.returncode != 0:
        raise _not_started(started.stderr)
    if (connection := find_local_server(state_folder)) is None:
        raise _not_started("it does not answer")
    return connection


def stop_local_server(state_folder: Path, timeout_s: float = 15.0) -> bool:
    """Stop the service of a state folder gracefully, or by force if it does not answer. True if there was one."""
    path = Path(state_folder) / CONNECTION_FILE
    connection = find_local_server(state_folder)
    if connection is None:
        return False
    try:
        with JobClient(connection, _QUICK) as client:
            client.stop_server()
    except (ServiceError, ConnectionLost):
        pass
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not path.exists():  # the last thing that it takes away
            return True
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.kill(connection.pid, signal.SIGTERM)
    return True


def _not_started(output: str) -> ServiceError:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    reason = lines[-1] if lines else "it said nothing"
    return ServiceError("UNAVAILABLE", f"The service did not start: {reason}", "Look into server.log in its folder.")
