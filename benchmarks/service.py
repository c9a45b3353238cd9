# SPDX-License-Identifier: Apache-2.0
"""The backend service: transfer against bare ZeroMQ, over bad lines, with a long job list; an idle server; turns.

"Upload" is from the first byte sent until everything is verified, flushed and under its name; the digests that the
client makes before are the figure "prepare". Bare ZeroMQ does nothing of all this; "verified ZeroMQ" does the least
that a store can do (service_parts/raw.py), digests of both sides included, so both figures together compare with it.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import attrs

import interchange.session
from backend.service.settings import Settings
from backend.service.store import JobStore
from interchange.client import JobClient
from interchange.connection import Connection, Timing
from interchange.local_server import find_local_server, start_local_server, stop_local_server
from interchange.messages import MissingFile
from interchange.transfer import CHUNK, WINDOW

from .bars import ROOT, Bar, Outcome
from .service_parts.line import BadLine, Quality
from .service_parts.plain import PlainLink
from .service_parts.raw import Verified, measure
from .service_parts.turns import GREEDY, processor_s, run_crowd, worst_waits

RUNNER = "benchmarks.service_parts.jobs:run"
KINDS = ("plain", "CURVE")
MB, MIB = 1e6, 1 << 20
PATIENT = Timing(pause_first_s=0.05, pause_max_s=0.5)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--megabytes", type=int, default=1000, metavar="N", help="of the upload over loopback")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="of it, the four kinds in turns (default 1)")
    parser.add_argument("--only", choices=sorted(PARTS), action="append", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where folders are made")


def run(options: argparse.Namespace) -> Outcome:
    """All parts, or those asked for."""
    bars: list[Bar] = [Bar("load of the machine at the start", os.getloadavg()[0])]
    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.scratch) as folder:
        for name in options.only or PARTS:
            place = Path(folder) / name
            place.mkdir()
            bars += PARTS[name](place, options, tables)
    bars.append(Bar("load of the machine at the end", os.getloadavg()[0]))
    return Outcome(bars, tables)


@contextmanager
def running(state: Path) -> Iterator[Connection]:
    """A service with jobs that do nothing."""
    connection = start_local_server(state, sys.executable, ROOT, ["--runner", RUNNER], timeout_s=120.0)
    try:
        yield connection
    finally:
        stop_local_server(state)


def make_files(folder: Path, count: int, size: int, seed: int) -> dict[str, Path]:
    """Files that no codec could make smaller."""
    generator = random.Random(seed)
    folder.mkdir(exist_ok=True)
    files = {}
    for number in range(count):
        path = folder / f"{seed}-{number}"
        path.write_bytes(generator.randbytes(size))
        files[f"view/{number}"] = path
    return files


def warm_memory(place: Path, size: int) -> None:
    """Let so many bytes of memory be at hand for the disk's cache, as they are on a computer that is nobody's guest.

    On the machine of docs/reliability.md, a virtual one, a write into the disk's cold cache costs ten times what it
    costs soon after another; that free memory goes back to the host is suspected.
    """
    block = bytes(MIB)
    with open(place / "warm", "wb", buffering=0) as file:
        for _ in range(size // MIB + 1):
            file.write(block)
    (place / "warm").unlink()


class Stopwatch:
    """A progress callback that notes how long each stage took: from the end of the one before."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float, _: str) -> None:
        self._begun.setdefault(stage, self._last)
        self._last = self._ended[stage] = time.perf_counter()

    def restart(self) -> None:
        """The next stage begins now."""
        self._last = time.perf_counter()

    def seconds(self, stage: str) -> float:
        """Of "prepare", "upload" or "download"."""
        return self._ended[stage] - self._begun[stage]


# -- loopback ---------------------------------------------------------------------------------------------------------


