# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs from the add-on's desk to a real service and back: sent, watched, lost, found again, fetched."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_addon.jobs import inbox
from interchange.client import JobClient
from tests.blender_addon.jobs_office import Office


def _start(office: Office) -> None:
    assert bpy.ops.digidouble.backend_start() == {"FINISHED"}
    office.until(lambda: office.compute.backends[0].reached)


def test_a_job_goes_all_the_way(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record("Ada double 1", steps=3))
    seen = set()
    office.until(lambda: seen.add(record.state) or record.ended)  # type: ignore[func-returns-value]
    assert record.state == "done", record.sentence
    assert record.sentence == "In the scene."
    splats = Path(record.results) / "double" / "splats.ply"
    assert splats.read_text() == "capture.json of the test"
    assert office.shown == [(splats, str(office.capture))]
    assert not (Path(record.results) / "swapped" / "views").exists(), "large, and nobody asked for them"
    with JobClient(office.state) as client:
        sent = {entry.path for entry in client.files(record.remote_id) if entry.path.startswith(("capture", "source"))}
    assert sent == {"capture/capture.json", "source/consent.json"}
    job = office.compute.jobs[0]
    assert (job.name, job.state, job.fraction, job.headline) == ("Ada double 1", "DONE", 1.0, "Done")
    with pytest.raises(RuntimeError, match="Gaussians only|capture.json"):  # a toy has no skin to take over
        bpy.ops.digidouble.job_mesh_double()


def test_what_the_job_finds_wrong_is_told_and_can_be_tried_again(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(kind="refuse"))
    office.until(lambda: record.ended)
    assert record.state == "failed"
    assert record.sentence == "The source has no consent record. Put consent.json beside it."
    assert office.compute.jobs[0].is_problem
    assert bpy.ops.digidouble.job_retry() == {"FINISHED"}
    office.until(lambda: record.ended)
    assert record.state == "failed" and "consent" in record.sentence


def test_cancel_and_resume(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=40, pause=0.1))
    office.until(lambda: record.state == "running" and record.fraction > 0.05)
    assert office.compute.jobs[0].headline.startswith("Count ")
    bpy.ops.digidouble.job_cancel()
    assert record.headline == "Stopping"
    office.until(lambda: record.ended)
    assert record.state == "cancelled"
    record.parameters = {"toy": record.parameters["toy"]}
    bpy.ops.digidouble.job_retry()
    office.until(lambda: record.ended)
    assert record.state == "done"
    log = (office.state / "jobs" / record.remote_id / "work" / "steps.txt").read_text().split()
    assert log == [str(i) for i in range(40)], "steps were done twice or lost"


def test_a_capture_that_changed_becomes_a_new_job_under_the_old_name(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(kind="refuse"))
    office.until(lambda: record.ended)
    first = record.remote_id
    (office.capture / "capture.json").write_text("another capture")
    record.parameters = {"toy": {"steps": 1}}
    bpy.ops.digidouble.job_retry()
    office.until(lambda: record.ended)
    assert record.state == "done" and record.remote_id != first
    assert office.shown[-1][0].read_text() == "another capture"


@pytest.mark.slow
def test_killed_twice_and_nobody_waits(office: Office) -> None:
    """The bar: message and recovery shown, no tick above 50 ms."""
    _start(office)
    record = office.desk.submit(office.record(steps=60, pause=0.1))
    for _ in range(2):
        office.until(lambda: record.state == "running" and record.fraction > 0.0)
        before = record.fraction
        office.kill_server()
        office.until(lambda: bool(office.compute.jobs[0].waiting))
        assert "This computer's backend does not answer" in office.compute.jobs[0].waiting
        office.until(lambda: not office.compute.jobs[0].waiting)  # it is started again by itself
        office.until(lambda before=before: record.state == "running" and record.fraction > before)
    office.until(lambda: record.ended)
    assert record.state == "done" and office.shown
    assert max(office.ticks) < 0.05, f"the longest of {len(office.ticks)} ticks took {max(office.ticks):.3f} s"


def test_killed_once(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=20, pause=0.1))
    office.until(lambda: record.state == "running" and record.fraction > 0.0)
    office.kill_server()
    office.until(lambda: bool(office.compute.jobs[0].waiting))
    office.until(lambda: record.ended)
    assert record.state == "done" and not office.compute.jobs[0].waiting


def test_a_backend_that_was_stopped_stays_stopped_and_its_job_waits(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=30, pause=0.1))
    office.until(lambda: record.state == "running")
    assert bpy.ops.digidouble.backend_stop() == {"FINISHED"}
    office.until(lambda: bool(office.compute.jobs[0].waiting))
    assert office.compute.jobs[0].waiting == "This computer's backend is not running. Start it."
    time.sleep(1.0)
    inbox.tick()
    assert not (office.state / "connection.json").exists()
    _start(office)
    office.until(lambda: record.ended)
    assert record.state == "done"


