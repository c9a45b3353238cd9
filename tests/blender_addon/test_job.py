# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures that stop, go on, fail: files kept, scene given back."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import pytest

from blender_addon.capture import finishing
from blender_addon.capture.capture import CaptureJob, capture_avatar
from blender_addon.capture.rigs import Dome
from blender_addon.capture.settings import CaptureSettings, PoseSettings, RenderSettings
from blender_addon.capture.truth import true_swap
from blender_addon.jobs.machine import run
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError
from interchange.png import write_png
from tests.blender_addon.scene_state import difference, snapshot

TINY = CaptureSettings(
    rig=Dome(3, 1),
    render=RenderSettings(size=32, samples=1, denoise=False),
    pose=PoseSettings({"smile": 0.4}, {"head": (5.0, 0.0, 10.0)}, frame=3),
)


def artists_scene(standin: Any) -> None:
    """A scene with settings that nobody would guess, so that a wrong restoration shows."""
    scene = bpy.context.scene
    for name in ("studio wall", "hidden"):
        item = bpy.data.objects.new(name, bpy.data.meshes.new(name))
        scene.collection.objects.link(item)
    bpy.data.objects["hidden"].hide_render = True
    camera = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    scene.collection.objects.link(camera)
    scene.camera = camera
    scene.timeline_markers.new("cut", frame=3).camera = camera
    scene.view_layers.new("second")
    render = scene.render
    render.engine, render.resolution_x, render.resolution_percentage = "BLENDER_WORKBENCH", 777, 33
    render.use_border, render.film_transparent, render.use_persistent_data = True, False, True
    scene.cycles.samples, scene.cycles.max_bounces = 99, 7
    scene.frame_set(7)
    rig = bpy.data.objects["A_rig"]
    rig.pose.bones["head"].rotation_mode = "XYZ"
    rig.pose.bones["head"].rotation_euler = (0.1, 0.0, 0.0)
    head = bpy.data.objects["A"]
    head.data.shape_keys.key_blocks["jaw_open"].value = 0.25
    head.active_shape_key_index = 2
    head.modifiers["Subdivision"].show_viewport = False
    bpy.data.objects["A_hair"].hide_set(True)
    bpy.context.view_layer.update()


def cycles_hook() -> Any:
    import cycles

    return cycles.CyclesRender.render


def whole_state() -> dict[str, Any]:
    return {"file": snapshot(), "hook": cycles_hook()}


def capture_again(folder: Path) -> list[str]:
    """The views that a second capture renders."""
    job = CaptureJob(folder, TINY, bpy.context)
    run(job, "capture")
    return job.rendered


def test_scene_is_identical_after_success(standin: Any, tmp_path: Path) -> None:
    artists_scene(standin)
    before = whole_state()
    capture_avatar(tmp_path, TINY)
    assert not difference(before, whole_state())
    pose = Capture.load(tmp_path).poses[0]
    assert pose.frame == 3 and pose.shape_keys == pytest.approx({"smile": 0.4, "jaw_open": 0.25})


def test_scene_is_identical_after_cancel(standin: Any, tmp_path: Path) -> None:
    artists_scene(standin)
    before = whole_state()
    steps: list[str] = []
    with pytest.raises(Cancelled):
        capture_avatar(tmp_path, TINY, lambda *what: steps.append(what[2]), cancelled=lambda: len(steps) == 2)
    assert not difference(before, whole_state())
    assert len(list((tmp_path / "views").glob("*.exr"))) == 1  # the one that was rendered stays


