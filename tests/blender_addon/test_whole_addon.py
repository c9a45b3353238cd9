# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole add-on from register to unregister, by its operators alone, as a script or an artist uses it.

Each operator is called here, or is listed below with the reason why not and the file that tests it; each panel is drawn
in each state. An operator that is new and in neither list fails the test.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import bpy
import numpy as np
import pytest

import blender_addon
from avatars import AvatarSpec, build
from blender_addon import folders
from blender_addon import performer as performers
from blender_addon.avatar_setup import landmarks, regions, vertex_marks
from blender_addon.capture.passes import CyclesTap
from blender_addon.capture.place import capture_folder, is_complete
from blender_addon.display import follow
from blender_addon.display.pointcloud import is_double, read_back
from blender_addon.jobs import inbox
from interchange.capture import Capture
from interchange.splats import read_splats, write_splats
from tests.blender_addon.doubles import born_on, some_splats
from tests.blender_addon.layout import Layout, drawn
from tests.blender_addon.performers import face, photo
from tests.blender_addon.standin import build_standin

TESTS = Path(__file__).resolve().parent
WINDOW = "is for clicking in a window"
SERVICE = "needs a backend that runs"
ELSEWHERE = {
    "landmarks_place": (WINDOW, "test_landmarks_place.py"),
    "performer_landmarks_place": (WINDOW, "test_performer_operators.py"),
    "performer_landmarks_find": ("needs a backend and a network", "test_performer_finding.py"),
    "double_backend_view": ("needs the backend's rasterizer", "test_display_operators.py"),
    "backend_add": ("needs another computer to pair with", "test_jobs_pairing.py"),
    "backend_remove": ("needs a backend that was paired", "test_jobs_panels.py"),
    "backend_start": (SERVICE, "test_jobs_backend.py"),
    "backend_stop": (SERVICE, "test_jobs_backend.py"),
    "backend_test": (SERVICE, "test_jobs_connection.py"),
    "job_submit": (SERVICE, "test_jobs_backend.py"),
    "job_cancel": (SERVICE, "test_jobs_backend.py"),
    "job_retry": (SERVICE, "test_jobs_backend.py"),
    "job_remove": (SERVICE, "test_jobs_backend.py"),
    "job_import": (SERVICE, "test_jobs_backend.py"),
    "job_mesh_double": (SERVICE, "test_jobs_backend.py"),
    "job_copy_sentence": (SERVICE, "test_jobs_panels.py"),
    "job_open_folder": ("opens a window of the desktop", "test_jobs_panels.py"),
}
"""Operators that are not called here: why, and which test calls them."""


@attrs.define
class Walk:
    """Calls operators, and remembers which. folder: for what they write."""

    folder: Path
    called: set[str] = attrs.field(factory=set)
    seen: dict[str, dict[str, Layout]] = attrs.field(factory=dict)

    def press(self, name: str, /, **values: Any) -> None:
        """An operator of ours; it must finish."""
        assert getattr(bpy.ops.digidouble, name)(**values) == {"FINISHED"}, name
        self.called.add(name)

    def look(self, state: str) -> dict[str, Layout]:
        """Draw all panels and menus now."""
        names = [n for n in dir(bpy.types) if n.startswith(("DIGIDOUBLE_PT_", "DIGIDOUBLE_MT_"))]
        self.seen[state] = {name: drawn(name, width) for name in names for width in (160, 300)}
        return self.seen[state]


def ours() -> set[str]:
    """What the add-on has put into Blender."""
    types = {name for name in dir(bpy.types) if name.upper().startswith("DIGIDOUBLE")}
    places = (bpy.types.Scene, bpy.types.WindowManager, bpy.types.Object)
    handlers = {
        f"{name}: {handler.__module__}" for name in dir(bpy.app.handlers)
        if isinstance(handlers := getattr(bpy.app.handlers, name), list) for handler in handlers
        if handler.__module__.startswith("blender_addon")
    }  # fmt: skip
    return types | handlers | {place.__name__ for place in places if hasattr(place, "digidouble")}


