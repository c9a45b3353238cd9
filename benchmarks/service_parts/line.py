# SPDX-License-Identifier: Apache-2.0
"""A TCP relay that is as bad as a line can be: delay, little bandwidth, connections reset, cuts at given bytes."""

from __future__ import annotations

import contextlib
import queue
import random
import socket
import struct
import threading
import time
from typing import Self

import attrs

from interchange.connection import Connection

SLICE = 16 << 10
LATE_S = 0.1
"""A sleep that was too long is made up for, up to so much: it is this program's fault, not the line's."""
RESET_EVERY = 1 << 20
"""The chance of a reset is counted once so many bytes from the client."""


@attrs.frozen
class Quality:
    """Seconds one way, bytes a second (None: as fast as it goes), chance of a reset for each MiB from the client."""

    delay_s: float = 0.0
    bandwidth: float | None = None
    reset: float = 0.0
    seed: int = 0


class BadLine:
    """Relays to a service; `connection` is the service's, through this line. Counts what clients send."""

    def __init__(self, connection: Connection, quality: Quality | None = None) -> None:
        self.quality = quality or Quality()
        self._target = int(connection.endpoint.rpartition(":")[2])
        self._server = socket.create_server(("127.0.0.1", 0))
        self.connection = attrs.evolve(connection, endpoint=f"tcp://127.0.0.1:{self._server.getsockname()[1]}")
        self.sent = self.resets = 0
        self._random, self._lock = random.Random(self.quality.seed), threading.Lock()
        self._cuts: list[int] = []
        self._closed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_after(self, *marks: int) -> None:
        """Reset the connection whenever so many bytes have come from clients in total."""
        self._cuts = sorted(marks)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                continue
            for end in (near, far):  # before anything may close them
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            _Direction(self, near, far, counted=True).start()
            _Direction(self, far, near, counted=False).start()

    def breaks_at(self, length: int) -> bool:
        """Count bytes from a client; True if the connection breaks now."""
        with self._lock:
            before, self.sent = self.sent, self.sent + length
            is_cut = bool(self._cuts) and self.sent >= self._cuts[0]
            if is_cut:
                self._cuts.pop(0)
            chances = self.sent // RESET_EVERY - before // RESET_EVERY
            is_cut = is_cut or any(self._random.random() < self.quality.reset for _ in range(chances))
            self.resets += is_cut
            return is_cut

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.close()


class _Direction:
    """One way of one connection: what is read is written a little later, at the line's pace."""

    def __init__(self, line: BadLine, source: socket.socket, target: socket.socket, counted: bool) -> None:
        self._line, self._source, self._target, self._counted = line, source, target, counted
        pace = line.quality.bandwidth or 200e6
        in_flight = max(4, int(2 * pace * line.quality.delay_s / SLICE) + 4)
        self._queue: queue.Queue[tuple[float, bytes]] = queue.Queue(in_flight)

    def start(self) -> None:
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    def _read(self) -> None:
        free_at, bandwidth = 0.0, self._line.quality.bandwidth
        with contextlib.suppress(OSError):
            while data := self._source.recv(SLICE):
                if self._counted and self._line.breaks_at(len(data)):
                    break
                if bandwidth is not None:
                    free_at = max(free_at, time.perf_counter() - LATE_S) + len(data) / bandwidth
                    time.sleep(max(0.0, free_at - time.perf_counter()))
                self._queue.put((time.perf_counter() + self._line.quality.delay_s, data))
        self._break()

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = self._queue.get()
                if not data:
                    break
                time.sleep(max(0.0, due - time.perf_counter()))
                self._target.sendall(data)
        self._break()
        while self._queue.get()[1]:  # the reader may be waiting for room
            pass

    def _break(self) -> None:
        """A reset, both ways: what was on its way is lost."""
        for end in (self._source, self._target):
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                end.close()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait((0.0, b""))
