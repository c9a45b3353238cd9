# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operator on doubles as a script calls it, what it says when it cannot, and the panel in every state."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from blender_addon.display import follow
from blender_addon.display.backend_view import IMAGE, BackendView
from blender_addon.display.pointcloud import ANTIALIASED, is_double, read_back
from blender_addon.jobs.local_backend import Installation
from blender_addon.operators.import_splats import DIGIDOUBLE_FH_splats
from blender_addon.panels import double as panel
from interchange.capture import Capture
from interchange.png import write_png
from interchange.splats import read_splats, write_splats
from tests.blender_addon.doubles import born_on, some_splats

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def registered(empty: Any) -> Iterator[Any]:
    """The extension turned on in an empty file; gives the operators."""
    blender_addon.register()
    yield bpy.ops.digidouble
    blender_addon.unregister()


@pytest.fixture
def double(registered: Any, tmp_path: Path) -> Any:
    """An imported cloud, active."""
    write_splats(tmp_path / "Ünï code.ply", some_splats(300, 1))
    registered.import_splats(filepath=str(tmp_path / "Ünï code.ply"))
    return bpy.context.object


def _refusal(call: Any, *args: Any, **values: Any) -> str:
    with pytest.raises(RuntimeError) as caught:
        call(*args, **values)
    return str(caught.value)


def test_import_selects_and_names(double: Any) -> None:
    assert is_double(double) and double.name == "Ünï code" and double.select_get()
    assert double.digidouble.mode == "POINTS" and len(double.data.points) == 300


def test_several_files_are_dropped_at_once(registered: Any, tmp_path: Path) -> None:
    for name in ("a.ply", "b.spz"):
        write_splats(tmp_path / name, some_splats(20, 0))
    files = [{"name": "a.ply"}, {"name": "b.spz"}]
    assert registered.import_splats(directory=str(tmp_path), files=files, mode="SPLATS") == {"FINISHED"}
    doubles = [o for o in bpy.data.objects if is_double(o)]
    assert [o.name for o in doubles] == ["a", "b"] and all(o.modifiers["Splats"].show_render for o in doubles)
    assert DIGIDOUBLE_FH_splats.bl_import_operator == "digidouble.import_splats"
    assert not DIGIDOUBLE_FH_splats.poll_drop(SimpleNamespace(area=None))


def test_files_that_are_none_are_told_apart(registered: Any, tmp_path: Path) -> None:
    good = tmp_path / "good.ply"
    write_splats(good, some_splats(50, 0))
    places = "".join(f"property float {axis}\n" for axis in "xyz")
    mesh = f"ply\nformat binary_little_endian 1.0\nelement vertex 1\n{places}"
    faces = b"element face 0\nproperty list uchar int vertex_indices\nend_header\n"
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    for name, content, says in (
        ("mesh.ply", mesh.encode() + faces + bytes(12), "is a mesh"),
        ("points.ply", mesh.encode() + b"end_header\n" + bytes(12), "not a splat cloud: it lacks"),
        ("pointer.ply", pointer.encode(), "Git LFS pointer"),
        ("cut.ply", good.read_bytes()[:-100], "ends after"),
        ("empty.ply", b"", "is empty"),
        ("none.spz", b"nonsense", "not an SPZ file"),
        ("huge.ply", good.read_bytes().replace(b"vertex 50", b"vertex 99999999999"), "ends after"),
        ("picture.jpg", b"\xff\xd8\xff", "no splat file"),
    ):  # fmt: skip
        (tmp_path / name).write_bytes(content)
        assert says in _refusal(registered.import_splats, filepath=str(tmp_path / name)), name
        assert says in bpy.context.window_manager.digidouble.problem
    assert "missing" in _refusal(registered.import_splats, filepath=str(tmp_path / "nowhere.ply"))
    assert "No file was chosen" in _refusal(registered.import_splats)
    assert not [o for o in bpy.data.objects if is_double(o)]