@pytest.mark.slow
def test_everything_from_register_to_unregister(empty: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (inbox, folders):
        monkeypatch.setattr(module, "user_folder", lambda: tmp_path / "user")
    walk, before = Walk(tmp_path), ours()
    blender_addon.register()
    try:
        operators = set(dir(bpy.ops.digidouble))
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "Größe 1.blend"))
        texts = walk.look("empty")
        assert "Select the meshes of your character" in texts["DIGIDOUBLE_PT_avatar"].texts()
        session_buttons(walk)
        name = choose_and_mend_the_avatar(walk)
        mark_the_face(walk)
        texts = walk.look("avatar")
        assert "Landmarks 68 / 68" in texts["DIGIDOUBLE_PT_avatar"].texts()
        set_up_cameras(walk)
        captured = capture_and_export(walk)
        make_performers(walk, name)
        texts = walk.look("captured")
        assert "Capture Again" in texts["DIGIDOUBLE_PT_capture"].texts()
        assert "is ready" in texts["DIGIDOUBLE_PT_performer"].texts()
        show_the_double(walk, captured)
        edit_and_export_splats(walk)
    finally:
        blender_addon.unregister()
    assert ours() == before
    assert walk.called | ELSEWHERE.keys() == operators, "call a new operator here, or say why not"
    assert not walk.called & ELSEWHERE.keys()
    for panels in walk.seen.values():
        assert panels.keys() == walk.seen["empty"].keys()
    for panel in walk.seen["empty"]:
        assert any(panels[panel].texts() for panels in walk.seen.values()), f"{panel} never shows anything"


def test_what_is_not_called_here_is_tested_elsewhere() -> None:
    for name, (_, file) in ELSEWHERE.items():
        assert name in (TESTS / file).read_text(), f"{file} does not call {name}"


def session_buttons(walk: Walk) -> None:
    """Of the first panel: only while something is at work, or has failed."""
    session = bpy.context.window_manager.digidouble
    assert not bpy.ops.digidouble.stop.poll() and not bpy.ops.digidouble.copy_error_report.poll()
    session.activity.begin("Capture")
    session.activity.show(0.5, "view 3 of 6")
    assert "Capture: view 3 of 6" in drawn("DIGIDOUBLE_PT_status").texts()
    walk.press("stop")
    assert session.activity.stop_asked
    session.activity.end()
    session.problem, session.error_report = "Something is wrong.", "a report"
    assert "Something is wrong." in drawn("DIGIDOUBLE_PT_status").texts()
    walk.press("copy_error_report")
    session.problem = session.error_report = ""


def choose_and_mend_the_avatar(walk: Walk) -> str:
    """Out of a selection of meshes without marks; one thing is wrong with them. Returns the avatar's name."""
    built = build(AvatarSpec("procedural", "ada", "Zoë ü 1", texture_size=64))
    for item in built.head.users_collection[0].all_objects:
        for name in [name for name in item.keys() if name.startswith("digidouble_")]:  # noqa: SIM118
            del item[name]
        item.select_set(item.type == "MESH")
    bpy.context.view_layer.objects.active = built.head
    built.head.hide_render = True
    walk.press("avatar_from_selection")
    avatar = bpy.context.scene.digidouble.avatar
    assert avatar.head == built.head and len(avatar.parts) > 1 and avatar.armature is not None
    walk.press("avatar_check")
    wrong = [entry for entry in avatar.findings if entry.severity == "ERROR"]
    assert [entry.fixes for entry in wrong] == ["show"]
    walk.press("avatar_fix", fix="show", item=wrong[0].item.name, detail=wrong[0].detail)
    assert not [entry for entry in avatar.findings if entry.severity == "ERROR"]
    part, count = avatar.parts[0].item, len(avatar.parts)
    walk.press("avatar_part_remove", index=0)
    assert part not in {entry.item for entry in avatar.parts}
    for item in bpy.context.view_layer.objects:
        item.select_set(item == part)
    walk.press("avatar_part_add")
    walk.press("avatar_make")
    assert len(avatar.parts) == count
    return avatar.collection_name(bpy.context)


def mark_the_face(walk: Walk) -> None:
    """What the stand-in has not: a face. Its landmarks are found, cleared, made again from half of 15; then regions."""
    head = bpy.context.scene.digidouble.avatar.head
    walk.press("landmarks_find")
    truth = vertex_marks.ids_of(head)
    walk.press("landmarks_clear")
    assert "digidouble_landmarks" not in head
    for index in [i for i in landmarks.NORMAL if i <= landmarks.PARTNER[i]]:
        walk.press("landmark_set", index=index, vertex=truth[index])
    walk.press("landmarks_mirror")
    assert vertex_marks.placed_of(head) == {i: truth[i] for i in landmarks.NORMAL}
    walk.press("landmarks_complete")
    assert min(vertex_marks.ids_of(head)) >= 0
    walk.press("region_from_landmarks")
    assert regions.has(head, "region_face") and regions.has(head, "region_lips")
    walk.press("region_paint")
    assert head.mode == "WEIGHT_PAINT" and "Done Painting" in drawn("DIGIDOUBLE_PT_avatar").texts()
    walk.press("region_paint")
    assert head.mode == "OBJECT"


