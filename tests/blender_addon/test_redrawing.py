# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes Blender draw again, and what drawing costs: progress draws our sidebar alone, and only if it reads
otherwise; panels ask no disk for what they knew a moment ago.
"""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Any

import bpy
import pytest

import blender_addon
from blender_addon import lately, performer
from blender_addon.jobs import inbox
from blender_addon.jobs.messages import Lost, Polled, Preview, Progress, Status
from blender_addon.performer import folder as performer_folder
from blender_addon.performer import gallery
from blender_addon.properties import session
from interchange.errors import InputError
from tests.blender_addon.jobs_office import Office
from tests.blender_addon.layout import drawn
from tests.blender_addon.performers import photo


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """An entry for each time that progress has our sidebars drawn."""
    seen: list[int] = []
    monkeypatch.setattr(session, "redraw_sidebars", lambda _=None, __=None: seen.append(1))
    return seen


def test_progress_draws_when_it_reads_otherwise(empty: Any, drawings: list[int]) -> None:
    blender_addon.register()
    try:
        activity = bpy.context.window_manager.digidouble.activity
        activity.begin("Capture")
        activity.show(0.1, "view 1 of 10")
        assert len(drawings) == 2
        for _ in range(5):
            activity.show(0.1, "view 1 of 10")
            activity.show(0.102, "view 1 of 10")
        assert len(drawings) == 2
        activity.show(0.11, "view 1 of 10")  # the bar can be seen to move
        activity.show(0.11, "view 1 of 10, 0:20 left")
        assert len(drawings) == 4 and activity.message == "view 1 of 10, 0:20 left"
        activity.end()
        assert len(drawings) == 5
    finally:
        blender_addon.unregister()


def test_what_timers_write_draws_nothing_by_itself() -> None:
    """A property with `update=` has Blender draw its whole window after each write: see redrawing.py."""
    for name, made in typing.get_type_hints(session.DigidoubleActivity, vars(session)).items():
        assert "update" not in made.keywords, name


def test_news_of_jobs_count_when_they_read_otherwise(office: Office) -> None:
    record = office.record()
    office.desk.records[record.job_id] = record
    record.move("running")

    def changes(message: Any) -> bool:
        office.desk.changed = False
        office.desk.take(message)
        return office.desk.changed

    def polled(fraction: float, message: str = "300 of 900 steps", eta: float = 130.0) -> Polled:
        return Polled(record.job_id, "running", "fit", fraction, message, eta, None)

    assert changes(polled(0.43))
    assert not changes(polled(0.43)) and not changes(polled(0.4304, eta=131.0))
    assert changes(polled(0.44)) and changes(polled(0.44, "310 of 900 steps")) and changes(Preview(record.job_id))
    assert changes(Status("local", True, ("Version 0.1.0",), question="a"))
    assert not changes(Status("local", True, ("Version 0.1.0",), question="b"))
    assert office.desk.state_of("local").answered == "b"
    assert changes(Lost("local", "It does not answer.")) and not changes(Lost("local", "It does not answer."))
    assert changes(Progress(record.job_id, "fetching", 0.5, "double"))
    assert not changes(Progress(record.job_id, "fetching", 0.5, "double"))
    assert not changes(Polled("another", "running", "fit", 0.5, "", None, None))


def test_an_upload_draws_a_few_times_a_second(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    now, drawings = [1000.0], []
    monkeypatch.setattr(inbox, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(inbox, "redraw_sidebars", lambda: drawings.append(now[0]))
    record = office.record()
    office.desk.records[record.job_id] = record
    for tick in range(20):
        office.desk.take(Progress(record.job_id, "uploading", tick / 20, "capture"))
        inbox.tick()
        now[0] += 0.1
    assert 6 <= len(drawings) <= 8
    now[0] += 1.0
    inbox.tick()  # the last news is shown, then none
    shown = len(drawings)
    now[0] += 1.0
    inbox.tick()
    assert len(drawings) == shown <= 9


def test_answers_are_kept_for_a_moment() -> None:
    now, asked = [0.0], []

    def question() -> int:
        asked.append(now[0])
        if now[0] >= 2.0:
            raise InputError("It is gone.", "Look elsewhere.")
        return len(asked)

    kept: lately.Lately[int] = lately.Lately(lambda: now[0], 1.0)
    assert [kept.ask("here", question) for _ in range(3)] == [1, 1, 1]
    assert kept.ask("there", question) == 2
    now[0] = 1.0
    assert kept.ask("here", question) == 3
    for now[0] in (2.0, 2.5):
        with pytest.raises(InputError, match="It is gone. Look elsewhere."):
            kept.ask("here", question)
    assert asked == [0.0, 0.0, 1.0, 2.0]


def test_drawing_reads_each_photo_once(office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests of photos and landmark files are not for every redraw, nor for each grey button; sending reads anew."""
    bpy.ops.digidouble.performer_add()
    added = bpy.context.scene.digidouble.performers[0]
    added.folder = str(tmp_path / "photos")
    (tmp_path / "photos").mkdir()
    photo(tmp_path / "photos" / "a.png")
    (office.capture / "capture.json").write_text("{}")
    bpy.context.scene.digidouble.capture.folder = str(office.capture)
    inbox.tick()
    read, looked = [], []
    digest, look = performer_folder.consent.sha256_of_file, gallery.look
    monkeypatch.setattr(performer_folder.consent, "sha256_of_file", lambda path: read.append(path) or digest(path))
    monkeypatch.setattr(gallery, "look", lambda *given: looked.append(given[0]) or look(*given))
    clock = [100.0]
    monkeypatch.setattr(gallery.GALLERY, "_clock", lambda: clock[0])
    gallery.GALLERY.forget()
    for _ in range(3):
        assert "is not ready" in drawn("DIGIDOUBLE_PT_compute").texts()
        for name in ("performer", "performer_photos", "performer_consent", "jobs"):
            drawn(f"DIGIDOUBLE_PT_{name}")
        assert not bpy.ops.digidouble.job_submit.poll()
        clock[0] += 1.0
    assert len(read) == 1 and len(looked) == 1
    photo(tmp_path / "photos" / "b.png", seed=1)
    drawn("DIGIDOUBLE_PT_performer_photos")
    assert len(looked) == 2 and len(read) == 2
    with pytest.raises(InputError, match="is not ready"):
        performer.active_source_folder(bpy.context)
    assert len(read) == 4