def test_a_running_job_is_watched_again_after_blender_was_closed(office: Office) -> None:
    _start(office)
    job_id = office.desk.submit(office.record(steps=30, pause=0.1)).job_id
    office.until(lambda: office.desk.records[job_id].state == "running")
    office.close_blender()
    stored = json.loads((office.user / "jobs" / f"{job_id}.json").read_text())
    assert stored["state"] == "running" and stored["format"] == "digidouble-job"
    office.open_blender()
    record = office.desk.records[job_id]
    office.until(lambda: record.ended)
    assert record.state == "done" and record.fetched
    assert record.sentence == "Fetched. Open its scene and press Import.", "another file is open now"
    assert not office.shown
    assert bpy.ops.digidouble.job_import() == {"FINISHED"}
    assert len(office.shown) == 1


def test_an_upload_goes_on_after_blender_was_closed(office: Office) -> None:
    record = office.desk.submit(office.record(steps=1))  # nothing runs yet
    office.until(lambda: bool(office.desk.state_of("local").waiting))
    assert record.state == "preparing"
    office.close_blender()
    office.open_blender()
    _start(office)
    office.until(lambda: office.desk.records[record.job_id].ended)
    assert office.desk.records[record.job_id].state == "done"


def test_a_new_file_keeps_the_list(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=20, pause=0.1))
    office.until(lambda: record.state == "running")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    office.until(lambda: len(office.compute.jobs) == 1 and office.compute.jobs[0].state == "RUNNING")
    office.until(lambda: record.ended)
    assert not office.shown and "press Import" in record.sentence


def test_a_saved_file_gets_its_double_after_all(office: Office, tmp_path: Path) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=30, pause=0.1))
    office.until(lambda: record.state == "running")
    path = tmp_path / "my scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert record.file == str(path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    office.until(lambda: record.ended)
    assert len(office.shown) == 1


def test_two_blenders_do_not_fetch_the_same_job(office: Office) -> None:
    from blender_addon.jobs.desk import Desk

    _start(office)
    record = office.desk.submit(office.record(steps=30, pause=0.1))
    office.until(lambda: record.state == "running")
    office.desk.ledger.close()
    other = Desk(office.user, lambda: office.state)
    other.attach()
    assert not other.is_ours(other.records[record.job_id])
    assert not other.switchboard.is_open(other.backends.items[0])
    office.until(lambda: record.ended)
    office.desk.ledger.close()
    other.attach()
    assert other.records[record.job_id].state == "done"
    other.close()


def test_wait_prints_and_returns_with_the_double(rooms: Office, capsys: Any, monkeypatch: Any) -> None:
    from blender_addon.jobs import submission

    monkeypatch.setattr(submission, "parameters", lambda choices: {"toy": {"steps": 10, "pause": 0.1}})
    assert bpy.ops.digidouble.job_submit() == {"FINISHED"}
    record = next(iter(rooms.desk.records.values()))
    assert record.state == "done" and rooms.shown
    lines = capsys.readouterr().out.splitlines()
    assert any("avatar 1: Count" in line for line in lines) and "avatar 1: Done" in lines
    results = Path(rooms.compute.jobs[0].results)
    assert results == rooms.user / "work" / "avatar" / "doubles" / "avatar_1"
    assert bpy.ops.digidouble.job_submit(wait=False) == {"FINISHED"}
    assert rooms.compute.jobs[0].name == "avatar 2" and rooms.compute.jobs[0].job_id in rooms.desk.records


def test_a_failed_wait_is_an_error_in_words(rooms: Office, monkeypatch: Any) -> None:
    from blender_addon.jobs import submission

    monkeypatch.setattr(submission, "parameters", lambda choices: {"toy": {"kind": "refuse"}})
    with pytest.raises(RuntimeError, match="The source has no consent record. Put consent.json beside it."):
        bpy.ops.digidouble.job_submit()


def test_a_fault_in_the_job_and_a_full_disk(office: Office) -> None:
    _start(office)
    for kind, words in (("fault", "fault in the program"), ("full", "disk is full")):
        record = office.desk.submit(office.record(kind=kind))
        office.until(lambda record=record: record.ended)
        assert record.state == "failed" and words in record.sentence


def test_a_full_disk_here_is_a_sentence(office: Office) -> None:
    _start(office)
    record = office.record(steps=1)
    (office.root / "results").write_text("a file where the folder should be")
    office.desk.submit(record)
    office.until(lambda: record.ended)
    assert record.state == "failed" and "could not be read or written" in record.sentence
    (office.root / "results").unlink()
    bpy.ops.digidouble.job_retry()
    office.until(lambda: record.ended)
    assert record.state == "done"


