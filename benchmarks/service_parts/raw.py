# SPDX-License-Identifier: Apache-2.0
"""Bare pyzmq with the same chunks and the same window, and nothing else: no digests, no disk.

`python -m benchmarks.service_parts.raw CHUNKS SECRET PUBLIC` receives; it prints its port first.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import zmq

from interchange.transfer import CHUNK, WINDOW

from ..bars import ROOT


def measure(chunks: list[bytes], encrypted: bool) -> float:
    """Bytes a second from this process to another one."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    words = [str(len(chunks)), secret if encrypted else "-", public]
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
            socket.send_multipart([b"header", chunk], copy=False)
            credit -= 1
        for _ in range(WINDOW // CHUNK - credit):
            socket.recv()
        seconds = time.perf_counter() - begun
    context.term()
    receiver.wait()
    return sum(map(len, chunks)) / seconds


def main(count: int, secret: str, public: str) -> int:
    """Receive a greeting and so many chunks, acknowledge each."""
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.ROUTER) as socket:
        if secret != "-":
            socket.curve_server, socket.curve_secretkey, socket.curve_publickey = True, secret.encode(), public.encode()
        print(socket.bind_to_random_port("tcp://127.0.0.1"), flush=True)
        for _ in range(count + 1):
            frames = socket.recv_multipart(copy=False)
            socket.send_multipart([frames[0].bytes, b"ack"])
    context.term()
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:4]))