def set_up_cameras(walk: Walk) -> None:
    """For the stand-in, which is quick to capture: a preset, made smaller; as objects, and away with them."""
    build_standin("A")
    walk.press("avatar_use", name="A")
    assert bpy.context.scene.digidouble.avatar.collection_name(bpy.context) == "A"
    rig = bpy.context.scene.digidouble.cameras
    walk.press("cameras_preset", preset="QUICK")
    assert rig.train == 24
    rig.train, rig.held_out, rig.width, rig.height = 3, 1, 32, 32
    walk.press("cameras_make")
    assert sum("digidouble_rig" in item for item in bpy.data.objects) == 4
    walk.press("cameras_remove")
    assert not [item for item in bpy.data.objects if item.type == "CAMERA"]


def capture_and_export(walk: Walk) -> Capture:
    """3 + 1 views of 32 x 32 beside the file, and what can be made of them."""
    context, chosen = bpy.context, bpy.context.scene.digidouble.capture
    chosen.samples, chosen.denoise = 1, False
    bpy.data.actions.new("Gruß")
    walk.press("capture_action_add", action="Gruß")
    assert [action.name for action in chosen.chosen_actions()] == ["Gruß"]
    walk.press("capture_action_remove", index=0)
    assert not is_complete(capture_folder(context))
    walk.press("capture")
    captured = Capture.load(capture_folder(context))
    assert captured.folder.is_relative_to(walk.folder) and is_complete(captured.folder)
    assert [view.split for view in captured.views] == ["train"] * 3 + ["held_out"]
    for view in captured.views:
        images = captured.load_view(view)
        assert images.alpha.shape == (32, 32) and images.alpha.max() > 0.9 and images.albedo is not None
    for source in ("RIG", "CAPTURE"):
        walk.press("export_transforms", filepath=str(walk.folder / f"{source}.json"), source=source)
        assert len(json.loads((walk.folder / f"{source}.json").read_text())["frames"]) == 4
        walk.press("export_colmap", filepath=str(walk.folder / source), source=source)
        assert (walk.folder / source / "images.txt").is_file() or list((walk.folder / source).rglob("images.txt"))
    walk.press("portrait", folder=str(walk.folder / "portrait"), size=32, samples=1)
    files = sorted(path.name for path in (walk.folder / "portrait").iterdir())
    assert files == ["consent.json", "landmarks.json", "portrait.png"]
    context.scene.digidouble.cameras.train = 1
    walk.press("capture_all", folder=str(walk.folder / "all"))
    assert len(list((walk.folder / "all").rglob("capture.json"))) == 2
    context.scene.digidouble.cameras.train = 3
    return captured


def make_performers(walk: Walk, avatar: str) -> None:
    """One out of photos, read again from its folder; and another avatar of the file, with consent written anew."""
    scene = bpy.context.scene.digidouble
    walk.press("performer_add", name="Jürgen")
    for number, name in enumerate(("front.png", "left.png", "flat.png")):
        walk.press("performer_add_photos", filepath=str(photo(walk.folder / name, seed=number)))
    (walk.folder / "points.json").write_text(json.dumps([[x - 0.5, y - 0.5] for x, y in face().values()]))
    for name in ("front.png", "left.png"):
        walk.press("performer_landmarks_load", photo=name, filepath=str(walk.folder / "points.json"))
    walk.press("performer_landmarks_clear", photo="left.png")
    for index, (x, y) in face().items():
        walk.press("performer_landmark_set", photo="left.png", index=index, x=x, y=y)
    walk.press("performer_photo_first", photo="left.png")
    walk.press("performer_remove_photo", photo="flat.png")
    person = scene.performers[0]
    assert [picture.name for picture in performers.state_of(person).photos] == ["left.png", "front.png"]
    form = person.consent
    form.subject, form.granted_by, form.use, form.never_expires = "J. Doe", "J. Doe", "a film", True
    form.confirmed = True
    walk.press("performer_consent_write")
    assert performers.why_incomplete(person) is None
    form.use = "another film"
    walk.press("performer_consent_read")
    assert form.use == "a film"
    folder = performers.folder_of(person)
    walk.press("performer_remove")
    assert not scene.performers and (folder / "consent.json").is_file()
    walk.press("performer_load_folder", directory=str(folder))
    assert performers.why_incomplete(scene.performers[0]) is None
    walk.press("performer_from_avatar", avatar=avatar, size=128, samples=1)
    other = scene.performers[1]
    assert other.name == avatar and performers.why_incomplete(other) is None and other.consent.kind == "synthetic"
    other.consent.use, other.consent.confirmed = "a test", True
    other.consent.confirmed = True  # writing another use takes the tick back
    walk.press("performer_consent_write")
    record = performers.state_of(other).record
    assert record is not None and record.use == "a test"