def loopback(place: Path, options: argparse.Namespace, tables: dict[str, Any]) -> list[Bar]:
    """64 files, with and without encryption, beside bare and verified ZeroMQ with the same chunks."""
    size = options.megabytes * 1_000_000 // 64
    rates: dict[str, list[float]] = {}
    for number in range(options.rounds):
        files = make_files(place / "files", 64, size, number)
        _measure_bounds(place, files, size, rates)
        for kind in KINDS:
            watch = _there_and_back(place / kind, files, kind == "CURVE")
            prepare, upload, download = (watch.seconds(stage) for stage in ("prepare", "upload", "download"))
            rates.setdefault("prepare", []).append(64 * size / prepare)
            rates.setdefault(f"upload {kind}", []).append(64 * size / upload)
            rates.setdefault(f"prepare and upload {kind}", []).append(64 * size / (prepare + upload))
            rates.setdefault(f"download {kind}", []).append(64 * size / download)
            shutil.rmtree(place / kind)
        for path in files.values():
            path.unlink()
    tables["loopback_MB_per_s"] = {name: [rate / MB for rate in found] for name, found in rates.items()}
    median = {name: statistics.median(found) for name, found in rates.items()}
    bars = [Bar(f"over loopback: {name}", rate / MB, "MB/s") for name, rate in median.items()]
    for kind in KINDS:
        bars.append(Bar(f"upload / bare, {kind}", median[f"upload {kind}"] / median[f"bare {kind}"], at_least=0.6))
    for what in ("upload", "prepare and upload", "download"):
        for kind in KINDS:
            bars.append(Bar(f"{what} / verified, {kind}", median[f"{what} {kind}"] / median[f"verified {kind}"]))
    bars.append(Bar("upload, CURVE / plain", median["upload CURVE"] / median["upload plain"]))
    return bars


