# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python API, as a pipeline's script walks it: avatar, cameras, capture, performer, double, export, import."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon import api
from blender_addon.jobs.arrival import put_into_scene
from blender_addon.jobs.records import JobRecord
from interchange.capture import Capture
from interchange.landmarks import write_landmarks
from interchange.splats import read_splats, write_ply
from tests.blender_addon.doubles import born_on, some_splats
from tests.blender_addon.jobs_office import Office
from tests.blender_addon.performers import face, photo
from tests.blender_addon.standin import build_standin


@pytest.fixture
def film(standin: Any, tmp_path: Path) -> Iterator[Path]:
    """A saved file with the stand-in, the add-on enabled; its folder."""
    api.enable()
    api.enable()  # harmless
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    yield tmp_path
    blender_addon.unregister()


def small() -> api.CaptureSettings:
    return api.CaptureSettings(rig=api.Dome(2, 1), render=api.RenderSettings(size=48, samples=1, denoise=False))


def test_every_public_function_tells_what_it_does() -> None:
    for name in api.__all__:
        assert inspect.getdoc(getattr(api, name)), name
    functions = {
        name for name, item in vars(api).items()
        if inspect.isfunction(item) and item.__module__ == api.__name__ and not name.startswith("_")
    }  # fmt: skip
    assert functions <= set(api.__all__)


def test_capture_export_import(film: Path) -> None:
    """The whole way without a window; only the fit is replaced by splats that were born on the captured mesh."""
    assert api.use_avatar() == "A"
    assert not [sentence for severity, sentence in api.check_avatar() if severity == "ERROR"]
    planned, seen = api.plan_cameras(small()), []
    folder = api.capture(settings=small(), progress=lambda *told: seen.append(told))
    assert folder == film / "digidouble" / "A" / "capture"
    captured = Capture.load(folder)
    assert [v.name for v in captured.views] == [v.name for v in planned] and len(captured.views) == 3
    for view, plan in zip(captured.views, planned, strict=True):
        np.testing.assert_allclose(view.camera.world_to_camera, plan.camera.world_to_camera, atol=1e-9)
    assert seen[-1][0] == "capture" and seen[-1][1] == 1.0
    transforms = json.loads(api.export_transforms(film / "nerf", captured=True).read_text())
    assert len(transforms["frames"]) == 3
    assert (api.export_colmap("//colmap", captured=True) / "images.txt").is_file()

    cloud, _, _ = born_on(captured, film / "double")
    shown = api.show_double(film / "double", folder)
    assert shown.type == "POINTCLOUD" and shown.digidouble.follow and len(shown.data.points) == len(cloud)
    first = api.export_double(shown, "//first.ply")
    assert first == film / "first.ply"
    again = api.import_splats(first)
    assert again != shown and not again.digidouble.follow
    second = api.export_double(again, film / "second.ply")
    assert first.read_bytes() == second.read_bytes()
    np.testing.assert_allclose(read_splats(second).means, cloud.means, atol=1e-5)


def test_the_panels_settings_are_the_default(film: Path) -> None:
    api.set_cameras("QUICK", train=3, held_out=1, width=48, height=32)
    settings = api.panel_settings()
    assert isinstance(settings.rig, api.Dome) and (settings.rig.train, settings.rig.held_out) == (3, 1)
    assert settings.render.pixels == (48, 32) and settings.rig.low == pytest.approx(-25)
    assert api.make_cameras(set_resolution=True) == 4
    assert bpy.context.scene.render.resolution_x == 48
    assert len(api.plan_cameras()) == 4
    build_standin("B")
    with pytest.raises(api.InputError, match="several avatars"):
        api.capture(settings=small())
    api.use_avatar("A")
    bpy.context.scene.digidouble.capture.folder = str(film / "mine")
    assert api.capture(settings=small()) == film / "mine"
    assert api.capture(settings=attrs.evolve(small(), avatar="B")) == film / "digidouble" / "B" / "capture"
    with pytest.raises(api.Cancelled):
        api.capture(film / "stopped", attrs.evolve(settings, render=small().render), cancelled=lambda: True)


