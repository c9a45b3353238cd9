# SPDX-License-Identifier: Apache-2.0
"""The status page, /metrics for Prometheus and /health, on a port of this computer: to look at, nothing more.

It runs in threads of its own and reads the job list over connections of its own, so that the service never waits for
it. Who can open the port sees job names, messages and previews; it is off unless `status_port` is set.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import attrs

from interchange.errors import InputError
from interchange.messages import QUEUED

from .machine import own_memory
from .previews import read_preview
from .room import Room
from .settings import Settings

LOG = logging.getLogger("digidouble.service")
PAGE = Path(__file__).parent / "page"
FILES = {
    "/": ("index.html", "text/html"), "/page.js": ("page.js", "text/javascript"), "/page.css": ("page.css", "text/css"),
}  # fmt: skip
SHOWN = 50  # jobs on the page
DEAD_S = 10.0  # a loop that has not turned for so long hangs
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'", "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
}  # fmt: skip


@attrs.define
class Pulse:
    """What the server's loop leaves here for other threads: when it turned last, and counters since the start."""

    beat_at: float
    started_at: float
    counts: dict[str, int] = attrs.field(factory=dict)  # messages by type and errors by code

    def count(self, what: str) -> None:
        """One more of it."""
        self.counts[what] = self.counts.get(what, 0) + 1


class StatusServer:
    """Serves until `close`. `port` may be 0 for any free one; `self.port` is the real one."""

    def __init__(
        self, settings: Settings, port: int, pulse: Pulse, positions: Callable[[sqlite3.Connection], dict[str, int]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Raises InputError if the port cannot be used."""
        self._view = StatusView(settings, pulse, positions, clock)
        view = self._view

        class Handler(_Handler):
            status = view

        try:
            self._server = _QuietServer(("127.0.0.1", port), Handler)
        except OSError as error:
            text = f"Port {port} cannot be used for the status page ({error.strerror})."
            raise InputError(text, "Choose another status_port.") from error
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="status", daemon=True).start()

    def close(self) -> None:
        """Release the port."""
        self._server.shutdown()
        self._server.server_close()


class StatusView:
    """What there is to see, without HTTP."""

    def __init__(
        self, settings: Settings, pulse: Pulse, positions: Callable[[sqlite3.Connection], dict[str, int]],
        clock: Callable[[], float],
    ) -> None:  # fmt: skip
        self._settings, self._pulse, self._positions, self._clock = settings, pulse, positions, clock

    @contextlib.contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        path = self._settings.database.resolve().as_uri()
        with contextlib.closing(sqlite3.connect(f"{path}?mode=ro", uri=True, timeout=2.0)) as database:
            database.row_factory = sqlite3.Row
            yield database

    def jobs(self) -> dict[str, Any]:
        """For the page: the newest jobs, those that run first; counts; disk; seconds since the start."""
        query = (
            "SELECT jobs.*, devices.name AS device FROM jobs LEFT JOIN devices ON key = owner"
            " ORDER BY state = 'running' DESC, jobs.number DESC LIMIT ?"
        )
        shortage = Room(self._settings.store, self._settings.keep_free).shortage()
        with self._database() as database:
            places = self._positions(database)
            rows = [self._job(row, places, shortage) for row in database.execute(query, (SHOWN,))]
            counts = dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())
        free = shutil.disk_usage(self._settings.state).free
        return {"jobs": rows, "counts": counts, "free_disk": free, "uptime_s": self._clock() - self._pulse.started_at}

    def _job(self, row: sqlite3.Row, places: dict[str, int], shortage: str) -> dict[str, Any]:
        names = ("job_id", "kind", "state", "stage", "fraction", "eta_s", "attempt", "created_at")
        message = shortage or row["message"] if row["state"] == QUEUED else row["message"]
        error = json.loads(row["error"])["message"] if row["error"] else None
        preview = read_preview(self._settings.job_folder(row["job_id"]).preview, row["job_id"]).number
        device = row["device"] or "this computer"
        place = places.get(row["job_id"])
        return {name: row[name] for name in names} | {
            "error": error, "message": message, "preview": preview, "device": device, "position": place
        }  # fmt: skip

    def preview(self, job_id: str) -> bytes:
        """A PNG, or nothing."""
        return bytes(read_preview(self._settings.job_folder(job_id).preview, job_id).data)

    def is_alive(self) -> bool:
        """False if the server's loop hangs."""
        return self._clock() - self._pulse.beat_at < DEAD_S

    def metrics(self) -> str:
        """Prometheus' text format."""
        with self._database() as database:
            jobs = database.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
        lines = _metric("jobs", "gauge", "Jobs by state.", [(f'{{state="{state}"}}', count) for state, count in jobs])
        single = {
            "up": (1 if self.is_alive() else 0, "1 while the service's loop turns."),
            "uptime_seconds": (self._clock() - self._pulse.started_at, "Since the start."),
            "free_disk_bytes": (shutil.disk_usage(self._settings.state).free, "Where jobs are kept."),
            "memory_bytes": (own_memory(), "Of the server's own process."),
        }
        for name, (value, text) in single.items():
            lines += [] if value is None else _metric(name, "gauge", text, [("", value)])
        counts = sorted(self._pulse.counts.copy().items())
        lines += _metric(
            "messages_total", "counter", "Messages from clients by type, refusals by code.",
            [(f'{{kind="{kind}"}}', count) for kind, count in counts],
        )  # fmt: skip
        return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str, values: list[tuple[str, float]]) -> list[str]:
    head = [f"# HELP digidouble_{name} {text}", f"# TYPE digidouble_{name} {kind}"]
    return [*head, *(f"digidouble_{name}{label} {value:.15g}" for label, value in values)]


class _QuietServer(ThreadingHTTPServer):
    """A browser that goes away in the middle is no reason for a traceback."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Called by socketserver."""
        LOG.debug("the status page could not be sent", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """GET and HEAD. Other methods are refused by the base class (501)."""

    status: StatusView
    server_version, sys_version = "Digidouble", ""
    timeout = 10.0

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        """Called by http.server."""
        if not re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", self.headers.get("Host", "")):
            # A page of somebody else's may have given this address to a name of its own.
            self._send(403, "text/plain", b"Only for this computer.\n")
            return
        try:
            self._answer(self.path.partition("?")[0])
        except (sqlite3.Error, OSError) as error:
            self._send(503, "text/plain", f"The job list cannot be read ({error}).\n".encode())

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, path: str) -> None:
        found = re.fullmatch(r"/preview/([A-Za-z0-9_-]{1,64})\.png", path)
        if path in FILES:
            name, kind = FILES[path]
            self._send(200, f"{kind}; charset=utf-8", (PAGE / name).read_bytes())
        elif path == "/jobs.json":
            self._send(200, "application/json", json.dumps(self.status.jobs()).encode("ascii"))
        elif path == "/metrics":
            self._send(200, "text/plain; version=0.0.4; charset=utf-8", self.status.metrics().encode("ascii"))
        elif path == "/health":
            alive = self.status.is_alive()
            self._send(200 if alive else 503, "application/json", json.dumps({"alive": alive}).encode("ascii"))
        elif found and (picture := self.status.preview(found[1])):
            self._send(200, "image/png", picture)
        else:
            self._send(404, "text/plain", b"There is no such page.\n")

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - the base class's name
        """Who looks is not worth a line."""
