# SPDX-License-Identifier: Apache-2.0
"""Jobs on the terminal: list, follow, stop, look into."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend import cli
from interchange.client import JobClient
from interchange.png import decode_png

from .harness import Service, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("commands") / "state", "--cancel-grace", "0.5") as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[JobClient]:
    with service.client() as made:
        yield made


def ask(service: Service, command: str, *arguments: str) -> int:
    return cli.main([command, *arguments, "--state", str(service.state)])


def test_nothing_to_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Service(tmp_path / "state") as service:
        assert ask(service, "jobs") == 0
        assert "You have no jobs there." in capsys.readouterr().out


def test_a_list(service: Service, client: JobClient, capsys: pytest.CaptureFixture[str]) -> None:
    running = client.submit("double", {"steps": 2000, "pause": 0.01}, {}, job_id="running-job")
    wait_until(lambda: client.get(running).fraction > 0)
    client.submit("double", {}, {}, job_id="queued-1")
    client.submit("double", {}, {}, job_id="queued-2")
    assert ask(service, "jobs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Digidouble ") and lines[0].endswith("1 of 1 slots at work, 2 waiting")
    assert lines[-3].startswith("queued-2  queued") and lines[-3].endswith("after 1 others")
    assert lines[-2].startswith("queued-1  queued") and lines[-2].endswith("next")
    assert lines[-1].startswith("running-job  running") and lines[-1].split()[-1].endswith("%")
    assert ask(service, "jobs", "--limit", "1") == 0
    assert "running-job" not in capsys.readouterr().out
    assert ask(service, "cancel", "queued") == 2
    assert "2 jobs begin with queued." in capsys.readouterr().err
    for job in ("queued-2", "queued-1", "runn"):
        assert ask(service, "cancel", job) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Job running-job is cancelled."
    assert ask(service, "cancel", "running-job") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "Job running-job is cancelled. It had ended already."
    assert ask(service, "watch", "running-job") == 130
    assert ask(service, "cancel", "no-such-job") == 2
    assert "There is no job no-such-job. digidouble jobs lists them." in capsys.readouterr().err


def test_following(service: Service, client: JobClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client.submit("double", {"steps": 20, "pause": 0.02, "pictures": 32, "die_at": 3}, {}, job_id="followed")
    assert ask(service, "watch", "follow", "--preview", str(tmp_path / "look/preview.png")) == 0
    said = capsys.readouterr().out
    assert "  running (attempt 2)\n" in said and "step 20 of 20" in said and said.rstrip().endswith("succeeded")
    assert "  error: Attempt 1: The worker was killed by signal 9." in said
    assert decode_png((tmp_path / "look/preview.png").read_bytes()).shape == (32, 32, 3)
    client.submit("refuse", {}, {}, job_id="refused")
    assert ask(service, "watch", "refused") == 2
    assert "The source has no consent record. Put consent.json beside it." in capsys.readouterr().err


def test_what_happened(service: Service, client: JobClient, capsys: pytest.CaptureFixture[str]) -> None:
    client.submit("fault", {}, {}, job_id="faulty")
    wait_until(lambda: client.get("faulty").is_final)
    assert ask(service, "logs", "faulty") == 0
    here = capsys.readouterr().out
    assert "running (attempt 1)" in here and "attempt-1.log" in here and here.count("ZeroDivisionError") >= 3
    assert cli.main(["logs", "faulty", "--state", str(service.state / "connection.json")]) == 0  # as from elsewhere
    there = capsys.readouterr().out
    assert "failed: The job stopped because of a fault in the program" in there and "--- detail" in there
    assert f"--- {service.state}" not in there
    running = client.submit("double", {"steps": 2000, "pause": 0.01}, {}, job_id="busy")
    wait_until(lambda: client.get(running).fraction > 0)
    done = threading.Event()
    threading.Thread(target=lambda: (ask(service, "logs", "busy"), done.set()), daemon=True).start()
    assert done.wait(5.0)  # it does not wait for the job's end
    client.cancel(running)
