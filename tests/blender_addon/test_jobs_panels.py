# SPDX-License-Identifier: GPL-3.0-or-later
"""What the panels "Compute" and "Jobs" say, and which sentence a grey button shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import pytest

from blender_addon.jobs import inbox, submission
from blender_addon.jobs.backends import Backend
from blender_addon.jobs.messages import Lost, Polled, Status
from blender_addon.jobs.parameters import PRESETS
from blender_addon.panels import compute as compute_panel
from blender_addon.panels import jobs as jobs_panel
from tests.blender_addon.jobs_office import Office


class Layout:
    """Writes down what is drawn; refuses icons, properties and operators that do not exist."""

    def __init__(self, words: list[str], is_open: bool = True) -> None:
        self.words, self._is_open = words, is_open

    def _part(self, *_: Any, **__: Any) -> Layout:
        return Layout(self.words, self._is_open)

    row = column = split = box = _part

    def panel(self, *_: Any, **__: Any) -> tuple[Layout, Layout | None]:
        return self._part(), self._part() if self._is_open else None

    def label(self, text: str = "", icon: str = "NONE") -> None:
        self._check_icon(icon)
        self.words.append(text)

    def prop(self, data: Any, name: str, **_: Any) -> None:
        assert name in data.bl_rna.properties, name
        self.words.append(data.bl_rna.properties[name].name)

    def operator(self, idname: str, text: str | None = None, icon: str = "NONE") -> Any:
        self._check_icon(icon)
        room, _, name = idname.partition(".")
        assert hasattr(bpy.types, f"{room.upper()}_OT_{name}"), idname
        self.words.append(f"[{idname if text is None or not text else text}]")
        return type("Properties", (), {})()

    def progress(self, factor: float, text: str) -> None:
        assert 0.0 <= factor <= 1.0
        self.words.append(f"<{text}>")

    def template_list(self, kind: str, _: str, data: Any, name: str, active: Any, index: str, **__: Any) -> None:
        assert hasattr(bpy.types, kind) and index in active.bl_rna.properties
        for item in getattr(data, name):
            getattr(bpy.types, kind).draw_item(None, bpy.context, self, data, item, 0, active, index)

    def template_icon(self, **_: Any) -> None:
        self.words.append("(picture)")

    @staticmethod
    def _check_icon(icon: str) -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items, icon


class Context:
    """bpy.context with a sidebar of a usual width."""

    def __init__(self) -> None:
        self.region = type("Region", (), {"width": 300})()

    def __getattr__(self, name: str) -> Any:
        return getattr(bpy.context, name)


def draw(module: Any, name: str, is_open: bool = True) -> str:
    """All words of a panel, in lines."""
    words: list[str] = []
    panel = type("Panel", (), {"layout": Layout(words, is_open)})()
    getattr(module, name).draw(panel, Context())
    return "\n".join(words)


def test_panels_draw_before_anything_is_set_up(office: Office) -> None:
    for is_open in (True, False):
        assert "[Make Double]" in draw(compute_panel, "DIGIDOUBLE_PT_compute", is_open)
    assert draw(jobs_panel, "DIGIDOUBLE_PT_jobs") == "No jobs yet"
    inbox.tick()
    text = draw(compute_panel, "DIGIDOUBLE_PT_compute")
    assert "This Computer" in text and "[Start]" in text and "Skin Tone" in text
    bpy.context.scene.digidouble.job.kind = "GAUSSIANS"
    text = draw(compute_panel, "DIGIDOUBLE_PT_compute")
    assert "[Make Gaussians]" in text and "Skin Tone" not in text


def test_the_button_says_what_is_missing(rooms: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from interchange.errors import InputError

    desk, context = rooms.desk, bpy.context
    assert submission.what_is_missing(context, desk) is None
    context.scene.digidouble.job.swapper = "ONNX"
    assert "No swap network is named" in str(submission.what_is_missing(context, desk))
    context.scene.digidouble.job.onnx_model = "mine.onnx"
    assert submission.what_is_missing(context, desk) is None
    performer = sys.modules["blender_addon.performer"]

    def nobody(_: Any, **__: Any) -> Path:
        raise InputError("No performer is chosen.", "Add one.")

    monkeypatch.setattr(performer, "active_source_folder", nobody)
    assert submission.what_is_missing(context, desk) == "No performer is chosen. Add one."
    context.scene.digidouble.job.kind = "GAUSSIANS"
    assert submission.what_is_missing(context, desk) is None, "no performer is needed"
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(rooms.root / "nowhere"))
    assert "holds no complete installation" in str(submission.what_is_missing(context, desk))
    (rooms.capture / "capture.json").unlink()
    assert submission.what_is_missing(context, desk) == (
        "There is no finished capture of this avatar. Capture it first, in the panel Capture."
    )
    assert not bpy.ops.digidouble.job_submit.poll()
    assert "There is no finished capture" in draw(compute_panel, "DIGIDOUBLE_PT_compute").replace("\n", " ")


def test_a_remote_backend_respects_online_access(rooms: Office) -> None:
    desk = rooms.desk
    desk.backends.add(Backend("box", "Render Box", "tcp://192.168.7.7:5555", "acorn actor agate album alley almond"))
    inbox.tick()
    assert not bpy.app.online_access
    assert submission.what_is_missing(bpy.context, desk) == (
        "Blender's online access is off, so Render Box may not be reached. "
        "Turn it on: Preferences > System > Network > Allow Online Access."
    )
    text = draw(compute_panel, "DIGIDOUBLE_PT_compute").replace("\n", " ")
    assert "acorn actor agate album" in text
    with pytest.raises(RuntimeError, match="online access is off"):
        bpy.ops.digidouble.backend_test()
    rooms.compute.active_backend = 0
    assert desk.backends.active == "local"
    desk.backends.choose("box")
    desk.changed = True
    inbox.tick()
    assert rooms.compute.active_backend == 1
    assert bpy.ops.digidouble.backend_remove() == {"FINISHED"}
    assert [item.name for item in rooms.compute.backends] == ["This Computer"]
    assert not bpy.ops.digidouble.backend_remove.poll()


def test_jobs_panel_in_each_state(office: Office, capfd: pytest.CaptureFixture[str]) -> None:
    record = office.record("Ünï 双 job")
    office.desk.records[record.job_id] = record
    panel = ("DIGIDOUBLE_PT_jobs",)

    def shown() -> str:
        office.desk.changed = True
        inbox.tick()
        return draw(jobs_panel, *panel)

    assert "<Preparing 0%>" in shown()
    record.remote_id = "remote"
    record.move("running")
    office.desk.take(Polled(record.job_id, "running", "fit", 0.43, "300 of 900 steps", 130.0, None))
    text = shown()
    assert "<Fitting 43%, 2 min left>" in text and "300 of 900 steps" in text and "[digidouble.job_cancel]" in text
    office.desk.take(Polled(record.job_id, "queued", "", 0.0, "", None, 2))
    assert "<Waiting, 2 before it>" in shown()
    office.desk.take(Lost("local", "This computer's backend does not answer (nobody listens there)."))
    text = shown().replace("\n", " ")
    assert "Waiting for the backend" in text and "nobody listens there" in text and "[digidouble.backend_start]" in text
    office.desk.take(Status("local", True, ("Version 0.1.0",)))
    record.fail("The photo shows no face.", "Take another.")
    text = shown()
    assert "The photo shows no face. Take another." in text.replace("\n", " ")
    assert "[Retry]" in text and "[digidouble.job_remove]" in text and "Waiting" not in text
    assert "[digidouble.job_copy_sentence]" in text and bpy.ops.digidouble.job_copy_sentence() == {"FINISHED"}
    record.move("cancelled")
    assert "[Resume]" in shown()
    record.move("done", message="In the scene.")
    assert "[digidouble.job_import]" in shown() and "[Folder]" in draw(jobs_panel, *panel)
    assert "Traceback" not in capfd.readouterr().err, "Blender only prints what goes wrong in a property's getter"


def test_presets_fill_in_the_numbers_and_own_numbers_are_called_so(office: Office) -> None:
    settings = bpy.context.scene.digidouble.job
    for name, preset in PRESETS.items():
        settings.quality = name
        assert settings.quality == name
        assert (settings.iterations, settings.splats) == (preset.iterations, preset.splats)
    settings.splats += 1
    assert settings.quality == "CUSTOM"
    settings.quality = "PREVIEW"
    assert settings.splats == PRESETS["PREVIEW"].splats
    choices = settings.choices()
    assert choices.quality == PRESETS["PREVIEW"] and choices.swapper == "uv"


def test_grey_buttons_say_why(office: Office) -> None:
    inbox.tick()
    with pytest.raises(RuntimeError, match="There are no jobs"):
        bpy.ops.digidouble.job_cancel()
    record = office.record()
    record.move("done")
    office.desk.records[record.job_id] = record
    office.desk.changed = True
    inbox.tick()
    for name, reason in (
        ("job_cancel", "The job has ended"),
        ("job_import", "Nothing has been fetched yet"),
        ("job_open_folder", "Nothing has been fetched yet"),
    ):
        with pytest.raises(RuntimeError, match=reason):
            getattr(bpy.ops.digidouble, name)()


def test_a_surprise_in_a_thread_becomes_an_error_report(office: Office) -> None:
    from blender_addon.jobs.messages import Surprise

    office.desk.inbox.put(Surprise("watch of This Computer", ZeroDivisionError("by zero")))
    inbox.tick()
    session = bpy.context.window_manager.digidouble
    assert "Copy the error report" in session.problem and "ZeroDivisionError: by zero" in session.error_report


def test_a_double_waits_for_the_artists_hands(office: Office) -> None:
    record = office.record()
    record.visit, record.fetched = office.desk.visit, True
    record.move("importing")
    office.desk.records[record.job_id] = record
    office.desk._claim(record)
    bpy.ops.mesh.primitive_cube_add()
    bpy.ops.object.mode_set(mode="EDIT")
    inbox.tick()
    assert record.message == "Imports when you are back in Object Mode." and not office.shown
    bpy.ops.object.mode_set(mode="OBJECT")
    bpy.context.window_manager.digidouble.activity.begin("Capture")
    inbox.tick()
    assert record.message == "Imports when Capture has ended."
    bpy.context.window_manager.digidouble.activity.end()
    inbox.tick()
    assert record.state == "done" and len(office.shown) == 1