def test_buttons_say_why_they_are_grey(registered: Any) -> None:
    for name in ("double_crop_box", "double_keep_shown", "double_select", "double_recolour", "double_duplicate",
                 "double_delete", "double_apply_transform", "double_export", "double_backend_view", "double_bind"):
        operator = getattr(registered, name)
        assert not operator.poll()
        with pytest.raises(RuntimeError, match="Select a double"):
            operator()


def test_crop_and_thresholds_then_delete_for_good(double: Any, registered: Any) -> None:
    assert "No splat is hidden" in _refusal(registered.double_keep_shown)
    assert registered.double_crop_box() == {"FINISHED"}
    box = double.digidouble.crop_box
    assert bpy.context.object == double and box.select_get()
    box.scale *= 0.5
    double.digidouble.least_opacity = 0.3
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    shown = len(double.evaluated_get(depsgraph).data.points)
    assert 0 < shown < 300
    registered.double_keep_shown()
    assert len(double.data.points) == shown and not double.digidouble.use_crop
    assert read_back(double).opacities.min() >= 0.3


def test_select_recolour_duplicate_delete(double: Any, registered: Any) -> None:
    assert "No splat is selected" in _refusal(registered.double_delete)
    registered.double_select(by="FAINT", limit=0.4)
    faint = sum(v.value for v in double.data.attributes["selected"].data)
    assert faint == (read_back(double).opacities < 0.4).sum()
    registered.double_select(by="LARGE", limit=0.05, how="ADD")
    registered.double_recolour(exposure=1.0)
    registered.double_select(by="INVERT")
    count = sum(v.value for v in double.data.attributes["selected"].data)
    registered.double_duplicate()
    copy = bpy.context.object
    assert copy != double and len(copy.data.points) == count
    bpy.context.view_layer.objects.active = double
    registered.double_delete()
    assert len(double.data.points) == 300 - count
    assert "no box to select" in _refusal(registered.double_select, by="BOX")
    assert "does not know which part" in _refusal(registered.double_select, by="REGION", region="HAIR")
    registered.double_apply_transform()


def test_export_writes_the_edits(double: Any, registered: Any, tmp_path: Path) -> None:
    double.digidouble.least_opacity = 0.5
    for suffix in (".ply", ".spz", ".splat", ".glb", ".compressed.ply"):
        path = tmp_path / f"out{suffix}"
        assert registered.double_export(filepath=str(path)) == {"FINISHED"}
        assert read_splats(path).opacities.min() > 0.49
    registered.double_export(filepath=str(tmp_path / "all.ply"), only_shown=False)
    assert len(read_splats(tmp_path / "all.ply")) == 300
    double.location.x = 2.0
    bpy.context.view_layer.update()
    registered.double_export(filepath=str(tmp_path / "posed.ply"), only_shown=False, posed=True)
    moved = read_splats(tmp_path / "posed.ply").means - read_splats(tmp_path / "all.ply").means
    np.testing.assert_allclose(moved, np.broadcast_to([2, 0, 0], moved.shape), atol=1e-5)
    assert "not the name of a splat file" in _refusal(registered.double_export, filepath=str(tmp_path / "a.obj"))
    assert "no such file or folder" in _refusal(registered.double_export, filepath=str(tmp_path / "no/where.ply"))
    assert "No file was named" in _refusal(registered.double_export)
    double.digidouble.least_opacity = 1.0
    assert "No splat is shown" in _refusal(registered.double_export, filepath=str(tmp_path / "a.ply"))


