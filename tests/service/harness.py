# SPDX-License-Identifier: Apache-2.0
"""A real service process that tests may kill, and a line to it that tests may cut."""

from __future__ import annotations

import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import attrs

from interchange.client import JobClient
from interchange.connection import Connection, Timing
from interchange.local_server import find_local_server
from interchange.owner import OwnerClient
from interchange.pairing import PairingOffer, pair

REPOSITORY = Path(__file__).resolve().parents[2]
TOY = "tests.service.toy:run"
KEEP_FREE = {"DIGIDOUBLE_SERVICE_KEEP_FREE_MB": "64"}
"""Tests need not much, and run on machines with little."""
IMPATIENT = Timing(hello_s=3.0, request_s=5.0, patience_s=20.0, pause_first_s=0.05, pause_max_s=0.2)


class Service:
    """`python -m backend.service` with the toy runner, as a child process."""

    def __init__(self, state: Path, *arguments: str) -> None:
        self.state, self.arguments = state, arguments
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start, and wait until it answers."""
        self.state.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "backend.service", "--state", str(self.state), "--runner", TOY]
        environment = {**KEEP_FREE, **os.environ}
        with open(self.state / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                [*command, *self.arguments], cwd=REPOSITORY, env=environment, stdout=log, stderr=log
            )
        wait_until(lambda: find_local_server(self.state) is not None, 20.0)
        return self

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15.0)

    def restart(self) -> None:
        """kill -9 and start again."""
        self.kill()
        self.start()

    def client(self, connection: Connection | None = None) -> JobClient:
        """A client with short patience."""
        return JobClient(connection or self.state, IMPATIENT)

    def owner(self) -> OwnerClient:
        """The client of the service's own computer."""
        return OwnerClient(self.state, IMPATIENT)

    def job_folder(self, job_id: str) -> Path:
        """Where a job's files live."""
        return self.state / "jobs" / job_id

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()


class Line:
    """A TCP relay that counts what the client sends, and can be cut."""

    def __init__(self, connection: Connection, record: bool = False) -> None:
        self.recorded: bytearray | None = bytearray() if record else None  # both directions
        self._target = int(connection.endpoint.rpartition(":")[2])
        self._server = socket.create_server(("127.0.0.1", 0))
        self.connection = attrs.evolve(connection, endpoint=f"tcp://127.0.0.1:{self._server.getsockname()[1]}")
        self.sent = 0  # bytes from the client
        self._cut_at: list[int] = []
        self._closed = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def cut_after(self, *marks: int) -> None:
        """Break the connection whenever so many bytes have been sent in total."""
        self._cut_at = sorted(marks)

    def _accept(self) -> None:
        self._server.settimeout(0.1)
        while not self._closed:
            try:
                near, _ = self._server.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._relay, args=(near,))
            self._threads.append(thread)
            thread.start()

    def _relay(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with far:
                self._pump(near, far)

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        while not self._closed:
            for source in select.select([near, far], [], [], 0.1)[0]:
                try:
                    data = source.recv(65536)
                    if not data:
                        return
                    if self.recorded is not None:
                        self.recorded += data
                    if source is near:
                        self.sent += len(data)
                        if self._cut_at and self.sent >= self._cut_at[0]:
                            self._cut_at.pop(0)
                            return
                    (far if source is near else near).sendall(data)
                except OSError:
                    return

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        for thread in self._threads:
            thread.join()
        self._server.close()


def offer_of(service: Service, owner: OwnerClient, name: str = "") -> PairingOffer:
    """A pairing line's content, as `digidouble pair` would print it."""
    opened = owner.open_pairing(name)
    return PairingOffer("127.0.0.1", opened.port, Connection.load(service.state).server_key, opened.code)


def new_device(service: Service, owner: OwnerClient, folder: Path, name: str) -> Connection:
    """A paired device whose connection file is in the folder."""
    return pair(offer_of(service, owner), name, folder)


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """AssertionError if it does not come true in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def make_files(folder: Path, sizes: dict[str, int], seed: int = 0) -> dict[str, Path]:
    """Files with random content: path in the job -> file."""
    generator = random.Random(seed)
    files: dict[str, Path] = {}
    for path, size in sizes.items():
        files[path] = folder / path
        files[path].parent.mkdir(parents=True, exist_ok=True)
        files[path].write_bytes(generator.randbytes(size))
    return files


def assert_reversed(files: dict[str, Path], folder: Path) -> None:
    """The toy's results: the inputs, backwards."""
    for path, source in files.items():
        assert (folder / path).read_bytes() == source.read_bytes()[::-1], path


def process_exists(pid: int) -> bool:
    """True unless it is gone or a zombie."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
