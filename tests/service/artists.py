# SPDX-License-Identifier: Apache-2.0
"""Artists for long tests: each does this and that with a service, and checks at once what comes of it."""

from __future__ import annotations

import contextlib
import random
import shutil
import socket
import threading
import time
import traceback
from collections import Counter
from pathlib import Path

from interchange import messages as wire
from interchange.client import JobClient
from interchange.connection import Connection, Timing
from interchange.errors import Cancelled, InputError
from interchange.service_errors import ServiceError

from .harness import Line, assert_reversed, make_files

PATIENT = Timing(hello_s=3.0, request_s=10.0, patience_s=90.0, pause_first_s=0.05, pause_max_s=1.0)
SHARED = {f"capture/{number}.exr": 40_000 * (number + 1) for number in range(8)}
OFTEN = {
    "a_whole_job": 30, "with_pictures": 8, "walk_away": 12, "cancel": 10, "crash": 8, "poison": 2, "refused": 6,
    "over_a_line_that_breaks": 8, "break_off": 6, "be_deaf": 1, "stranger": 6, "look_around": 6,
}  # fmt: skip
ENDS = {"refuse": "INPUT_CONSENT", "fault": "INTERNAL", "full": "RES_DISK_FULL", "large": "RES_GPU_MEMORY"}


class Artist(threading.Thread):
    """One device. `problem` is the traceback of what should not have happened; then nothing more is done."""

    def __init__(
        self, name: str, connection: Connection, folder: Path, seed: int, pause_s: float, over: threading.Event
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.connection, self.done, self.problem, self.jobs = connection, Counter[str](), "", 0
        self._folder, self._pause_s, self._over = folder, pause_s, over
        self._random = random.Random(seed)
        self._shared = make_files(folder / "shared", SHARED, seed=1)  # the same for all: contents are stored once
        self._left: list[str] = []  # uploads that were broken off for good

    def run(self) -> None:
        """Until it is over: as from a shuffled deck of cards, so that what is rare comes too."""
        deck: list[str] = []
        try:
            while not self._over.wait(self._random.expovariate(1 / self._pause_s)):
                if not deck:
                    deck = [what for what, often in OFTEN.items() for _ in range(often)]
                    self._random.shuffle(deck)
                self.do(deck.pop())
            with self._client() as client:
                for job_id in self._left:
                    client.delete(job_id)
        except BaseException:
            self.problem = traceback.format_exc()

    def do(self, what: str) -> None:
        """One thing, once."""
        getattr(self, what)()
        self.done[what] += 1

    # -- what they do -------------------------------------------------------------------------------------------------

    def a_whole_job(self, connection: Connection | None = None, **more: object) -> None:
        """Submit, watch, fetch, compare; sometimes delete."""
        with self._client(connection) as client:
            job_id, files = self._new()
            steps = self._random.randrange(1, 15)
            client.submit("double", {"steps": steps, "pause": 0.02, **more}, files, job_id=job_id)
            news = list(client.watch(job_id, previews=True))
            assert any(isinstance(item, wire.Preview) for item in news) == bool(more.get("pictures"))
            self._check(client, job_id, steps, files)

    def with_pictures(self) -> None:
        """The same, with previews."""
        self.a_whole_job(pictures=96, pause=0.1)

    def crash(self) -> None:
        """Its first worker kills itself."""
        self.a_whole_job(die_at=0)

    def walk_away(self) -> None:
        """Submit, close the laptop, come back."""
        job_id, files = self._new()
        with self._client() as client:
            client.submit("double", {"steps": 20, "pause": 0.05}, files, job_id=job_id)
        time.sleep(self._random.uniform(0.0, 8.0))
        with self._client() as client:
            self._check(client, job_id, 20, files)

    def over_a_line_that_breaks(self) -> None:
        """Three times, anywhere."""
        with Line(self.connection) as line:
            line.cut_after(*(self._random.randrange(500, 300_000) for _ in range(3)))
            self.a_whole_job(line.connection)

    def break_off(self) -> None:
        """An upload is left; sometimes for good."""
        job_id, files = self._new(3_000_000)
        enough = threading.Event()

        def progress(stage: str, *_: object) -> None:
            if stage == "upload":
                enough.set()

        with JobClient(self.connection, PATIENT, enough.is_set) as client, contextlib.suppress(Cancelled):
            client.submit("double", {"steps": 2}, files, job_id=job_id, progress=progress)
        if self._random.random() < 0.5:
            self._left.append(job_id)
            self._forget(files)
            return
        with self._client() as client:
            client.submit("double", {"steps": 2}, files, job_id=job_id)
            self._check(client, job_id, 2, files)

    def cancel(self, kind: str = "double") -> None:
        """At any moment."""
        with self._client() as client:
            job_id, files = self._new()
            client.submit(kind, {"steps": 100, "pause": 0.03}, files, job_id=job_id)
            time.sleep(self._random.uniform(0.0, 3.0))
            client.cancel(job_id)
            for _ in client.watch(job_id):
                pass
            assert client.get(job_id).state in ("cancelled", "succeeded")
            self._forget(files)

    def be_deaf(self) -> None:
        """Cancel one that does not hear it."""
        self.cancel("deaf")

    def poison(self) -> None:
        """It takes every worker with it."""
        self._fail("poison", "JOB_POISON")

    def refused(self) -> None:
        """One of the errors that a job itself reports."""
        kind = self._random.choice(list(ENDS))
        self._fail(kind, ENDS[kind])

    def stranger(self) -> None:
        """Somebody without a key, who says nothing sensible and does not leave at once."""
        port = int(self.connection.endpoint.rpartition(":")[2])
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5.0) as raw:
            raw.sendall(self._random.randbytes(self._random.randrange(200)))
            time.sleep(self._random.uniform(0.0, 2.0))

    def look_around(self) -> None:
        """Lists and figures."""
        with self._client() as client:
            client.ping()
            assert client.stats().pid > 0
            assert all(job.kind for job in client.jobs(1000))

    # -- their tools --------------------------------------------------------------------------------------------------

    def _client(self, connection: Connection | None = None) -> JobClient:
        return JobClient(connection or self.connection, PATIENT)

    def _new(self, size: int = 0) -> tuple[str, dict[str, Path]]:
        """A job's id, and files: some that everybody has, one that nobody else has."""
        self.jobs += 1
        job_id = f"{self.name}-{self.jobs}"
        own = {"source/own.png": size or self._random.randrange(50_000)}
        files = make_files(self._folder / job_id, own, seed=self._random.randrange(1 << 60))
        for path in self._random.sample(list(self._shared), self._random.randrange(4)):
            files[path] = self._shared[path]
        return job_id, files

    def _check(self, client: JobClient, job_id: str, steps: int, files: dict[str, Path]) -> None:
        """Each step done once, the results right."""
        assert client.wait(job_id)["steps"] == [str(step) for step in range(steps)], job_id
        out = self._folder / f"{job_id}-out"
        client.download(job_id, out)
        assert_reversed(files, out)
        if self._random.random() < 0.3:
            client.delete(job_id)
        shutil.rmtree(out)
        self._forget(files)

    def _fail(self, kind: str, code: str) -> None:
        with self._client() as client:
            job_id, files = self._new()
            client.submit(kind, {}, files, job_id=job_id)
            try:
                client.wait(job_id)
            except (InputError, ServiceError) as error:
                assert error.code == code, error
            else:
                raise AssertionError(f"{kind} succeeded")
            self._forget(files)

    def _forget(self, files: dict[str, Path]) -> None:
        shutil.rmtree(files["source/own.png"].parents[1])
