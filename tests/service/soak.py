# SPDX-License-Identifier: Apache-2.0
"""What happens to a service in a day, for as long as one likes: artists who come and go, kills, restarts, clearing up.

Everything that an artist asks for is checked at once; what the service takes of the machine is written down meanwhile.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import attrs

from interchange.owner import OwnerClient

from .artists import PATIENT, Artist
from .harness import Service, new_device, wait_until

WARM_S = 240.0
"""After so long everything that a service does has happened once, and memory has been asked for that is used again."""
RESTARTS = ((0.25, "kill -9"), (0.5, "SIGTERM"))
"""When the service itself is ended and started again, as parts of the whole; what lies between is a life of it."""


@attrs.frozen
class Sample:
    """The service at a moment: seconds since the beginning, which life of it, and what it takes. Sizes are bytes."""

    at: float
    life: int
    memory: int
    descriptors: int
    threads: int
    journal: int
    database: int
    log: int
    disk: int  # contents, parts of uploads, jobs' folders
    folders: int  # of jobs
    ping_s: float
    processor_s: float


class Soak:
    """`pause_s`: what each of the artists does nothing for, on average, between two things that they do."""

    def __init__(self, folder: Path, length_s: float, artists: int = 4, pause_s: float = 12.0, seed: int = 25) -> None:
        self.folder, self.length_s, self._pause_s = folder, length_s, pause_s
        self._random = random.Random(seed)
        self.over = threading.Event()
        self.samples: list[Sample] = []
        self.killed: Counter[str] = Counter()
        self.devices = self._life = 0
        self.cleared: set[str] = set()  # ids of jobs
        self.idle = 0.0  # of a processor, when all is done
        self.kept_s = max(30.0, length_s / 20)
        state = folder / "state"
        state.mkdir(parents=True)
        self.status_port = _free_port()
        (state / "service.toml").write_text(
            f"status_port = {self.status_port}\nkeep_days = {self.kept_s / 86400}\nabandoned_upload_hours = 0.1\n"
            "cancel_grace_s = 2\n"
        )
        self.service = Service(state)
        self._people = artists

    def run(self) -> list[Artist]:
        """All of it. Returns the artists, who know what they did and what went wrong."""
        with self.service, OwnerClient(self.service.state, PATIENT) as owner:
            artists = [self._let_in(owner, f"artist{number}") for number in range(self._people)]
            for artist in artists:
                artist.start()
            try:
                self._until_the_end(owner, artists)
            finally:
                self.over.set()
                for artist in artists:
                    artist.join()
            self._clear_up(owner)
            self.idle = self._idle_share(min(20.0, self.length_s / 10))
        return artists

    def _until_the_end(self, owner: OwnerClient, artists: list[Artist]) -> None:
        begun = time.monotonic()
        restarts = [(part * self.length_s, how) for part, how in RESTARTS]
        every = {
            lambda: self._sample(owner, time.monotonic() - begun): min(60.0, max(2.0, self.length_s / 150)),
            self._kill_a_worker: min(600.0, max(10.0, self.length_s / 20)),
            lambda: self._clear(owner): self.kept_s,
            lambda: self._visit(owner): min(3600.0, self.length_s / 8),
        }  # fmt: skip
        due = dict.fromkeys(every, 0.0)
        while (now := time.monotonic() - begun) < self.length_s and not any(artist.problem for artist in artists):
            for work, interval in every.items():
                if now >= due[work]:
                    due[work] = now + interval
                    work()
            if restarts and now >= restarts[0][0]:
                self._restart(restarts.pop(0)[1])
            time.sleep(0.2)

    # -- what happens -------------------------------------------------------------------------------------------------

    def _let_in(self, owner: OwnerClient, name: str) -> Artist:
        connection = new_device(self.service, owner, self.folder / name, name)
        self.devices += 1
        return Artist(name, connection, self.folder / name, self._random.randrange(1 << 30), self._pause_s, self.over)

    def _visit(self, owner: OwnerClient) -> None:
        """A device is paired, does one job and is put out again."""
        visitor = self._let_in(owner, f"visitor{self.devices}")
        visitor.do("a_whole_job")
        owner.revoke_device(visitor.connection.client_public_key)

    def _kill_a_worker(self) -> None:
        workers = [pid for pid in _children(self._pid) if b"backend.service.worker" in _command(pid)]
        if workers:
            os.kill(self._random.choice(workers), signal.SIGKILL)
            self.killed["worker"] += 1

    def _restart(self, how: str) -> None:
        if how == "kill -9":
            self.service.kill()
        else:
            assert self.service.stop() == 0
        self.service.start()
        self.killed[how] += 1
        self._life += 1

    def _clear(self, owner: OwnerClient) -> None:
        self.cleared.update(owner.collect_garbage(dry_run=False, older_s=self.kept_s).jobs)

    def _clear_up(self, owner: OwnerClient) -> None:
        """Afterwards everything may go; AssertionError if something stays."""
        wait_until(lambda: not {"queued", "running"} & owner.stats().jobs.keys(), 60.0)

        def is_empty() -> bool:
            self.cleared.update(owner.collect_garbage(dry_run=False, older_s=0.0).jobs)
            return owner.stats().jobs == {} and _size(state / "jobs") == _size(state / "store") == (0, 0)

        state = self.service.state
        try:
            wait_until(is_empty, 60.0)
        except AssertionError:
            raise AssertionError(f"there is left: {owner.jobs(10, everybody=True)}, {_size(state / 'store')}") from None

    # -- what it takes ------------------------------------------------------------------------------------------------

    @property
    def _pid(self) -> int:
        assert self.service.process is not None
        return self.service.process.pid

    def _sample(self, owner: OwnerClient, at: float) -> None:
        begun = time.perf_counter()
        owner.ping()
        ping_s, state, place = time.perf_counter() - begun, self.service.state, Path(f"/proc/{self._pid}")
        for page in ("health", "metrics", "jobs.json"):
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/{page}", timeout=10.0) as answer:
                assert answer.read()
        fields = (place / "stat").read_text().rpartition(")")[2].split()
        database = state / "service.sqlite"
        kept, jobs = _size(state / "store")[0], _size(state / "jobs")[0]
        self.samples.append(Sample(
            at, self._life, int((place / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            len(os.listdir(place / "fd")), int(fields[17]), _bytes(state / "service.sqlite-wal"), _bytes(database),
            _bytes(state / "server.log"), kept + jobs, len(list((state / "jobs").glob("*"))), ping_s,
            (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"),
        ))  # fmt: skip

    def _idle_share(self, seconds: float) -> float:
        before = self._processor_s()
        time.sleep(seconds)
        return (self._processor_s() - before) / seconds

    def _processor_s(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Growth:
    """From the earlier to the later half of one life of the service: of the middle value, or of the least."""

    hours: float
    memory: float
    descriptors: int
    threads: int


def growths(samples: list[Sample]) -> list[Growth]:
    """One a life, of what comes after it has warmed up; of none that was too short."""
    found = []
    for life in sorted({sample.life for sample in samples}):
        lived = [sample for sample in samples if sample.life == life]
        warm = [sample for sample in lived if sample.at - lived[0].at >= WARM_S]
        if not warm or warm[-1].at - warm[0].at < WARM_S:
            continue
        early, late = warm[: len(warm) // 2], warm[len(warm) // 2 :]

        def more(value: Callable[[Sample], int], early: list[Sample] = early, late: list[Sample] = late) -> int:
            return min(map(value, late)) - min(map(value, early))

        found.append(Growth(
            (late[0].at - early[0].at) / 3600, _middle(late) - _middle(early),
            more(lambda sample: sample.descriptors), more(lambda sample: sample.threads),
        ))  # fmt: skip
    return found


def _middle(samples: list[Sample]) -> float:
    return sorted(sample.memory for sample in samples)[len(samples) // 2]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _size(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files below, while others delete them. Other names of one file count once."""
    sizes: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                status = os.lstat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            sizes[status.st_ino] = status.st_size
    return sum(sizes.values()), len(sizes)


