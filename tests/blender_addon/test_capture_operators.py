# SPDX-License-Identifier: GPL-3.0-or-later
"""The panels and operators of cameras and capture, as an artist and a script meet them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon.capture import finishing
from blender_addon.capture.capture import texture_paths
from blender_addon.capture.presets import PRESETS
from blender_addon.folders import safe_name
from blender_addon.panels import cameras as cameras_panel
from blender_addon.panels import capture as capture_panel
from interchange.cameras import world_to_camera_from_blender
from interchange.capture import Capture
from tests.blender_addon.scene_state import difference, snapshot
from tests.blender_addon.standin import build_standin


@pytest.fixture
def addon(standin: Any) -> Iterator[Any]:
    """The add-on registered, a small rig and quick renders asked for; the scene's settings."""
    blender_addon.register()
    chosen = bpy.context.scene.digidouble
    chosen.cameras.train, chosen.cameras.held_out = 2, 1
    chosen.cameras.width, chosen.cameras.height = 48, 32
    chosen.capture.samples, chosen.capture.denoise = 1, False
    yield chosen
    blender_addon.unregister()


class Recorder:
    """A layout that takes everything and remembers the properties, operators and labels it was given."""

    def __init__(self, seen: list[str]) -> None:
        self.__dict__["seen"] = seen

    def __setattr__(self, name: str, value: Any) -> None:
        pass

    def prop(self, owner: Any, name: str, **_: Any) -> None:
        assert name in owner.bl_rna.properties, name
        self.seen.append(name)

    def label(self, text: str = "", **_: Any) -> None:
        self.seen.append(text)

    def operator(self, name: str, **_: Any) -> Any:
        getattr(getattr(bpy.ops, name.split(".")[0]), name.split(".")[1]).get_rna_type()
        self.seen.append(name)
        return Recorder(self.seen)

    def operator_menu_enum(self, name: str, prop: str, **_: Any) -> None:
        assert prop in getattr(bpy.ops.digidouble, name.split(".")[1]).get_rna_type().properties
        self.seen.append(name)

    def row(self, **_: Any) -> Recorder:
        return self

    box = column = row


def drawn(panel: Any) -> list[str]:
    seen: list[str] = []

    class Context:
        scene, window_manager, region = bpy.context.scene, bpy.context.window_manager, type("R", (), {"width": 300})
        view_layer, mode, preferences = bpy.context.view_layer, bpy.context.mode, bpy.context.preferences

    panel.draw(type("P", (), {"layout": Recorder(seen)}), Context)
    return seen


def test_panels_draw_whatever_is_set_up(addon: Any) -> None:
    for rig in ("DOME", "SPHERE", "RINGS", "STAGE", "SCENE"):
        addon.cameras.rig = rig
        seen = drawn(cameras_panel.DIGIDOUBLE_PT_cameras)
        text = " ".join(seen)
        assert "held_out" in seen and ("megapixels" in text) == (rig != "SCENE")
    assert "no cameras to take" in text.replace("  ", " ")  # none is selected: the panel says so
    for poses in ("CURRENT", "FRAMES", "ACTIONS", "EXPRESSIONS"):
        addon.capture.poses = poses
        addon.capture.actions.add()
        assert "digidouble.capture" in drawn(capture_panel.DIGIDOUBLE_PT_capture)
    assert "digidouble.portrait" in drawn(capture_panel.DIGIDOUBLE_PT_capture_more)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.unregister()
    blender_addon.register()
    for panel in (cameras_panel.DIGIDOUBLE_PT_cameras, capture_panel.DIGIDOUBLE_PT_capture):
        drawn(panel)  # an empty file
    assert not bpy.ops.digidouble.capture.poll()


def test_figures_are_the_cameras_own(addon: Any) -> None:
    addon.cameras.train, addon.cameras.held_out, addon.cameras.lens_mm = 48, 8, 72.0
    addon.cameras.width, addon.cameras.height = 512, 256
    seen = drawn(cameras_panel.DIGIDOUBLE_PT_cameras)
    assert "48 views + 8 held out" in seen and "Lens 1024.0 px, centre 256, 128" in seen
    assert "512 x 256, 7.3 megapixels in all" in seen


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_make_rigs_that_stand(addon: Any, preset: str) -> None:
    assert bpy.ops.digidouble.cameras_preset(preset=preset) == {"FINISHED"}
    assert bpy.ops.digidouble.cameras_make() == {"FINISHED"}
    made = [item for item in bpy.data.objects if item.type == "CAMERA"]
    assert len(made) == {"QUICK": 28, "STANDARD": 56, "FINE": 108, "TURNTABLE": 36, "STAGE": 65}[preset]