def test_scene_is_identical_after_exception(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artists_scene(standin)
    before = whole_state()

    def burst(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(finishing, "find_hits", burst)
    with pytest.raises(ZeroDivisionError):
        capture_avatar(tmp_path, TINY)
    assert not difference(before, whole_state())
    with pytest.raises(InputError):
        capture_avatar(tmp_path, CaptureSettings(pose=PoseSettings({"nonsense": 1.0})))
    assert not difference(before, whole_state())


def test_a_stopped_capture_goes_on_with_what_is_missing(standin: Any, tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(Cancelled):
        capture_avatar(
            tmp_path, TINY, lambda stage, fraction, text: messages.append(text), lambda: len(messages) == 3
        )
    assert messages[0] == "pose 0 of 1" and messages[2].startswith("view 2 of 4, 0:0")
    assert not (tmp_path / "capture.json").exists()
    kept = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "views").iterdir()}
    assert sorted(kept) == ["train_000.exr", "train_001.exr"]
    assert capture_again(tmp_path) == ["train_002", "held_out_000"]
    assert all((tmp_path / "views" / name).stat().st_mtime_ns == when for name, when in kept.items())
    assert len(Capture.load(tmp_path).views) == 4
    assert capture_again(tmp_path) == []  # nothing left to do


def test_damaged_or_outdated_views_are_rendered_again(standin: Any, tmp_path: Path) -> None:
    capture_avatar(tmp_path, TINY)
    path = tmp_path / "views/train_001.exr"
    path.write_bytes(path.read_bytes()[:300])
    (tmp_path / "previews/train_002.png").unlink()
    assert capture_again(tmp_path) == ["train_001", "train_002"]
    bpy.data.materials["A_hair"].node_tree.nodes["Principled BSDF"].inputs["Roughness"].default_value = 0.9
    assert len(capture_again(tmp_path)) == 4  # another material, other pictures


def test_views_of_an_earlier_larger_capture_are_swept(standin: Any, tmp_path: Path) -> None:
    capture_avatar(tmp_path, TINY)
    (tmp_path / "views/notes.exr").write_text("mine")
    fewer = CaptureSettings(rig=Dome(1, 1), render=TINY.render)
    capture_avatar(tmp_path, fewer)
    assert sorted(p.name for p in (tmp_path / "views").iterdir()) == ["held_out_000.exr", "notes.exr", "train_000.exr"]
    assert len(Capture.load(tmp_path).views) == len(list((tmp_path / "previews").iterdir())) == 2


def test_animated_and_driven_values_give_way_to_what_is_asked(standin: Any, tmp_path: Path) -> None:
    """An action or driver would set the value again while rendering; geometry and pictures must both have ours."""
    keys = bpy.data.objects["A"].data.shape_keys
    keys.key_blocks["smile"].keyframe_insert("value", frame=1)
    driver = keys.key_blocks["jaw_open"].driver_add("value").driver
    driver.expression = "0.7"
    action = keys.animation_data.action
    asked = CaptureSettings(rig=Dome(1, 0), render=TINY.render, pose=PoseSettings({"smile": 0.9, "jaw_open": 0.2}))
    manifest = capture_avatar(tmp_path, asked)
    assert manifest.poses[0].shape_keys == pytest.approx({"smile": 0.9, "jaw_open": 0.2})
    images, mesh = manifest.load_view(manifest.views[0]), manifest.load_mesh()
    uv, _ = manifest.views[0].camera.project(mesh.vertices)
    rows = np.flatnonzero(images.alpha.sum(axis=1) > 0.5)
    assert abs(uv[:, 1].max() - (rows[-1] + 1)) < 1.5 and abs(uv[:, 1].min() - rows[0]) < 1.5
    assert keys.animation_data.action == action and not keys.animation_data.drivers[0].mute


def test_a_moved_avatar_is_captured_the_same(standin: Any, tmp_path: Path) -> None:
    """Cameras go with the avatar, and the rest mesh stays in its own axes."""
    capture_avatar(tmp_path / "a", TINY)
    rig = bpy.data.objects["A_rig"]
    rig.location, rig.rotation_euler = (1.0, 2.0, 0.5), (0.0, 0.0, math.radians(90))
    bpy.context.view_layer.update()
    capture_avatar(tmp_path / "b", TINY)
    first, second = Capture.load(tmp_path / "a"), Capture.load(tmp_path / "b")
    a, b = first.load_mesh(), second.load_mesh()
    np.testing.assert_allclose(a.rest_vertices, b.rest_vertices, atol=1e-5)
    turned = a.vertices @ np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [1, 2, 0.5]
    np.testing.assert_allclose(turned, b.vertices, atol=1e-5)
    uv_a, uv_b = first.views[0].camera.project(a.vertices)[0], second.views[0].camera.project(b.vertices)[0]
    assert np.abs(uv_a - uv_b).max() < 1.0  # bounds of a turned box differ a little


def test_static_avatar_needs_no_armature(empty: Any, tmp_path: Path) -> None:
    from tests.blender_addon.standin import build_standin

    build_standin("S", rig=False)
    settings = CaptureSettings(rig=Dome(1, 0), render=RenderSettings(size=24, samples=1, denoise=False))
    manifest = capture_avatar(tmp_path, settings)
    assert manifest.poses[0].bones == []
    assert not Capture.load(tmp_path).load_mesh().bone_weight.any()


def test_true_swap_changes_only_the_skin(standin: Any, tmp_path: Path) -> None:
    manifest = capture_avatar(tmp_path / "capture", TINY)
    write_png(tmp_path / "green.png", np.full((8, 8, 3), [30, 200, 60], np.uint8))
    truth = true_swap(manifest, tmp_path / "green.png", tmp_path / "truth")
    assert [v.name for v in truth.views] == ["held_out_000"]
    view = truth.views[0]
    before, after = manifest.load_view(view), Capture.load(tmp_path / "truth").load_view(view)
    np.testing.assert_array_equal(before.alpha, after.alpha)
    np.testing.assert_array_equal(before.masks["face"], after.masks["face"])
    skin, hair = before.masks["skin"] > 0.99, before.masks["hair"] > 0.99
    np.testing.assert_allclose(before.albedo[hair], after.albedo[hair], atol=1e-3)
    green = truth.load_texture(truth.objects[0])[0, 0]
    share = after.albedo[skin].max(axis=-1, keepdims=True) / green.max()  # gloss takes some at grazing angles
    assert 0.95 < np.median(share) < 1.01
    np.testing.assert_allclose(after.albedo[skin], green * share, atol=2e-3)
    assert bpy.data.images.get("green.png") is None
    assert bpy.data.materials["A_skin"].node_tree.nodes["Image Texture"].image.name == "A_skin"


@pytest.mark.skipif(os.name == "nt", reason="needs /dev/full")
def test_full_disk_is_one_sentence(standin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        with open("/dev/full", "wb") as file:
            file.write(b"x")

    monkeypatch.setattr(finishing.capture, "write_view", full)
    with pytest.raises(InputError, match=r"train_000 cannot be written \(No space left"):
        capture_avatar(tmp_path, TINY)


def test_samples_count_although_data_persists(standin: Any, tmp_path: Path) -> None:
    """Cycles keeps its session between views; a later capture of another quality must not get the earlier one."""
    noise = []
    for samples in (1, 64):
        settings = CaptureSettings(
            rig=Dome(1, 0), render=RenderSettings(size=48, samples=samples, denoise=False)
        )
        manifest = capture_avatar(tmp_path / str(samples), settings)
        images = manifest.load_view(manifest.views[0])
        inner = images.alpha > 0.999
        levels = len(np.unique(np.round(images.alpha[(images.alpha > 0) & ~inner], 4)))
        noise.append(levels)
    assert noise[0] == 0 and noise[1] > 10  # one sample covers a pixel or does not


class TestBadInput:
    def check(self, sentence: str, tmp_path: Path, **settings: Any) -> None:
        with pytest.raises(InputError, match=sentence):
            capture_avatar(tmp_path / "out", CaptureSettings(**settings))

    def test_unknown_avatar(self, standin: Any, tmp_path: Path) -> None:
        self.check("no avatar called 'B'.*has A", tmp_path, avatar="B")

    def test_no_avatar(self, empty: Any, tmp_path: Path) -> None:
        self.check("holds no avatar", tmp_path)

    def test_no_uvs(self, standin: Any, tmp_path: Path) -> None:
        layers = bpy.data.objects["A"].data.uv_layers
        layers.remove(layers[0])
        self.check("'A' has no UV map.*Unwrap", tmp_path)

    def test_no_landmarks(self, standin: Any, tmp_path: Path) -> None:
        del bpy.data.objects["A"]["digidouble_landmarks"]
        self.check("'A' has no face landmarks", tmp_path)

    def test_wrong_landmarks(self, standin: Any, tmp_path: Path) -> None:
        bpy.data.objects["A"]["digidouble_landmarks"] = [1, 2, 3]
        self.check("not 68 vertices", tmp_path)
        bpy.data.objects["A"]["digidouble_landmarks"] = [10**6] * 68
        self.check("not 68 vertices", tmp_path)

    def test_renumbering_modifier(self, standin: Any, tmp_path: Path) -> None:
        bpy.data.objects["A"].modifiers.new("Fewer", "DECIMATE")
        self.check("'Fewer'.*renumber", tmp_path)

    def test_two_heads(self, standin: Any, tmp_path: Path) -> None:
        bpy.data.objects["A_hair"]["digidouble_part"] = "head"
        self.check("2 meshes marked as head", tmp_path)

    def test_excluded_collection(self, standin: Any, tmp_path: Path) -> None:
        bpy.context.view_layer.layer_collection.children["A"].exclude = True
        self.check("not in the view layer", tmp_path)

    def test_unknown_expression_and_bone(self, standin: Any, tmp_path: Path) -> None:
        self.check("no expression 'grin'.*jaw_open", tmp_path, pose=PoseSettings({"grin": 1.0}))
        self.check("no bone 'tail'", tmp_path, pose=PoseSettings(bones={"tail": (0, 0, 1)}))

    def test_missing_texture(self, standin: Any, tmp_path: Path) -> None:
        node = bpy.data.materials["A_skin"].node_tree.nodes["Image Texture"]
        node.image = bpy.data.images.new("gone", 4, 4)
        node.image.source, node.image.filepath = "FILE", "//not/there.png"
        self.check("image 'gone' is missing", tmp_path)

    def test_folder_is_a_file(self, standin: Any, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("in the way")
        self.check("cannot be written", tmp_path)

    def test_impossible_quality(self) -> None:
        with pytest.raises(InputError, match="pixels"):
            RenderSettings(size=3)
        with pytest.raises(InputError, match="samples"):
            RenderSettings(samples=0)


@pytest.mark.slow
def test_eevee_delivers_every_layer(eevee: None, standin: Any, tmp_path: Path) -> None:
    """Colours premultiplied, masks exact, depth at the pixels' centres, as from Cycles."""
    scene = bpy.context.scene
    before = whole_state()
    settings = CaptureSettings(rig=Dome(1, 0), render=RenderSettings(size=64, samples=2, engine="EEVEE"))
    manifest = capture_avatar(tmp_path / "e", settings)
    assert not difference(before, whole_state()) and scene.render.engine != "CYCLES"
    manifest = Capture.load(tmp_path / "e")
    assert manifest.renderer["engine"] == "EEVEE" and manifest.renderer["denoise"] is False
    render = RenderSettings(size=64, samples=16, denoise=False)
    cycles = capture_avatar(tmp_path / "c", attrs.evolve(settings, render=render))
    view = manifest.views[0]
    ours, theirs = manifest.load_view(view), cycles.load_view(cycles.views[0])
    whole = (ours.alpha > 0.999) & (theirs.alpha > 0.999)
    assert whole.sum() > 1000 and np.abs(ours.alpha - theirs.alpha).mean() < 0.02
    both = (ours.depth > 0) & (theirs.depth > 0)
    off = np.abs(ours.depth - theirs.depth)[both] / theirs.depth[both]
    share = 0.95 if bpy.app.version >= (4, 3, 0) else 0.93  # at outlines another surface may be seen, in 4.2 more often
    assert np.median(off) < 5e-5 and np.quantile(off, share) < 1e-3
    assert both.sum() > 0.98 * (theirs.depth > 0).sum()
    assert np.quantile(np.abs(ours.uv - theirs.uv)[both], share) < 1e-3
    assert np.median(np.abs(ours.albedo - theirs.albedo)[whole]) < 0.06
    gloss = (ours.rgb - ours.albedo * ours.light)[whole]
    assert np.abs(np.median(gloss)) < 0.1 and ours.light[whole].mean() > 0.05
    for name, mask in theirs.masks.items():
        assert np.abs(ours.masks[name] - mask).mean() < 0.02, name
    edge = (ours.alpha > 0.1) & (ours.alpha < 0.9)
    assert (ours.light[edge] <= ours.alpha[edge, None] * 4).all() and not ours.rgb[ours.alpha == 0].any()