def describe(soak: Soak, artists: list[Artist]) -> str:
    """What was done and what it took, for the page of figures."""
    done: Counter[str] = Counter()
    for artist in artists:
        done += artist.done
    pings = sorted(sample.ping_s for sample in soak.samples)
    lines = [
        f"{soak.length_s / 3600:.2f} h, {sum(artist.jobs for artist in artists)} jobs of {soak.devices} devices: "
        + ", ".join(f"{count} {what}" for what, count in sorted(done.items())),
        f"killed or stopped: {dict(soak.killed)}; {len(soak.cleared)} jobs cleared away",
        f"idle at the end: {soak.idle:.2%} of a processor",
        f"pings: median {pings[len(pings) // 2] * 1000:.1f} ms, worst {pings[-1] * 1000:.0f} ms",
    ]
    for name in ("memory", "descriptors", "threads", "journal", "database", "log", "disk", "folders"):
        values = [getattr(sample, name) for sample in soak.samples]
        unit = 1 if max(values) < 10_000 else 1 << 20
        shown = ", ".join(f"{value / unit:.3g}" for value in (values[0], max(values), values[-1]))
        lines.append(f"{name}: first, most, last {shown}{' MiB' if unit > 1 else ''}")
    lines += [
        f"a life, once warm: in {growth.hours * 60:.0f} min {growth.memory / 2**20:+.2f} MiB,"
        f" {growth.descriptors:+d} descriptors, {growth.threads:+d} threads" for growth in growths(soak.samples)
    ]  # fmt: skip
    return "\n".join(lines)
