# SPDX-License-Identifier: Apache-2.0
"""Who waits for whom: client processes with keys of their own at one service, one of them with far more jobs.

`python -m benchmarks.service_parts.turns CONNECTION_FILE NAME COUNT` is such a client.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from interchange.client import JobClient
from interchange.connection import CONNECTION_FILE, Connection, Timing
from interchange.messages import Event
from interchange.owner import OwnerClient
from interchange.pairing import PairingOffer, pair

from ..bars import ROOT

GREEDY = "greedy"
PATIENT = Timing(patience_s=300.0)


@attrs.frozen
class Turn:
    """A job: whose it is, and when it was queued and started by the server's clock, seconds."""

    client: str
    queued_at: float
    started_at: float


@attrs.frozen
class Waits:
    """The worst gap between two starts of one client's jobs, or from its first job's queueing to that one's start.

    `of_one`: how many jobs of the same other client started in it, which is 1 when clients take turns; `of_all`: how
    many of all others, which cannot be less than the others that had jobs waiting, when there is one worker.
    """

    of_one: int
    of_all: int


def worst_waits(turns: Sequence[Turn]) -> dict[str, Waits]:
    """For each client. `turns` in any order."""
    found = {}
    for client in {turn.client for turn in turns}:
        own = sorted((turn for turn in turns if turn.client == client), key=lambda turn: turn.started_at)
        marks = [min(turn.queued_at for turn in own), *(turn.started_at for turn in own)]
        gaps = [
            Counter(turn.client for turn in turns if turn.client != client and begin < turn.started_at < end)
            for begin, end in zip(marks, marks[1:], strict=False)
        ]
        found[client] = Waits(max(max(gap.values(), default=0) for gap in gaps), max(gap.total() for gap in gaps))
    return found


@attrs.frozen
class Crowd:
    """What the crowd saw. Memory is the server's, bytes; `idle` of a processor, all clients connected and silent."""

    turns: list[Turn]
    seconds: float
    peak_memory: int
    memory: int
    idle: float


def run_crowd(
    connection: Connection, folder: Path, clients: int = 8, few: int = 4, many: int = 100, idle_s: float = 20.0
) -> Crowd:
    """`clients` with `few` jobs each come to a running service where one with `many` has queued all of them."""
    counts = {GREEDY: many, **{f"client{number}": few for number in range(clients)}}
    with OwnerClient(connection, PATIENT) as owner:
        for name in counts:
            opened = owner.open_pairing(name)
            pair(PairingOffer("127.0.0.1", opened.port, connection.server_key, opened.code), name, folder / name)
        processes: list[subprocess.Popen[str]] = []
        begun = time.monotonic()
        try:
            for name, count in counts.items():
                processes.append(_start(folder / name, name, count))
                if name == GREEDY:
                    _hear(processes[0], "queued")
            for word in ("queued", "done"):
                for process in processes if word == "done" else processes[1:]:
                    _hear(process, word)
            seconds = time.monotonic() - begun
            share = _idle_share(connection.pid, idle_s)
            peak, memory = _memory(connection.pid, "VmHWM"), _memory(connection.pid, "VmRSS")
        finally:
            for process in processes:
                process.communicate()  # closes its input, which is its sign to leave
        turns = _turns(owner, counts)
    return Crowd(turns, seconds, peak, memory, share)


def _start(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.service_parts.turns", str(folder / CONNECTION_FILE), name, str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    said = process.stdout.readline().strip()
    if said != word:
        raise RuntimeError(f"a client said {said!r}, not {word}")


def _turns(owner: OwnerClient, counts: Mapping[str, int]) -> list[Turn]:
    found = []
    for name, count in counts.items():
        for number in range(count):
            events = [event for event in owner.watch(f"{name}-{number}") if event.kind == "state"]
            found.append(Turn(name, _at(events, "queued"), _at(events, "running")))
    return found


def _at(events: Sequence[Event], state: str) -> float:
    return next(event.at for event in events if event.state == state)


def _idle_share(pid: int, seconds: float) -> float:
    time.sleep(2.0)
    before, begun = processor_s(pid), time.monotonic()
    time.sleep(seconds)
    return (processor_s(pid) - before) / (time.monotonic() - begun)


def processor_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


def main(connection: Path, name: str, count: int) -> int:
    """Queue so many jobs, wait for all of them, stay until the input is closed."""
    with JobClient(connection, PATIENT) as client:
        for number in range(count):
            client.submit("double", {}, {}, job_id=f"{name}-{number}")
        print("queued", flush=True)
        for number in range(count):
            client.wait(f"{name}-{number}")
        print("done", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
