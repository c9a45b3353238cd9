# SPDX-License-Identifier: GPL-3.0-or-later
"""Pairing by a pasted line, with the real service and its command line."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import pytest

pytest.importorskip("interchange.pairing", reason="this build has no pairing")

from blender_addon.jobs import local_backend  # noqa: E402
from tests.blender_addon.jobs_office import REPOSITORY, Office  # noqa: E402

PYTHON = local_backend.Installation(REPOSITORY).python


def _digidouble(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [str(PYTHON), "-m", "backend.cli", *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture
def offer(office: Office) -> Iterator[tuple[str, Any]]:
    """A pairing line, and the command that waits for whoever uses it."""
    assert bpy.ops.digidouble.backend_start() == {"FINISHED"}
    with _digidouble("pair", "--state", office.state, "--host", "127.0.0.1") as process:
        assert process.stdout is not None
        line = next(text for text in process.stdout if "dd://" in text)
        yield line, process
        process.terminate()


def test_a_pasted_line_makes_a_backend_that_does_jobs(office: Office, offer: tuple[str, Any]) -> None:
    line, process = offer
    assert bpy.ops.digidouble.backend_add(pairing_line=line, label="Render Box") == {"FINISHED"}
    box = office.desk.backends.items[1]
    assert box.name == "Render Box" and office.desk.backends.active == box.backend_id
    there = process.communicate(timeout=20)[0]
    assert len(box.fingerprint.split()) == 6 and box.fingerprint in there, "both must show the same words"
    assert box.fingerprint in office.compute.notice and office.compute.backends[1].fingerprint == box.fingerprint
    keys = office.desk.backends.connection_folder(box.backend_id) / "connection.json"
    assert keys.stat().st_mode & 0o077 == 0
    assert bpy.ops.digidouble.backend_test() == {"FINISHED"}
    record = office.record(steps=2)
    record.backend_id = box.backend_id
    office.desk.submit(record)
    office.until(lambda: record.ended)
    assert record.state == "done", record.sentence


def test_a_line_is_good_once(office: Office, offer: tuple[str, Any]) -> None:
    line, process = offer
    assert bpy.ops.digidouble.backend_add(pairing_line=line) == {"FINISHED"}
    assert office.desk.backends.items[1].name == "127.0.0.1"
    process.communicate(timeout=20)
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.digidouble.backend_add(pairing_line=line)
    assert "\n" not in str(caught.value).strip() and "pair" in str(caught.value)
    assert len(office.desk.backends.items) == 2


def test_a_revoked_computer_is_told_so(office: Office, offer: tuple[str, Any]) -> None:
    line, process = offer
    assert bpy.ops.digidouble.backend_add(pairing_line=line, label="Render Box") == {"FINISHED"}
    there = process.communicate(timeout=20)[0]
    name = there.partition("Paired with ")[2].partition(". Both")[0]
    with _digidouble("devices", "--state", office.state, "revoke", name) as revoke:
        assert revoke.wait(20) == 0
    with pytest.raises(RuntimeError, match="Render Box: .*does not let this computer in any more"):
        bpy.ops.digidouble.backend_test()


def test_online_access_is_asked_for_before_anything_is_sent(office: Office) -> None:
    key, code = "a" * 52, "b" * 24
    with pytest.raises(RuntimeError, match="online access is off, so Render Box may not be reached"):
        bpy.ops.digidouble.backend_add(pairing_line=f"dd://192.168.7.7:4711/{key}#{code}", label="Render Box")
