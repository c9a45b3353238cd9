# SPDX-License-Identifier: Apache-2.0
"""The server's account of itself and of the machine it computes on."""

from __future__ import annotations

import os
import platform
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from backend.service import machine
from interchange.codec import decode
from interchange.messages import Stats
from interchange.server_messages import Gpu, Machine

from .harness import REPOSITORY, Service, wait_until

ONE, TWO = "GPU-11111111-aaaa", "GPU-22222222-bbbb"
LISTING = f"GPU 0: NVIDIA Imaginary (UUID: {ONE})\nGPU 1: NVIDIA Other (UUID: {TWO})\n"
QUERIED = f"0, {ONE}, NVIDIA Imaginary, 24576\n1, {TWO}, NVIDIA Other, 8192\n2, GPU-3, NVIDIA Mute, [N/A]\n"
CARDS = [Gpu("NVIDIA Imaginary", 24576 << 20), Gpu("NVIDIA Other", 8192 << 20)]


def test_a_service_says_what_it_is_and_what_it_will_compute_with(tmp_path: Path) -> None:
    with Service(tmp_path / "state", "--slots", "3") as service, service.client() as client:
        first = client.stats()
        assert (first.slots, first.queued, first.jobs) == (3, 0, {})
        assert first.version == tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["version"]
        assert first.free_disk is not None and first.free_disk > 1 << 20
        assert (first.machine, first.engine, first.engine_reason) == (None, None, None)  # not known yet: it says so
        wait_until(lambda: client.stats().machine is not None, 60.0)
        known = client.stats()
        assert known.machine is not None and known.machine.cpu and known.machine.threads == machine.threads()
        assert known.engine in ("cpu", "cuda") and known.engine_reason is not None and known.engine_reason.endswith(".")
        jobs = [client.submit("double", {"steps": 1000, "pause": 0.02}, {}) for _ in range(5)]
        wait_until(lambda: client.stats().jobs == {"running": 3, "queued": 2} and client.stats().queued == 2)
        for job_id in reversed(jobs):
            client.cancel(job_id)


def test_other_versions_are_understood() -> None:
    """A server of minor version 0 leaves the fields out; one of the future has more, also within the machine."""
    old = b'{"t":"stats","id":"1","server_id":"s","pid":1,"uptime_s":1.0,"jobs":{}}'
    assert decode([b"DD/2", old]).message == Stats("s", 1, 1.0, {})
    new = old[:-1] + b',"machine":{"cpu":"C","threads":2,"npus":[1],"gpus":[{"name":"G","memory":8,"fans":3}]},"x":1}'
    assert decode([b"DD/2", new]).message == Stats("s", 1, 1.0, {}, machine=Machine("C", 2, [Gpu("G", 8)]))


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("allowed", "cards"),
    [(None, CARDS), ("1", CARDS[1:]), ("GPU-1111", CARDS[:1]), ("0,1", CARDS), ("-1", []), ("", [])],
)
def test_graphics_cards_are_those_that_jobs_may_use(tmp_path: Path, allowed: str | None, cards: list[Gpu]) -> None:
    (tmp_path / "list").write_text(LISTING)
    (tmp_path / "query").write_text(QUERIED)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f'#!/bin/sh\n[ "$1" = -L ] && exec /bin/cat "{tmp_path}/list"\nexec /bin/cat "{tmp_path}/query"\n')
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    environment = {"PATH": str(tmp_path)} | ({} if allowed is None else {"CUDA_VISIBLE_DEVICES": allowed})
    assert machine.gpus(environment) == cards


def test_without_a_driver_there_are_no_cards(tmp_path: Path) -> None:
    assert machine.gpus({"PATH": str(tmp_path)}) == []


def test_processors_have_names(tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nmodel name\t: Imaginary 9000 @ 9 GHz\nprocessor\t: 1\nmodel name\t: Imaginary\n")
    if sys.platform == "linux":
        assert machine.cpu_name(info) == "Imaginary 9000 @ 9 GHz"
        info.write_text("CPU implementer : 0x41\n")
        assert machine.cpu_name(info) == machine.cpu_name(tmp_path / "none") == platform.machine()
    assert machine.cpu_name()


def test_a_look_that_fails_is_tried_again_later(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    good = '{"machine":{"cpu":"C","threads":2,"gpus":[]},"engine":"cpu","engine_reason":"Because."}'
    script = "import sys; print('noise'); sys.exit('no luck')"
    probe = machine.MachineProbe(lambda: now[0], [sys.executable, "-c", script])
    assert probe.account() is None
    wait_until(lambda: probe.account() is None and probe._process is None)
    assert "no luck" in caplog.text
    probe._command = [sys.executable, "-c", f"print('noise'); print('{good}')"]
    assert probe.account() is None and probe._process is None  # not yet
    now[0] = machine.AGAIN_S
    wait_until(lambda: probe.account() is not None)
    assert probe.account() == machine.Account(Machine("C", 2, []), "cpu", "Because.")
    probe.close()