def test_cameras_are_made_and_removed(addon: Any, tmp_path: Path) -> None:
    before = snapshot()
    mine = bpy.data.objects.new("mine", bpy.data.cameras.new("mine"))
    bpy.context.scene.collection.objects.link(mine)
    between = snapshot()
    assert bpy.ops.digidouble.cameras_make(set_resolution=False) == {"FINISHED"}
    assert bpy.ops.digidouble.cameras_make() == {"FINISHED"}  # again: in place of the first ones
    made = [item for item in bpy.data.objects if "digidouble_rig" in item]
    assert sorted(item["digidouble_rig"] for item in made) == ["held_out", "train", "train"]
    bpy.ops.digidouble.capture(folder=str(tmp_path))
    for view in Capture.load(tmp_path).views:
        matrix = np.array(bpy.data.objects[view.name].matrix_world)
        np.testing.assert_allclose(world_to_camera_from_blender(matrix), view.camera.world_to_camera, atol=1e-6)
    addon.capture.pace = 0.0
    assert bpy.ops.digidouble.cameras_remove() == {"FINISHED"}
    assert not difference(between, snapshot()) and not bpy.ops.digidouble.cameras_remove.poll()
    bpy.data.cameras.remove(mine.data)
    assert not difference(before, snapshot())


def test_own_cameras_are_captured_and_sampled(addon: Any, tmp_path: Path) -> None:
    collection = bpy.data.collections.new("Bühne links")
    bpy.context.scene.collection.children.link(collection)
    for number in range(2):
        item = bpy.data.objects.new(f"Kamera {number}", bpy.data.cameras.new("k"))
        collection.objects.link(item)
        item.rotation_euler = (math.pi / 2, 0.0, 0.0)
        item.data.shift_x, item.data.lens = 0.1 * number, 60.0
        for frame, distance in ((1, -0.8), (5, -1.2)):
            item.location = (0.02 * number, distance, 0.12)
            item.keyframe_insert("location", frame=frame)
    addon.cameras.rig, addon.cameras.collection = "SCENE", collection
    addon.cameras.use_path, addon.cameras.path_start, addon.cameras.path_end = True, 1, 5
    addon.cameras.path_step, addon.cameras.held_out = 2, 1
    before = snapshot()
    assert bpy.ops.digidouble.capture(folder=str(tmp_path)) == {"FINISHED"}
    addon.capture.pace = 0.0
    assert not difference(before, snapshot())
    captured = Capture.load(tmp_path)
    assert [v.split for v in captured.views] == ["train"] * 5 + ["held_out"]
    depths = sorted({round(-float(v.camera.position[1]), 3) for v in captured.views})
    assert depths == [0.8, 1.0, 1.2]
    assert {round(float(v.camera.K[0, 2]), 2) for v in captured.views} == {24.0, 19.2}
    for view in captured.views:
        uv, _ = view.camera.project(captured.load_mesh().vertices)
        columns = np.flatnonzero(captured.load_view(view, ()).alpha.sum(axis=0) > 0.5)
        assert abs(uv[:, 0].min() - columns[0]) < 1.6 and abs(uv[:, 0].max() - columns[-1] - 1) < 1.6


def test_capture_by_button_goes_on_and_is_told(addon: Any, tmp_path: Path) -> None:
    before = snapshot()
    addon.capture.folder = str(tmp_path / "größe 1")
    assert bpy.ops.digidouble.capture() == {"FINISHED"}
    captured = Capture.load(tmp_path / "größe 1")
    assert captured.renderer["size"] == 48 and captured.renderer["height"] == 32
    assert captured.views[0].camera.width == 48 and captured.load_view(captured.views[0]).alpha.shape == (32, 48)
    assert addon.capture.pace > 0
    addon.capture.folder, addon.capture.pace = "", 0.0
    assert not difference(before, snapshot())


def test_passes_are_chosen(addon: Any, tmp_path: Path) -> None:
    addon.capture.layers = {"depth"}
    bpy.ops.digidouble.capture(folder=str(tmp_path))
    captured = Capture.load(tmp_path)
    images = captured.load_view(captured.views[0])
    assert images.depth is not None and images.masks and images.albedo is images.uv is images.normal is None


def test_what_is_wrong_is_one_sentence(addon: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RuntimeError, match="cannot be written"):
        bpy.ops.digidouble.capture(folder=str(tmp_path / "file"))
    assert "cannot be written" in bpy.context.window_manager.digidouble.problem
    addon.capture.poses = "ACTIONS"
    with pytest.raises(RuntimeError, match="No action is chosen"):
        bpy.ops.digidouble.capture(folder=str(tmp_path / "a"))
    addon.capture.poses, addon.cameras.rig = "CURRENT", "SCENE"
    with pytest.raises(RuntimeError, match="no cameras to take"):
        bpy.ops.digidouble.capture(folder=str(tmp_path / "a"))
    assert not (tmp_path / "a").exists()


