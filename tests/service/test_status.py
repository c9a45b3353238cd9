# SPDX-License-Identifier: Apache-2.0
"""The status page, /metrics and /health: over HTTP, and as a person sees it."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.service import status
from backend.service.queue import JobQueue
from backend.service.settings import Settings
from backend.service.status import Pulse, StatusServer, StatusView
from backend.service.store import JobStore
from interchange import messages as wire
from interchange.client import JobClient
from interchange.errors import InputError
from interchange.png import decode_png

from .harness import Service, wait_until

NASTY = "<img src=x onerror=alert(1)>"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Service]:
    """With a job that is done, one that failed, one that runs and shows pictures, and one that waits."""
    folder = tmp_path_factory.mktemp("status") / "state"
    with Service(folder, "--status-port", str(port)) as running, running.client() as client:
        client.submit("double", {}, {}, job_id="done")
        client.submit("refuse", {}, {}, job_id="refused")
        for job_id in ("done", "refused"):
            wait_until(lambda job_id=job_id: client.get(job_id).is_final)
        client.submit("double", {"steps": 3000, "pause": 0.02, "pictures": 64, "say": NASTY}, {}, job_id="busy")
        client.submit("double", {}, {}, job_id="patient")
        wait_until(lambda: client.preview("busy") is not None)
        yield running


def get(port: int, path: str, method: str = "GET", host: str = "") -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_jobs(service: Service, port: int) -> None:
    code, headers, body = get(port, "/jobs.json")
    assert code == 200 and headers["Content-Type"] == "application/json"
    jobs = {job["job_id"]: job for job in json.loads(body)["jobs"]}
    assert list(jobs) == ["busy", "patient", "refused", "done"]
    assert jobs["busy"]["state"] == "running" and jobs["busy"]["preview"] > 0
    assert jobs["patient"]["position"] == 0 and jobs["done"]["position"] is None
    assert jobs["refused"]["error"] == "The source has no consent record."
    assert jobs["done"]["device"] == "this computer"
    assert json.loads(body)["counts"] == {"succeeded": 1, "failed": 1, "running": 1, "queued": 1}


def test_why_nothing_starts(tmp_path: Path) -> None:
    settings = Settings(tmp_path, keep_free=1 << 60)
    settings.store.mkdir()
    store = JobStore(settings.database)
    queue = JobQueue(store)
    queue.commit(queue.create("artist", wire.JobCreate("waiting", "double", wire.JobSpec({}, []))))
    job = StatusView(settings, Pulse(0.0, 0.0), queue.positions_in, lambda: 0.0).jobs()["jobs"][0]
    store.close()
    assert (job["position"], job["message"][:35]) == (0, "The service's disk has less than 11")


def test_pictures(service: Service, port: int) -> None:
    code, headers, body = get(port, "/preview/busy.png?5")
    assert code == 200 and headers["Content-Type"] == "image/png" and decode_png(body).shape == (64, 64, 3)
    for path in ("/preview/done.png", "/preview/..%2f..%2fkeys.png", "/preview/../../keys.json", "/keys.json"):
        assert get(port, path)[0] == 404


def test_metrics_are_what_prometheus_reads(service: Service, port: int) -> None:
    with service.client() as client, pytest.raises(Exception, match="no job"):
        client.get("nowhere")
    code, headers, body = get(port, "/metrics")
    assert code == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    samples = {}
    for line in body.decode().splitlines():
        if line.startswith("#"):
            assert re.fullmatch(r"# (HELP digidouble_\w+ .+|TYPE digidouble_\w+ (gauge|counter))", line)
        else:
            found = re.fullmatch(r'(digidouble_\w+(?:\{\w+="[\w.]+"\})?) ([0-9.e+-]+)', line)
            assert found, line
            samples[found[1]] = float(found[2])
    assert samples["digidouble_up"] == 1 and samples['digidouble_jobs{state="running"}'] == 1
    assert samples['digidouble_messages_total{kind="job.create"}'] == 4
    assert samples['digidouble_messages_total{kind="JOB_UNKNOWN"}'] >= 1
    assert 1e7 < samples["digidouble_memory_bytes"] < 150 * 2**20


def test_only_to_look_and_only_from_here(service: Service, port: int) -> None:
    for method in ("POST", "PUT", "DELETE"):
        assert get(port, "/jobs.json", method)[0] == 501
    assert get(port, "/", host="evil.example")[0] == 403  # a name that was made to point here
    code, headers, body = get(port, "/", "HEAD")
    assert code == 200 and body == b"" and headers["Content-Security-Policy"].startswith("default-src 'self'")
    listening = subprocess.run(["ss", "-ltn"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
    assert not re.search(rf"(0\.0\.0\.0|\*|\[::\]):{port}\b", listening)


def test_health(service: Service, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert get(port, "/health") == get(port, "/health") and get(port, "/health")[0] == 200
    settings, now = Settings(tmp_path), [100.0]
    JobStore(settings.database).close()
    pulse = Pulse(100.0, 100.0)
    server = StatusServer(settings, 0, pulse, lambda _: {}, lambda: now[0])
    try:
        assert get(server.port, "/health")[0] == 200
        now[0] += status.DEAD_S + 1
        assert get(server.port, "/health")[0] == 503 and b"digidouble_up 0" in get(server.port, "/metrics")[2]
        settings.database.unlink()
        assert get(server.port, "/jobs.json")[0] == 503
        with pytest.raises(InputError, match="cannot be used for the status page"):
            StatusServer(settings, server.port, pulse, lambda _: {})
    finally:
        server.close()


def test_the_page_in_a_browser(service: Service, port: int, tmp_path: Path) -> None:
    """Rendered by Chromium: every job with its state, the picture, and no text taken for HTML."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    common = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=6000", "--window-size=900,1000", "--hide-scrollbars",
    ]  # fmt: skip
    address = f"http://127.0.0.1:{port}/"
    seen = subprocess.run([*common, "--dump-dom", address], capture_output=True, text=True, timeout=120).stdout
    for job_id in ("busy", "patient", "refused", "done"):
        assert f"<h2>{job_id}</h2>" in seen
    assert "The source has no consent record." in seen and "this computer" in seen
    assert re.search(r'<article class="running">', seen) and re.search(r'src="/preview/busy.png\?\d+"', seen)
    assert "&lt;img src=x" in seen and NASTY not in seen
    assert re.search(r'<polyline points="[\d., ]+"', seen)
    picture = tmp_path / "page.png"
    subprocess.run([*common, f"--screenshot={picture}", address], capture_output=True, timeout=120, check=True)
    pixels = decode_png(picture.read_bytes())
    colours = {tuple(pixel) for pixel in pixels[::7, ::7].reshape(-1, pixels.shape[2])}
    assert pixels.shape[:2] == (1000, 900) and len(colours) > 20


def test_nobody_listens_unless_asked(tmp_path: Path) -> None:
    with Service(tmp_path / "state") as quiet, JobClient(quiet.state) as client:
        client.ping()
        assert quiet.process is not None
        listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True).stdout if shutil.which("ss") else ""
        assert listening.count(f"pid={quiet.process.pid},") <= 1