def test_show_double_takes_the_avatar_s_place(captured: Capture, tmp_path: Path) -> None:
    """Bound to the avatar in the file, by the capture beside the double's folder."""
    from tests.blender_addon.standin import build_standin

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    try:
        build_standin("A")
        os.symlink(captured.folder, tmp_path / "capture")
        born_on(captured, tmp_path / "double")
        assert bpy.ops.digidouble.show_double(filepath=str(tmp_path / "double")) == {"FINISHED"}
        item = bpy.context.object
        assert follow.is_bound(item) and item.digidouble.capture and item.digidouble.follow
        assert bpy.data.objects["A_eyes"].hide_render and not bpy.data.objects["A_rig"].hide_get()
        item.digidouble.show_avatar = True
        assert not bpy.data.objects["A_eyes"].hide_render
        item.digidouble.follow = False
        assert not any(m.show_viewport for m in item.modifiers)
        bpy.ops.digidouble.double_select(by="REGION", region="HAIR")
        assert sum(v.value for v in item.data.attributes["selected"].data) > 10
        item.digidouble.mode = "SPLATS"
        assert bpy.ops.digidouble.double_bind() == {"FINISHED"}
        assert item.modifiers[-1].name == "Splats" and item.digidouble.follow
        bpy.ops.digidouble.double_duplicate()
        assert follow.is_bound(bpy.context.object)
        bpy.context.view_layer.objects.active = item
        bpy.ops.digidouble.double_apply_transform()
        assert not follow.is_bound(item)
        assert bpy.ops.digidouble.show_double(filepath=str(tmp_path)) == {"FINISHED"}  # a folder of results
        assert follow.is_bound(bpy.context.object)
        splats = str(tmp_path / "double/splats.ply")
        assert bpy.ops.digidouble.show_double(filepath=splats, mode="SPLATS") == {"FINISHED"}
        assert "missing" in _refusal(bpy.ops.digidouble.show_double, filepath=str(tmp_path / "nothing"))
    finally:
        blender_addon.unregister()


def test_backend_view_needs_camera_and_backend(double: Any, registered: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIGIDOUBLE_HOME", "/nowhere")
    assert "no camera" in _refusal(registered.double_backend_view)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    assert "no complete installation" in _refusal(registered.double_backend_view)
    camera.data.type = "ORTHO"
    monkeypatch.undo()
    if Installation(ROOT).is_complete:
        assert "perspective" in _refusal(registered.double_backend_view)


def _fake_backend(home: Path, script: str) -> None:
    """A backend whose interpreter is a shell script; `$OUT` is the folder for the pictures."""
    python = Installation(home).python
    python.parent.mkdir(parents=True)
    (home / "backend/service").mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nwhile [ "$1" != "--out" ]; do shift; done; OUT="$2"\n{script}\n')
    python.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="the stand-in is a shell script")
def test_backend_view_is_polled_fails_in_words_and_is_killed(
    double: Any, registered: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    bpy.context.scene.collection.objects.link(camera)
    bpy.context.scene.camera = camera
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(tmp_path / "failing"))
    _fake_backend(tmp_path / "failing", 'echo "Traceback" >&2; echo "The splats are blue." >&2; exit 2')
    assert "could not render: The splats are blue." in _refusal(registered.double_backend_view)
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(tmp_path / "slow"))
    _fake_backend(tmp_path / "slow", "exec sleep 60")
    view = BackendView(double, bpy.context, waits=False)
    start = time.monotonic()
    assert view.step() and view.step() and view.fraction == 0.5 and "rendering" in view.message
    view.close()
    view.close()
    assert time.monotonic() - start < 5 and not view._folder.exists()
    monkeypatch.setenv("DIGIDOUBLE_HOME", str(tmp_path / "good"))
    write_png(tmp_path / "picture.png", np.full((4, 6, 4), 128, np.uint8))
    _fake_backend(tmp_path / "good", f'mkdir -p "$OUT" && cp "{tmp_path}/picture.png" "$OUT/view.png"')
    for _ in range(2):  # the second picture takes the place of the first
        assert registered.double_backend_view() == {"FINISHED"}
    assert [tuple(i.size) for i in bpy.data.images if i.name.startswith(IMAGE)] == [(6, 4)]