def show_the_double(walk: Walk, captured: Capture) -> None:
    """Bound to its avatar, in every way it can be drawn."""
    born_on(captured, walk.folder / "results/double")
    walk.press("show_double", filepath=str(walk.folder / "results/double"), capture=str(captured.folder))
    item, scene = bpy.context.object, bpy.context.scene
    assert is_double(item) and follow.is_bound(item) and item.digidouble.follow
    assert follow.what_is_wrong(item) is None
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    scene.collection.objects.link(camera)
    view = captured.views[0].camera
    camera.matrix_world = np.linalg.inv(np.diag([1, -1, -1, 1]) @ view.world_to_camera).T.tolist()
    scene.camera, scene.render.engine, scene.render.film_transparent = camera, "CYCLES", True
    scene.render.resolution_x = scene.render.resolution_y = 32
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    said = item.digidouble
    for mode, shape, raw in (
        ("POINTS", "CARDS", False), ("SPLATS", "CARDS", False), ("SPLATS", "CARDS", True), ("SPLATS", "BALLS", False),
    ):  # fmt: skip
        said.mode, said.shape, said.raw_colours = mode, shape, raw
        shown = [name for _, name in walk.look("double")["DIGIDOUBLE_PT_double"].props]
        assert ("density" in shown) == (mode == "SPLATS")
        with CyclesTap() as tap:
            covered = tap.render(scene)["Combined"][..., 3] > 0.1
        assert covered.sum() > 30, f"nothing to see as {mode} {shape}"
    walk.press("double_select", by="REGION", region="HAIR")
    said.follow = False
    walk.press("double_bind", directory=str(captured.folder))
    assert follow.is_bound(item) and said.follow
    said.show_avatar = True
    assert not scene.digidouble.avatar.head.hide_render


def edit_and_export_splats(walk: Walk) -> None:
    """A file of splats, every edit, and files again."""
    write_splats(walk.folder / "Ünï code.ply", some_splats(300, 1))
    walk.press("import_splats", filepath=str(walk.folder / "Ünï code.ply"))
    item = bpy.context.object
    assert item.name == "Ünï code" and len(item.data.points) == 300
    walk.press("double_crop_box")
    item.digidouble.crop_box.scale *= 0.7
    item.digidouble.least_opacity = 0.2
    bpy.context.view_layer.update()
    shown = len(item.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.points)
    assert 0 < shown < 300
    walk.press("double_keep_shown")
    assert len(item.data.points) == shown
    walk.press("double_select", by="FAINT", limit=0.6)
    faint = sum(entry.value for entry in item.data.attributes["selected"].data)
    assert 0 < faint < shown
    before = read_back(item).sh
    walk.press("double_recolour", exposure=1.0)
    assert np.any(read_back(item).sh != before, axis=(1, 2)).sum() == faint
    walk.press("double_duplicate")
    copy = bpy.context.object
    assert copy != item and len(copy.data.points) == faint
    copy.location.x, copy.scale = 2.0, (2.0, 2.0, 2.0)
    bpy.context.view_layer.update()
    places = read_back(copy).means
    walk.press("double_apply_transform")
    assert tuple(copy.location) == (0, 0, 0)
    np.testing.assert_allclose(read_back(copy).means, 2 * places + (2, 0, 0), atol=1e-4)
    bpy.context.view_layer.objects.active = item
    walk.press("double_delete")
    assert len(item.data.points) == shown - faint
    walk.look("double")
    for suffix in (".ply", ".spz"):
        walk.press("double_export", filepath=str(walk.folder / f"out{suffix}"))
        np.testing.assert_allclose(read_splats(walk.folder / f"out{suffix}").means, read_back(item).means, atol=1e-3)