def test_a_full_disk_leaves_the_file_as_it_was(addon: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = snapshot()
    monkeypatch.setattr(finishing.capture, "write_view", full)
    with pytest.raises(RuntimeError, match="No space left"):
        bpy.ops.digidouble.capture(folder=str(tmp_path))
    bpy.context.window_manager.digidouble.problem = ""
    assert not difference(before, snapshot())


def test_batch_captures_what_it_can(addon: Any, tmp_path: Path) -> None:
    build_standin("Zoë 2")
    broken = build_standin("broken")
    del bpy.data.objects["broken"]["digidouble_landmarks"]
    before = snapshot()
    assert bpy.ops.digidouble.capture_all(folder=str(tmp_path)) == {"FINISHED"}
    addon.capture.pace = 0.0
    assert not difference(before, snapshot())
    folders = [tmp_path / "A", tmp_path / safe_name("Zoë 2")]
    assert sorted(p.parent for p in tmp_path.rglob("capture.json")) == sorted(folders)
    assert Capture.load(folders[1]).name == "Zoë 2" and broken is not None


def test_names_of_any_script_make_files_of_their_own() -> None:
    names = ("Müller", "Möller", "Zoe\u0308 2", "主角 1/2", "../../etc", "👩", "")
    assert [safe_name(name) for name in names] == [
        "Müller", "Möller", "Zoë_2", "主角_1_2", "etc", "unnamed", "unnamed"
    ]  # fmt: skip
    assert texture_paths(["Öhr.L", "öhr_l", "Öhr L", "Ähr.L"]) == [
        "textures/Öhr_L.png", "textures/öhr_l_2.png", "textures/Öhr_L_3.png", "textures/Ähr_L.png"
    ]  # fmt: skip


def test_portrait_by_button(addon: Any, tmp_path: Path) -> None:
    before = snapshot()
    assert bpy.ops.digidouble.portrait(folder=str(tmp_path / "p"), size=48, samples=2) == {"FINISHED"}
    assert not difference(before, snapshot())
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["consent.json", "landmarks.json", "portrait.png"]


def test_exports_with_and_without_a_capture(addon: Any, tmp_path: Path) -> None:
    before = snapshot()
    assert bpy.ops.digidouble.export_transforms(filepath=str(tmp_path / "t.json")) == {"FINISHED"}
    assert bpy.ops.digidouble.export_colmap(filepath=str(tmp_path / "model")) == {"FINISHED"}
    assert not difference(before, snapshot())
    rig = json.loads((tmp_path / "t.json").read_text())
    assert [f["file_path"] for f in rig["frames"]] == [
        "images/train_000.png", "images/train_001.png", "images/held_out_000.png"
    ]  # fmt: skip
    assert rig["test_filenames"] == ["images/held_out_000.png"]
    images = [line.split() for line in (tmp_path / "model/images.txt").read_text().splitlines()[1::2]]
    assert [words[-1] for words in images] == ["train_000.png", "train_001.png", "held_out_000.png"]
    assert len((tmp_path / "model/points3D.txt").read_text().splitlines()) > 500

    addon.capture.folder = str(tmp_path / "capture")
    with pytest.raises(RuntimeError, match="no finished capture"):
        bpy.ops.digidouble.export_transforms(filepath=str(tmp_path / "c.json"), source="CAPTURE")
    bpy.ops.digidouble.capture()
    bpy.ops.digidouble.export_transforms(filepath=str(tmp_path / "c.json"), source="CAPTURE")
    own = json.loads((tmp_path / "c.json").read_text())
    assert all((tmp_path / frame["file_path"]).is_file() for frame in own["frames"])
    for a, b in zip(rig["frames"], own["frames"], strict=True):
        np.testing.assert_allclose(a["transform_matrix"], b["transform_matrix"], atol=1e-9)
        assert a["fl_x"] == b["fl_x"]


def test_preview_lines_follow_the_rig(addon: Any) -> None:
    from blender_addon.capture.preview import Preview

    preview = Preview()
    first = preview.lines(bpy.context)
    assert {split: len(lines) for split, lines in first.items()} == {"train": 32, "held_out": 16}
    assert preview.lines(bpy.context) is first  # nothing changed, nothing is worked out again
    addon.cameras.train = 5
    assert len(preview.lines(bpy.context)["train"]) == 80
    addon.cameras.framing, addon.cameras.distance = "FIXED", 0.001
    assert preview.lines(bpy.context) == {}  # impossible: the panel tells why


def test_action_list(addon: Any) -> None:
    action = bpy.data.actions.new("Gruß")
    bpy.ops.digidouble.capture_action_add(action="Gruß")
    bpy.ops.digidouble.capture_action_add()
    assert addon.capture.chosen_actions() == [action] and len(addon.capture.actions) == 2
    with pytest.raises(RuntimeError, match="no action"):
        bpy.ops.digidouble.capture_action_add(action="x")
    bpy.ops.digidouble.capture_action_remove(index=0)
    assert addon.capture.chosen_actions() == []