def test_a_vanished_capture_is_a_sentence(office: Office) -> None:
    _start(office)
    record = office.record()
    record.capture = str(office.root / "gone")
    office.desk.submit(record)
    office.until(lambda: record.ended)
    assert record.sentence == f"The capture folder {record.capture} is gone or empty. Capture the avatar again."


def test_a_job_that_the_backend_forgot(office: Office) -> None:
    _start(office)
    record = office.record(steps=1)
    record.state, record.remote_id = "running", "nobody-knows-this"
    office.desk.records[record.job_id] = record
    office.desk.ledger.save(record)
    office.desk.attach()
    office.until(lambda: record.ended or office.desk.records[record.job_id].ended)
    record = office.desk.records[record.job_id]
    assert record.sentence == "This Computer does not know this job any more. Retry sends it again."
    bpy.ops.digidouble.job_retry()
    office.until(lambda: record.ended)
    assert record.state == "done"


def test_cancelled_while_the_backend_is_away(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=50, pause=0.1))
    office.until(lambda: record.state == "running")
    bpy.ops.digidouble.backend_stop()
    office.until(lambda: bool(office.compute.jobs[0].waiting))
    bpy.ops.digidouble.job_cancel()
    assert record.state == "cancelled"
    _start(office)
    with JobClient(office.state) as client:
        office.until(lambda: client.get(record.remote_id).state == "cancelled")
    assert bpy.ops.digidouble.job_remove() == {"FINISHED"}
    office.desk.ledger.close()
    assert not len(office.compute.jobs) and not list((office.user / "jobs").glob("*.json"))


def test_turning_the_extension_off_leaves_no_thread(office: Office) -> None:
    _start(office)
    record = office.desk.submit(office.record(steps=100, pause=0.1))
    office.until(lambda: record.state == "running")
    before = time.monotonic()
    office.close_blender()
    took = time.monotonic() - before
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("digidouble")]
    assert took < 2.0
    office.open_blender()
    bpy.ops.digidouble.job_cancel(job_id=record.job_id)
    office.until(lambda: office.desk.records[record.job_id].ended)


@pytest.mark.slow
def test_gaussians_of_a_real_capture(rooms: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """No toy: the backend's own pipeline, from the button to splats that can be read."""
    import shutil

    from blender_addon.jobs import local_backend
    from interchange.splats import read_splats
    from tests.fitting.scene import make_capture

    monkeypatch.delenv(local_backend.RUNNER_VARIABLE)
    shutil.rmtree(rooms.capture)
    make_capture(rooms.capture, train=4, held_out=1, size=32)
    settings = bpy.context.scene.digidouble.job
    settings.kind, settings.iterations, settings.splats = "GAUSSIANS", 20, 400
    assert bpy.ops.digidouble.job_submit() == {"FINISHED"}
    record = next(iter(rooms.desk.records.values()))
    cloud = read_splats(Path(record.results) / "double" / "splats.ply")
    assert 100 < len(cloud) <= 400
    assert not (Path(record.results) / "swapped").exists()
    assert rooms.shown == [(Path(record.results) / "double" / "splats.ply", str(rooms.capture))]


_LEAVE = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, os.getcwd())
import bpy, blender_addon
from blender_addon.jobs import inbox, local_backend
from blender_addon.jobs.records import JobRecord
user, state, capture = map(Path, sys.argv[-3:])
local_backend.state_folder = lambda *_: state
inbox.user_folder = lambda: user
blender_addon.register()
inbox.desk().submit(JobRecord(
    "left-alone", "job", "double", "local", {"toy": {"steps": 60, "pause": 0.1}}, str(capture), "", str(user / "out")
))
assert inbox.wait_for(lambda: inbox.desk().records["left-alone"].state == "running", 30.0)
print("leaving", flush=True)
"""


@pytest.mark.slow
def test_leaving_with_a_job_at_work_takes_no_time_and_the_job_goes_on(office: Office) -> None:
    import subprocess

    from tests.blender_addon.conftest import another_blender
    from tests.blender_addon.jobs_office import REPOSITORY

    _start(office)
    script = office.root / "leave.py"
    script.write_text(_LEAVE)
    command = [*another_blender(), *map(str, (script, "--", office.user, office.state, office.capture))]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as blender:
        assert blender.stdout is not None
        while blender.stdout.readline().strip() != "leaving":
            assert blender.poll() is None
        before = time.monotonic()
        blender.wait(30)
        took = time.monotonic() - before
    assert took < 3.0, f"{took:.1f} s"
    office.close_blender()
    office.open_blender()
    assert office.desk.records["left-alone"].state in ("queued", "running")
    office.until(lambda: office.desk.records["left-alone"].ended)
    assert office.desk.records["left-alone"].state == "done"
