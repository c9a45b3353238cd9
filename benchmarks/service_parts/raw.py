# SPDX-License-Identifier: Apache-2.0
"""Two bounds of an upload, in bare pyzmq with the same chunks and the same window.

*Bare*: nothing else; no digests, no disk. *Verified*: what any store must do that knows what it has: the sender digests
each chunk once, the receiver too, compares, writes, and flushes each file at its end. No protocol, no job list, nothing
to resume; as one writes it down, each side in one thread.

`python -m benchmarks.service_parts.raw CHUNKS SECRET PUBLIC [FOLDER CHUNKS_OF_A_FILE]` receives; it prints its port
first.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import zmq

from interchange.digests import digest_bytes
from interchange.transfer import CHUNK, WINDOW

from ..bars import ROOT


@attrs.frozen
class Verified:
    """Where the receiver writes, and how many chunks make a file."""

    folder: Path
    chunks_of_a_file: int


def measure(chunks: list[bytes], encrypted: bool, verified: Verified | None = None) -> float:
    """Bytes a second from this process to another one."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    words = [str(len(chunks)), secret if encrypted else "-", public]
    if verified is not None:
        words += [str(verified.folder), str(verified.chunks_of_a_file)]
    command = [sys.executable, "-m", "benchmarks.service_parts.raw", *words]
    receiver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert receiver.stdout is not None
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.DEALER) as socket:
        if encrypted:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = public.encode()
        socket.connect(f"tcp://127.0.0.1:{int(receiver.stdout.readline())}")
        socket.send_multipart([b"hello", b""])
        socket.recv()
        begun, credit = time.perf_counter(), WINDOW // CHUNK
        for chunk in chunks:
            if credit == 0:
                socket.recv()
                credit += 1
            header = b"header" if verified is None else digest_bytes(chunk).encode()
            socket.send_multipart([header, chunk], copy=False)
            credit -= 1
        for _ in range(WINDOW // CHUNK - credit):
            socket.recv()
        seconds = time.perf_counter() - begun
    context.term()
    if receiver.wait() != 0:
        raise RuntimeError("the receiver of the bare transfer has failed")
    return sum(map(len, chunks)) / seconds


class _Files:
    """Writes chunks one after the other into files of so many chunks."""

    def __init__(self, place: Verified) -> None:
        self._place = place
        self._number = 0

    def take(self, digest: bytes, chunk: memoryview) -> None:
        """Compare and write; the last chunk of a file is on the disk when this returns."""
        if digest_bytes(chunk).encode() != digest:
            raise ValueError("a chunk is not what its digest says")
        if self._number % self._place.chunks_of_a_file == 0:
            self._file = open(self._place.folder / str(self._number), "wb", buffering=0)  # noqa: SIM115
        self._file.write(chunk)
        self._number += 1
        if self._number % self._place.chunks_of_a_file == 0:
            os.fsync(self._file.fileno())
            self._file.close()


def main(count: int, secret: str, public: str, folder: str = "", chunks_of_a_file: str = "1") -> int:
    """Receive a greeting and so many chunks, acknowledge each."""
    files = _Files(Verified(Path(folder), int(chunks_of_a_file))) if folder else None
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.ROUTER) as socket:
        if secret != "-":
            socket.curve_server, socket.curve_secretkey, socket.curve_publickey = True, secret.encode(), public.encode()
        print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
        for number in range(count + 1):
            address, header, chunk = socket.recv_multipart(copy=False)
            if files is not None and number > 0:
                files.take(header.bytes, chunk.buffer)
            socket.send_multipart([address.bytes, b"ack"])
    context.term()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
