# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong around a capture: each a sentence, and the file as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_addon.capture import restore as restore_module
from blender_addon.capture import scene as scene_module
from blender_addon.capture import stage as stage_module
from blender_addon.capture.capture import CaptureJob, capture_avatar
from blender_addon.capture.passes import CyclesTap
from blender_addon.capture.restore import MARK, Restore, sweep_leftovers
from blender_addon.capture.rigs import Dome, SceneCameras
from blender_addon.capture.settings import CaptureSettings, RenderSettings
from blender_addon.capture.stage import Stage
from blender_addon.jobs.machine import run
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError
from tests.blender_addon.scene_state import difference, snapshot
from tests.blender_addon.standin import build_standin

QUICK = CaptureSettings(rig=Dome(3, 1), render=RenderSettings(size=32, samples=1, denoise=False))


def capture_and_meddle(folder: Path, meddle: Any) -> None:
    """Capture, and do something to the file after the second view."""
    job = CaptureJob(folder, QUICK, bpy.context)

    def step() -> Any:
        if len(job.rendered) == 2:
            meddle()

    run(job, "capture", lambda *_: step())


def test_somebody_moves_the_avatar(standin: Any, tmp_path: Path) -> None:
    before = snapshot()

    def move() -> None:
        bpy.data.objects["A_rig"].location.x = 0.3

    with pytest.raises(InputError, match="moved or changed during the capture"):
        capture_and_meddle(tmp_path, move)
    assert bpy.data.objects["A_rig"].location.x == pytest.approx(0.3)  # what others do stays
    bpy.data.objects["A_rig"].location.x = 0.0
    assert not difference(before, snapshot())
    assert len(list((tmp_path / "views").iterdir())) == 2 and not (tmp_path / "capture.json").exists()


def test_somebody_deletes_the_avatar(standin: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="deleted or undone"):
        capture_and_meddle(tmp_path, lambda: bpy.data.objects.remove(bpy.data.objects["A"]))
    assert [s.name for s in bpy.data.scenes] == ["Scene"] and not bpy.data.cameras and not bpy.data.lights


def test_somebody_deletes_our_camera_or_stage(standin: Any, tmp_path: Path) -> None:
    before = snapshot()
    with pytest.raises(InputError, match="deleted or undone"):
        capture_and_meddle(tmp_path, lambda: bpy.data.objects.remove(bpy.data.objects["digidouble capture"]))
    assert not difference(before, snapshot())
    with pytest.raises(InputError, match="undone or exchanged"):
        capture_and_meddle(tmp_path / "b", lambda: bpy.data.scenes.remove(bpy.data.scenes["digidouble capture"]))
    assert not difference(before, snapshot())


def test_somebody_changes_render_settings_of_the_scene(standin: Any, tmp_path: Path) -> None:
    """They are the artist's own: the capture has a scene of its own, and the change stays."""

    def change() -> None:
        scene = bpy.data.scenes["Scene"]
        scene.render.resolution_x, scene.cycles.samples, scene.frame_current = 99, 7, 12

    capture_and_meddle(tmp_path, change)
    scene = bpy.context.scene
    assert (scene.render.resolution_x, scene.cycles.samples, scene.frame_current) == (99, 7, 12)
    assert Capture.load(tmp_path).views[0].camera.width == 32


def test_artists_camera_deleted_during_the_capture(standin: Any, tmp_path: Path) -> None:
    """Cameras of the scene are read at the start."""
    for name in ("left", "right"):
        item = bpy.data.objects.new(name, bpy.data.cameras.new(name))
        bpy.context.scene.collection.objects.link(item)
        item.location, item.rotation_euler = (0.0, -1.0, 0.12), (np.pi / 2, 0.0, 0.0)
    settings = CaptureSettings(rig=SceneCameras(("left", "right")), render=QUICK.render)
    job = CaptureJob(tmp_path, settings, bpy.context)
    job.step()
    while job.step():
        if job.rendered and "left" in bpy.data.cameras:
            bpy.data.cameras.remove(bpy.data.cameras["left"])
    job.close()
    assert len(Capture.load(tmp_path).views) == 2 and "left" not in bpy.data.objects
    with pytest.raises(InputError, match="'left' is not in the scene any more"):
        capture_avatar(tmp_path / "b", settings)