@pytest.mark.slow
@pytest.mark.skipif(not Installation(ROOT).is_complete, reason="the backend is not installed here")
def test_backend_view_is_what_cycles_draws(double: Any, registered: Any) -> None:
    """The picture of the rasterizer lies where the cards lie, in the same colours."""
    from blender_addon.capture.passes import CyclesTap
    from interchange.colour import srgb_from_linear

    scene = bpy.context.scene
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    camera.location, camera.rotation_euler = (1.0, -9.0, 0.7), (1.5, 0.0, 0.1)
    camera.data.shift_x, scene.camera = 0.05, camera
    scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = 160, 96, 50
    double[ANTIALIASED] = False
    assert registered.double_backend_view(behind_camera=True) == {"FINISHED"}
    image = bpy.data.images[IMAGE]
    assert tuple(image.size) == (80, 48) and image.packed_file and camera.data.show_background_images
    picture = np.array(image.pixels[:]).reshape(48, 80, 4)[::-1]
    double.digidouble.mode = "SPLATS"
    scene.render.engine, scene.render.film_transparent = "CYCLES", True
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.pixel_filter_type = 4, False, "BOX"
    with CyclesTap() as tap:
        ours = tap.render(scene)["Combined"]
    alpha = ours[..., 3:]
    over = srgb_from_linear(np.clip(ours[..., :3] / np.maximum(alpha, 1e-6), 0, 1)) * alpha
    error = over - picture[..., :3] * picture[..., 3:]
    assert alpha.max() > 0.5 and -10 * np.log10((error**2).mean()) > 24


class _Layout:
    """Records what a panel draws; refuses properties and operators that do not exist."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def _again(self, *_: Any, **__: Any) -> _Layout:
        return _Layout(self.texts)

    row = column = box = split = _again

    def separator(self, *_: Any, **__: Any) -> None: ...

    def label(self, text: str = "", icon: str = "NONE") -> None:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        self.texts.append(text)

    def prop(self, owner: Any, name: str, text: str = "", **_: Any) -> None:
        assert name in owner.bl_rna.properties, name
        self.texts.append(name)

    def operator(self, name: str, text: str = "", icon: str = "NONE") -> Any:
        assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
        assert getattr(bpy.ops.digidouble, name.split(".")[1]).get_rna_type()
        self.texts.append(name)
        return SimpleNamespace()


def _drawn() -> list[str]:
    """What both panels show now."""
    texts: list[str] = []
    areas = [a for screen in bpy.data.screens for a in screen.areas if a.type == "VIEW_3D"]
    context = SimpleNamespace(
        object=bpy.context.object, scene=bpy.context.scene, region=SimpleNamespace(width=300),
        space_data=areas[0].spaces.active if areas else None,
    )  # fmt: skip
    for kind in (panel.DIGIDOUBLE_PT_double, panel.DIGIDOUBLE_PT_double_edit):
        if not hasattr(kind, "poll") or kind.poll(context):
            own = {name: getattr(kind, name) for name in ("_splats", "_following", "_shading") if hasattr(kind, name)}
            this = SimpleNamespace(layout=_Layout(texts))
            for name, function in own.items():
                setattr(this, name, function.__get__(this))
            kind.draw(this, context)
    return texts


def test_panel_without_and_with_a_double(registered: Any, tmp_path: Path) -> None:
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.shading.type = "SOLID"
    assert "digidouble.show_double" in _drawn() and "digidouble.double_export" not in _drawn()
    write_splats(tmp_path / "a.ply", some_splats(1200, 0))
    registered.import_splats(filepath=str(tmp_path / "a.ply"))
    texts = _drawn()
    assert "a: 1,200 splats" in texts and "digidouble.double_bind" in texts and "density" not in texts
    bpy.context.object.digidouble.mode = "SPLATS"
    bpy.context.scene.view_settings.view_transform = "AgX"
    texts = _drawn()
    assert "density" in texts and "view_transform" in texts and any("no camera" in t for t in texts)
    registered.double_crop_box()
    registered.double_select(by="FAINT", limit=0.5)
    assert not bpy.data.screens or any("grey" in text for text in _drawn())
    assert "crop_box" in _drawn() and "Edits change the selected splats" in _drawn()