def _measure_bounds(place: Path, files: dict[str, Path], size: int, rates: dict[str, list[float]]) -> None:
    """What ZeroMQ does with the same chunks, without and with digests and disk."""
    chunks = [data[i : i + CHUNK] for data in map(Path.read_bytes, files.values()) for i in range(0, size, CHUNK)]
    for kind in KINDS:
        warm_memory(place, size * len(files))
        rates.setdefault(f"bare {kind}", []).append(measure(chunks, kind == "CURVE"))
    for kind in KINDS:
        folder = place / "verified"
        folder.mkdir()
        warm_memory(place, size * len(files))
        rate = measure(chunks, kind == "CURVE", Verified(folder, len(chunks) // len(files)))
        rates.setdefault(f"verified {kind}", []).append(rate)
        shutil.rmtree(folder)


def _there_and_back(state: Path, files: dict[str, Path], encrypted: bool) -> Stopwatch:
    if encrypted:
        with running(state) as connection, JobClient(connection) as client:
            return _timed_job(client, files, state)
    usual, interchange.session.Link = interchange.session.Link, PlainLink  # type: ignore[misc]
    try:
        with _other_program("plain", state) as connection, JobClient(connection) as client:
            return _timed_job(client, files, state)
    finally:
        interchange.session.Link = usual  # type: ignore[misc]


@contextmanager
def _other_program(name: str, state: Path) -> Iterator[Connection]:
    """A service that is changed in one thing."""
    process = subprocess.Popen([sys.executable, "-m", f"benchmarks.service_parts.{name}", str(state), RUNNER], cwd=ROOT)
    try:
        while (connection := find_local_server(state)) is None:
            time.sleep(0.1)
        yield connection
        with JobClient(state) as client:
            client.stop_server()
        process.wait(30.0)
    finally:
        process.kill()


def _timed_job(client: JobClient, files: dict[str, Path], state: Path) -> Stopwatch:
    """Files to the service, and back from it."""
    size = sum(path.stat().st_size for path in files.values())
    warm_memory(state.parent, size)
    watch = Stopwatch()
    job_id = client.submit("double", {"echo": True}, files, progress=watch)
    client.wait(job_id)
    warm_memory(state.parent, size)
    watch.restart()
    client.download(job_id, state / "fetched", watch)
    return watch


def _timed_submit(client: JobClient, files: dict[str, Path]) -> float:
    """Seconds of the upload."""
    watch = Stopwatch()
    client.submit("double", {}, files, progress=watch)
    return watch.seconds("upload")


# -- bad lines --------------------------------------------------------------------------------------------------------


def throttled(place: Path, _: argparse.Namespace, tables: dict[str, Any]) -> list[Bar]:
    """64 MiB over 100 ms of round trip, 8 MB/s, one reset in a hundred MiB sent."""
    quality = Quality(delay_s=0.05, bandwidth=8e6, reset=0.01, seed=5)
    files = make_files(place / "files", 16, 4 * MIB, 0)
    with running(place / "state") as connection, BadLine(connection, quality) as line:
        with JobClient(line.connection, PATIENT) as client:
            seconds = _timed_submit(client, files)
        bound = min(quality.bandwidth or 1e12, WINDOW / (2 * quality.delay_s))
        rate = 64 * MIB / seconds
        tables["throttled"] = {"resets": line.resets, "sent": line.sent, "seconds": seconds}
        return [
            Bar("throttled line: resets", line.resets, at_least=1),
            Bar("throttled line: pace / min(bandwidth, credit/RTT)", rate / bound, at_least=0.7),
        ]


def cuts(place: Path, _: argparse.Namespace, tables: dict[str, Any]) -> list[Bar]:
    """256 MiB, the connection cut after 25 random bytes; with a service that keeps pace, and with one that lags."""
    bars: list[Bar] = []
    for name, serving in (("", running), (", lagging service", lagging)):
        lost: list[float] = []
        for seed in (25, 26):
            found = cut_upload(place / f"{len(bars)}-{seed}", seed, serving)
            tables[f"cuts{name}, seed {seed}, MiB"] = [size / MIB for size in found]
            lost += [size / MIB for size in found]
        bars += [
            Bar(f"cuts of 2 x 256 MiB{name}: made", len(lost), at_least=50),
            Bar(f"sent again a cut{name}: mean", statistics.fmean(lost), "MiB", at_most=2),
            Bar(f"sent again a cut{name}: worst", max(lost), "MiB", at_most=64),
        ]
    return bars


def cut_upload(
    place: Path, seed: int, serving: Callable[[Path], AbstractContextManager[Connection]], count: int = 25,
    total: int = 256 * MIB,
) -> list[int]:  # fmt: skip
    """Upload over a line that is cut `count` times. Returns for each cut the bytes sent in vain, frames and all."""
    generator = random.Random(seed)
    place.mkdir()
    files = make_files(place / "files", 16, total // 16, seed)
    with serving(place / "state") as connection, BadLine(connection) as line:
        line.cut_after(*(generator.randrange(1000, total) for _ in range(count)))
        with ResumingClient(line, total) as client:
            _timed_submit(client, files)
        marks = [*client.marks, (line.sent, total)]
    return [(sent - before) - (have - had) for (before, had), (sent, have) in zip(marks, marks[1:], strict=False)][:-1]


@contextmanager
def lagging(state: Path) -> Iterator[Connection]:
    """A service whose disk takes 20 ms for each chunk."""
    with _other_program("lagging", state) as connection:
        yield connection


class ResumingClient(JobClient):
    """`marks`: at each beginning of the upload the bytes that the line had from us, and those that the service has."""

    def __init__(self, line: BadLine, total: int) -> None:
        super().__init__(line.connection, PATIENT)
        self.marks: list[tuple[int, int]] = []
        self._line, self._total = line, total

    def _upload(self, missing: list[MissingFile], *rest: Any) -> None:
        lacking = sum(file.size - file.have for file in missing)
        self.marks.append((self._line.sent, self._total - lacking))
        super()._upload(missing, *rest)


# -- the job list -----------------------------------------------------------------------------------------------------


def long_list(place: Path, _: argparse.Namespace, tables: dict[str, Any]) -> list[Bar]:
    """1,000 jobs that ended, with 100,000 events: what a year leaves behind."""
    state = place / "state"
    with running(state) as connection:
        key = connection.client_public_key
    _fill(Settings(state).database, key)
    begun = time.perf_counter()
    with running(state) as connection:
        start_s = time.perf_counter() - begun
        with JobClient(connection) as client:
            client.ping()
            listing = _times(20, lambda _: client.jobs(100))
            everything = _times(5, lambda _: client.jobs(1000))
            submitting = _times(20, lambda i: client.submit("double", {}, {}, job_id=f"fresh{i}"))
    begun = time.perf_counter()
    JobStore(Settings(state).database).close()
    opening = time.perf_counter() - begun
    tables["long_list_ms"] = {"list": [1000 * s for s in listing], "submit": [1000 * s for s in submitting]}
    return [
        Bar("1,000 jobs: list of 100, median", 1000 * statistics.median(listing), "ms", at_most=50),
        Bar("1,000 jobs: list of 1,000, median", 1000 * statistics.median(everything), "ms"),
        Bar("1,000 jobs: submit, median", 1000 * statistics.median(submitting), "ms", at_most=20),
        Bar("1,000 jobs: start-up of the process", start_s, "s", at_most=2),
        Bar("1,000 jobs: of it, opening the list", opening, "s"),
    ]


def _fill(path: Path, owner: str) -> None:
    store = JobStore(path)
    store.database.execute("PRAGMA synchronous=OFF")
    store.database.execute("BEGIN")
    digest = "0" * 64
    for number in range(1000):
        store.database.execute(
            "INSERT INTO jobs"
            " (job_id, owner, kind, parameters, spec_digest, state, last_seq, created_at, updated_at, turn)"
            " VALUES (?, ?, 'double', '{}', ?, 'succeeded', 100, ?, ?, ?)",
            (f"job{number}", owner, digest, 1e9 + number, 1e9 + number, number),
        )
        line = '{"level": "info", "message": "something was said"}'
        events = [(number + 1, seq, 1e9, "log", line) for seq in range(1, 101)]
        store.database.executemany("INSERT INTO events (job, seq, at, kind, body) VALUES (?, ?, ?, ?, ?)", events)
        rows = [(number + 1, 0, f"view/{i}", 1000, f"{number:032x}{i:032x}") for i in range(64)]
        store.database.executemany("INSERT INTO files VALUES (?, ?, ?, ?, ?)", rows)
    store.database.execute("COMMIT")
    store.close()


def _times(count: int, work: Callable[[int], object]) -> list[float]:
    found = []
    for number in range(count):
        begun = time.perf_counter()
        work(number)
        found.append(time.perf_counter() - begun)
    return found


# -- an idle server, and turns ----------------------------------------------------------------------------------------


def idle(place: Path, _: argparse.Namespace, __: dict[str, Any]) -> list[Bar]:
    """Twenty seconds in which nobody wants anything, with one client connected."""
    with running(place / "state") as connection, JobClient(connection) as client:
        client.ping()
        time.sleep(3.0)
        before, begun = processor_s(connection.pid), time.perf_counter()
        time.sleep(20.0)
        share = (processor_s(connection.pid) - before) / (time.perf_counter() - begun)
        memory = client.stats().memory
    return [
        Bar("idle server: processor", 100 * share, "%", at_most=1),
        Bar("idle server: memory", None if memory is None else memory / MIB, "MiB", at_most=150),
    ]


def turns(place: Path, _: argparse.Namespace, tables: dict[str, Any]) -> list[Bar]:
    """Eight clients with four jobs each come when one has queued a hundred: who waits for how many of whose.

    With one worker and nine clients nobody can have fewer than eight foreign jobs between two of their own; what can be
    asked for is that nobody waits for two of the same other client where they might have had one.
    """
    with running(place / "state") as connection:
        crowd = run_crowd(connection, place)
    waits = worst_waits(crowd.turns)
    tables["turns"] = [attrs.asdict(turn) for turn in sorted(crowd.turns, key=lambda turn: turn.started_at)]
    tables["waits"] = {name: attrs.asdict(wait) for name, wait in waits.items()}
    few = [wait for name, wait in waits.items() if name != GREEDY]
    return [
        Bar("turns: jobs done", len(crowd.turns), at_least=132),
        Bar("turns: seconds for all of them", crowd.seconds, "s"),
        Bar("turns: jobs of one other client in a wait", max(wait.of_one for wait in waits.values()), at_most=2),
        Bar("turns: jobs of all others in a wait, of the eight", max(wait.of_all for wait in few)),
        Bar("turns: the same, of the one with a hundred", waits[GREEDY].of_all),
        Bar("turns: server's memory at most", crowd.peak_memory / MIB, "MiB", at_most=150),
        Bar("turns: server idle, nine clients connected", 100 * crowd.idle, "%", at_most=1),
    ]


PARTS: dict[str, Callable[[Path, argparse.Namespace, dict[str, Any]], list[Bar]]] = {
    "turns": turns, "idle": idle, "long_list": long_list, "cuts": cuts, "throttled": throttled, "loopback": loopback,
}  # fmt: skip