def test_a_render_is_running(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class App:
        @staticmethod
        def is_job_running(kind: str) -> bool:
            return kind == "RENDER"

    monkeypatch.setattr(stage_module, "bpy", type("B", (), {"app": App, "data": bpy.data}))
    with pytest.raises(InputError, match="A render is running"):
        capture_avatar(tmp_path, QUICK)


def test_another_engine_tap_is_left_alone(standin: Any, tmp_path: Path) -> None:
    """An add-on that has wrapped Cycles' callback after us keeps its wrapper."""
    import cycles

    mine = cycles.CyclesRender.render
    job = CaptureJob(tmp_path, QUICK, bpy.context)
    while not job.rendered:
        job.step()
    ours = cycles.CyclesRender.render

    def wrapped(engine: Any, depsgraph: Any) -> None:
        ours(engine, depsgraph)

    cycles.CyclesRender.render = wrapped
    job.close()
    assert cycles.CyclesRender.render is wrapped
    cycles.CyclesRender.render = mine


def test_a_blender_without_denoiser(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scene_module.compat, "has_denoiser", lambda: False)
    settings = CaptureSettings(rig=Dome(1, 0), render=RenderSettings(size=32, samples=1, denoise=True))
    job = CaptureJob(tmp_path, settings, bpy.context)
    run(job, "capture")
    assert job.manifest.renderer["denoise"] is False and "OpenImageDenoise" in job.remarks[0]


def test_negative_scale_and_no_armature(empty: Any, tmp_path: Path) -> None:
    build_standin("S", rig=False)
    for name in ("S", "S_eyes", "S_hair"):
        bpy.data.objects[name].scale = (-1.0, 1.0, 1.0)
    bpy.context.view_layer.update()
    manifest = capture_avatar(tmp_path, QUICK)
    images = manifest.load_view(manifest.views[0])
    assert images.masks["skin"].sum() > 50 and (images.uv != 0).any()


def test_several_uv_maps(standin: Any, tmp_path: Path) -> None:
    """The one that renders counts, not the one that is being edited."""
    layers = bpy.data.objects["A"].data.uv_layers
    other = layers.new(name="lightmap")
    other.active = True
    flat = np.zeros(len(other.uv) * 2, np.float32)
    other.uv.foreach_set("vector", flat)
    layers["UVMap"].active_render = True
    manifest = capture_avatar(tmp_path, QUICK)
    assert np.ptp(manifest.load_mesh().face_uvs) > 0.5


def test_linked_avatar(standin: Any, tmp_path: Path) -> None:
    """An avatar from a library is captured, and neither file is changed."""
    path = tmp_path / "büste.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True)
    digest = path.read_bytes()
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(path), link=True) as (there, here):
        here.collections = list(there.collections)
    bpy.context.scene.collection.children.link(here.collections[0])
    bpy.context.view_layer.update()
    before = snapshot()
    capture_avatar(tmp_path / "c", QUICK)
    assert not difference(before, snapshot())
    assert path.read_bytes() == digest and len(Capture.load(tmp_path / "c").views) == 4


def test_read_only_folder(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    before = snapshot()
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"cannot be written \(Permission denied"):
        capture_avatar(tmp_path / "c", QUICK)
    assert not difference(before, snapshot())


def test_a_file_with_a_compositor(standin: Any, tmp_path: Path) -> None:
    scene = bpy.context.scene
    if bpy.app.version < (5, 0, 0):
        scene.use_nodes = True
        scene.node_tree.nodes.new("CompositorNodeBlur")
    else:
        scene.compositing_node_group = bpy.data.node_groups.new("c", "CompositorNodeTree")
    before = snapshot()
    capture_avatar(tmp_path, QUICK)
    assert not difference(before, snapshot())


