# SPDX-License-Identifier: Apache-2.0
"""A service on this computer: find the one that runs, start one, stop it. For the demo and the add-on."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from .client import JobClient
from .connection import CONNECTION_FILE, NOT_STARTED, Connection, Timing
from .errors import InputError
from .locks import is_held
from .service_errors import ConnectionLost, ServiceError

LOCK_FILE = "server.lock"
"""In a state folder: held by the service that runs there, for as long as it runs."""
_QUICK = Timing(hello_s=2.0, request_s=2.0, patience_s=0.0, pause_first_s=0.05, pause_max_s=0.1)


def find_local_server(state_folder: Path) -> Connection | None:
    """The service that runs in a state folder; None if none answers.

    Raises InputError or ServiceError if one runs there that this program cannot talk to: another version, other keys, a
    connection file that is damaged or somebody else's. (Whatever listens now at a dead service's port is none.)
    """
    try:
        connection = Connection.load(Path(state_folder) / CONNECTION_FILE)
        with JobClient(connection, _QUICK) as client:
            client.ping()
        return connection
    except (InputError, ServiceError) as error:
        nobody = error.code in (NOT_STARTED, "UNAVAILABLE") or not is_held(Path(state_folder) / LOCK_FILE)
        if nobody:
            return None
        raise


def _wait_for_the_one_that_runs(state_folder: Path, timeout_s: float) -> Connection | None:
    """None once no service runs there. One that starts, stops or is very busy gets time; ServiceError after that."""
    deadline = time.monotonic() + timeout_s
    while True:
        if (connection := find_local_server(state_folder)) is not None:
            return connection
        if not is_held(state_folder / LOCK_FILE):
            return None
        if time.monotonic() >= deadline:
            raise _hangs(state_folder)
        time.sleep(0.1)


def start_local_server(
    state_folder: Path,
    python: Path | str,
    working_folder: Path,
    arguments: Sequence[str] = (),
    timeout_s: float = 30.0,
) -> Connection:
    """The service that runs in a state folder; if none answers, start one that outlives this process.

    `python`: the backend environment's interpreter; `working_folder`: where the packages are; `arguments`: more options
    of `python -m backend.service`. Raises ServiceError (UNAVAILABLE) with the end of its log if it does not come up, or
    what `find_local_server` raises.
    """
    state_folder = Path(state_folder).resolve()
    if (connection := _wait_for_the_one_that_runs(state_folder, timeout_s)) is not None:
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
        if (connection := find_local_server(state_folder)) is not None:  # somebody else was quicker
            return connection
        raise _not_started(started.stderr)
    if (connection := find_local_server(state_folder)) is None:
        raise _not_started("it does not answer")
    return connection


def stop_local_server(state_folder: Path, timeout_s: float = 15.0) -> bool:
    """Stop the service of a state folder gracefully, asked by name or, if we cannot talk to it, by the system's signal.

    True if there was one. Raises ServiceError (UNAVAILABLE) if it goes on.
    """
    state_folder = Path(state_folder)
    path, lock = state_folder / CONNECTION_FILE, state_folder / LOCK_FILE
    try:
        connection = find_local_server(state_folder)
    except (InputError, ServiceError):
        connection = None
    if connection is None and not is_held(lock):
        return False
    asked = connection is not None and _asked_to_stop(connection)
    if not asked or not _wait_until(lambda: not path.exists(), timeout_s):  # the last thing that it takes away
        _signal(path)
    if not _wait_until(lambda: not is_held(lock), timeout_s):
        raise _hangs(state_folder)
    return True


def _asked_to_stop(connection: Connection) -> bool:
    try:
        with JobClient(connection, _QUICK) as client:
            client.stop_server()
        return True
    except (ServiceError, ConnectionLost):
        return False


def _signal(path: Path) -> None:
    """SIGTERM to the process that a connection file names, where it can be read."""
    with contextlib.suppress(InputError, OSError):
        pid = Connection.load(path).pid
        if pid > 0:
            os.kill(pid, signal.SIGTERM)


def _wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _hangs(state_folder: Path) -> ServiceError:
    try:
        process = f" (process {Connection.load(state_folder / CONNECTION_FILE).pid})"
    except InputError:
        process = ""
    text = f"A service runs in {state_folder} but does not answer{process}."
    return ServiceError("UNAVAILABLE", text, "Wait a little; if it stays so, end that process and start it again.")


def _not_started(output: str) -> ServiceError:
    lines = [line for line in output.strip().splitlines() if line.strip()]
    reason = lines[-1] if lines else "it said nothing"
    return ServiceError("UNAVAILABLE", f"The service did not start: {reason}", "Look into server.log in its folder.")