def test_an_avatar_out_of_meshes(film: Path) -> None:
    bare = build_standin("Bare", rig=False)
    for part in bare.all_objects:
        for mark in ("digidouble_part", "digidouble_avatar", "digidouble_landmarks"):
            if mark in part:
                del part[mark]
    assert api.avatars() == ["A"]
    head, eyes, hair = (bpy.data.objects[name] for name in ("Bare", "Bare_eyes", "Bare_hair"))
    name = api.set_up_avatar(head, {eyes: "eyes", hair: "lashes"})
    assert name in api.avatars() and api.use_avatar(name) == name
    assert [item["digidouble_part"] for item in (head, eyes, hair)] == ["head", "eyes", "lashes"]
    eyes.data.uv_layers.remove(eyes.data.uv_layers[0])
    severity, sentence = api.check_avatar()[0]
    assert severity == "ERROR" and "'Bare_eyes' has no UV map" in sentence, sentence
    for words in (([head],), (head, {eyes: "ears"}), (head, None, "rig")):
        with pytest.raises(api.InputError, match="cannot be set up"):
            api.set_up_avatar(*words)
    with pytest.raises(api.InputError, match="none that Digidouble knows"):
        api.find_landmarks()


def test_a_performer_with_consent(film: Path) -> None:
    picture = photo(film / "anna.png")
    write_landmarks(film / "points.json", "anna.png", face())
    folder = api.new_performer("Anna", [picture], {"anna.png": film / "points.json"})
    with pytest.raises(api.InputError, match="consent"):
        api.performer_folder()
    who = {"subject": "Anna M.", "granted_by": "Anna M."}
    terms: dict[str, Any] = {**who, "use": "shot 12", "expires": date(2090, 1, 1)}
    with pytest.raises(api.InputError, match="permission was given"):
        api.write_consent(**terms, confirmed=False)
    with pytest.raises(api.InputError, match="cannot say"):
        api.write_consent(**terms, confirmed=True, kind="rumour")
    assert api.write_consent(**terms, confirmed=True) == folder / "consent.json"
    assert api.performer_folder() == folder
    portrait = api.performer_from_avatar("A", size=128, samples=1)
    assert (portrait / "portrait.png").is_file() and portrait != folder
    with pytest.raises(api.InputError, match="mirrored"):  # the stand-in's points are those of no face
        api.performer_folder()
    assert api.use_performer(folder) == folder == api.performer_folder()
    assert len(bpy.context.scene.digidouble.performers) == 2


def test_what_is_wrong_is_one_sentence(film: Path) -> None:
    for call, words in (
        (lambda: api.use_avatar("Nobody"), "There is no avatar called 'Nobody'"),
        (lambda: api.set_cameras("HUGE"), "HUGE"),
        (lambda: api.set_cameras(lens="wide"), "There is no setting 'lens'"),
        (lambda: api.set_cameras(train="many"), "train cannot be 'many'"),
        (lambda: api.import_splats(film / "film.blend"), "film.blend"),
        (lambda: api.show_double(film / "nothing"), "nothing"),
        (lambda: api.export_double(bpy.data.objects["A"], film / "x.ply"), "is no double"),
        (lambda: api.use_performer(film / "nobody"), "There is no folder"),
        (lambda: api.submit(), "no finished capture"),
        (lambda: api.wait("none"), "There is no job"),
    ):
        with pytest.raises(api.InputError) as caught:
            call()
        told = str(caught.value)
        assert words in told and "Traceback" not in told and "bpy.ops" not in told and "Error:" not in told, told


def test_a_double_arrives_in_a_file_that_has_a_window_layout(film: Path) -> None:
    """Without a window, Blender crashed when the operator was run in one of those that the file had brought along."""
    bpy.ops.wm.open_mainfile(filepath=str(film / "film.blend"))
    assert bpy.context.window_manager.windows
    (film / "results" / "double").mkdir(parents=True)
    write_ply(film / "results" / "double" / "splats.ply", some_splats(50))
    record = JobRecord("j", "j", "fit", "local", {}, str(film / "capture"), "", str(film / "results"))
    put_into_scene(bpy.context, record)
    assert bpy.context.view_layer.objects.active.type == "POINTCLOUD"


def test_a_job_is_sent_and_waited_for(office: Office, tmp_path: Path) -> None:
    """The service does a toy job; that the double comes into the scene is `test_capture_export_import`'s."""
    build_standin("A")
    heard: list[str] = []
    job = api.submit(capture=office.capture, kind="GAUSSIANS", quality="PREVIEW")
    record = office.desk.records[job]
    assert record.kind == "fit" and record.parameters["fit"]["iterations"] == 400
    assert api.wait(job, timeout_s=0.0) is None
    double = api.wait(job, timeout_s=60, tell=heard.append)
    assert double == Path(record.results) / "double" and (double / "splats.ply").is_file()
    assert heard[-1].endswith("Done")
    assert office.shown == [(double / "splats.ply", str(office.capture))]
    with pytest.raises(api.InputError):
        api.cancel(job)