def test_many_objects_stay_quick(standin: Any, tmp_path: Path) -> None:
    data = bpy.data.meshes.new("pebble")
    for number in range(400):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(f"pebble {number}", data))
    before = snapshot()
    capture_avatar(tmp_path, CaptureSettings(rig=Dome(1, 0), render=QUICK.render))
    assert not difference(before, snapshot())


def test_what_an_undo_brings_back_is_swept(standin: Any) -> None:
    """A stage that was never closed (its undo step, a rescue file) goes with the next capture; others' lights stay."""
    before = snapshot()
    lost = Restore()
    Stage(lost, bpy.context.scene, bpy.context.view_layer)
    camera = lost.new(bpy.data.objects, "lost", lost.new(bpy.data.cameras, "lost"))
    kept = lost.new(bpy.data.objects, "kept", None)
    bpy.context.scene.collection.objects.link(kept)
    assert MARK in camera and sweep_leftovers() == 3
    assert "kept" in bpy.data.objects and "lost" not in bpy.data.objects
    bpy.data.objects.remove(kept)
    assert not difference(before, snapshot())
    lost.close()  # nothing of it is there any more: no complaint


def test_restoring_goes_by_name_after_an_undo(standin: Any) -> None:
    """What was remembered is found again although its data-block has another address."""
    restore = Restore()
    key = bpy.data.objects["A"].data.shape_keys.key_blocks["smile"]
    restore.set(key, "value", 0.5)
    find = restore_module.finder(bpy.data.objects["A_rig"].pose.bones["head"])
    assert find().name == "head"
    bpy.data.objects["A_rig"].name = "renamed"
    assert find().name == "head"
    restore.close()
    assert bpy.data.objects["A"].data.shape_keys.key_blocks["smile"].value == 0.0
    bpy.data.objects.remove(bpy.data.objects["renamed"])
    with pytest.raises(restore_module.Gone):
        find()


def test_the_way_of_a_window(standin: Any, tmp_path: Path) -> None:
    """Renders that do not block (here they do, for want of a window): the same pictures, nothing left behind."""
    before = snapshot()
    job = CaptureJob(tmp_path / "w", QUICK, bpy.context, waits=False)
    while job.step():
        assert not job.busy
        if job.rendered:
            assert bpy.context.preferences.view.render_display_type == "NONE"
    job.close()
    assert not difference(before, snapshot())
    capture_avatar(tmp_path / "b", QUICK)
    one, other = Capture.load(tmp_path / "w"), Capture.load(tmp_path / "b")
    for a, b in zip(one.views, other.views, strict=True):
        np.testing.assert_array_equal(one.load_view(a).rgb, other.load_view(b).rgb)


def test_stop_keeps_the_view_in_progress(standin: Any, tmp_path: Path) -> None:
    before = snapshot()
    job = CaptureJob(tmp_path, QUICK, bpy.context, waits=False)
    with pytest.raises(Cancelled):
        while job.step():
            if len(job.rendered) == 1:  # the second one is rendered, and being written
                job.stop()
    job.close()
    assert not difference(before, snapshot())
    assert [len(list((tmp_path / "views").glob("*.exr"))), (tmp_path / "capture.json").exists()] == [2, False]
    again = CaptureJob(tmp_path, QUICK, bpy.context)
    run(again, "capture")
    assert len(again.rendered) == 2


def test_the_artists_own_render_is_not_taken_for_ours(standin: Any) -> None:
    scene = bpy.context.scene
    scene.camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    scene.collection.objects.link(scene.camera)
    scene.render.engine, scene.cycles.samples = "CYCLES", 1
    scene.render.resolution_x = scene.render.resolution_y = 16
    ours, any_one = CyclesTap("digidouble capture"), CyclesTap()
    bpy.ops.render.render()
    assert not ours.take() and any_one.take()
    any_one.close()
    ours.close()
