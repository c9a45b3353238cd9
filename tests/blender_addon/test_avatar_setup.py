# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing a character, marking it, and the checks with their fixes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

import blender_addon
from avatars import AvatarSpec, build
from blender_addon.avatar_setup import checkup, meshes
from blender_addon.avatar_setup.fixes import FIXES
from blender_addon.avatar_setup.landmarks import PARTNER
from blender_addon.capture.avatar import avatar_names, find_avatar
from blender_addon.capture.geometry import extract
from interchange.errors import InputError
from tests.blender_addon.layout import check_icon, drawn
from tests.blender_addon.standin import build_standin

OPS = bpy.ops.digidouble


@pytest.fixture
def addon(empty: Any) -> Iterator[Any]:
    """The add-on in an empty file; yields its avatar settings."""
    blender_addon.register()
    yield bpy.context.scene.digidouble.avatar
    blender_addon.unregister()


@pytest.fixture
def artist(addon: Any) -> Any:
    """A character without any marks, in the scene's own collection; yields the settings."""
    collection = build_standin("Zoë äöü 1")
    for item in list(collection.objects):
        for name in [name for name in item.keys() if name.startswith("digidouble_")]:  # noqa: SIM118
            del item[name]
        bpy.context.scene.collection.objects.link(item)
    bpy.data.collections.remove(collection)
    bpy.context.view_layer.update()
    return addon


def head() -> Any:
    return bpy.data.objects["Zoë äöü 1"]


def select(*items: Any, active: Any = None) -> None:
    for item in bpy.context.view_layer.objects:
        item.select_set(item in items)
    bpy.context.view_layer.objects.active = active


def sentences(avatar: Any, severity: str | None = None) -> list[str]:
    return [f.sentence for f in avatar.findings if severity in (None, f.severity)]


def fix(avatar: Any, key: str) -> None:
    entry = next(f for f in avatar.findings if key in f.fixes.split())
    assert OPS.avatar_fix(fix=key, item=entry.item.name, detail=entry.detail) == {"FINISHED"}


# --- choosing -------------------------------------------------------------------------------------------------------


def test_the_selection_becomes_an_avatar_that_can_be_captured(artist: Any) -> None:
    meshes_ = [o for o in bpy.data.objects if o.type == "MESH"]
    select(*meshes_, active=head())
    before = {item.name: sorted(c.name for c in item.users_collection) for item in bpy.data.objects}
    assert OPS.avatar_from_selection() == {"FINISHED"}
    assert artist.head == head() and artist.armature.name == "Zoë äöü 1_rig"
    assert {p.item.name.split("_")[-1]: p.part for p in artist.parts} == {"eyes": "eyes", "hair": "hair"}
    name = artist.collection_name(bpy.context)
    found = find_avatar(bpy.context.scene, bpy.context.view_layer, name)
    assert found.head == head() and len(found.parts) == 3 and found.armature == artist.armature
    assert extract(found, bpy.context.view_layer, needs_landmarks=False)[0].faces.shape[1] == 3
    for item in bpy.data.objects:  # nothing was taken out of where the artist keeps it
        assert set(before[item.name]) <= {c.name for c in item.users_collection}
    assert avatar_names() == [name], "the scene's own collection must not count as a second avatar"


def test_a_collection_of_the_artist_that_holds_just_the_character_is_used(artist: Any) -> None:
    own = bpy.data.collections.new("Hero")
    bpy.context.scene.collection.children.link(own)
    for item in bpy.data.objects:
        own.objects.link(item)
    select(head(), active=head())
    OPS.avatar_from_selection()
    assert artist.collection_name(bpy.context) == "Hero" and list(bpy.data.collections) == [own]
    cube = bpy.data.objects.new("chair", bpy.data.meshes.new("chair"))
    own.objects.link(cube)
    OPS.avatar_make()
    name = artist.collection_name(bpy.context)
    assert name != "Hero" and avatar_names() == [name] and cube.name in own.objects
    assert cube.name not in bpy.data.collections[name].objects


def test_starting_over_leaves_one_avatar(artist: Any) -> None:
    eyes, hair = bpy.data.objects["Zoë äöü 1_eyes"], bpy.data.objects["Zoë äöü 1_hair"]
    select(head(), eyes, hair, active=head())
    OPS.avatar_from_selection()
    select(head(), hair, active=head())
    OPS.avatar_from_selection()
    assert [p.item.name for p in artist.parts] == [hair.name] and "digidouble_part" not in eyes
    assert avatar_names() == [artist.collection_name(bpy.context)] and len(bpy.data.collections) == 1


def test_an_object_alone_brings_its_family_along(artist: Any) -> None:
    select(head(), active=head())
    OPS.avatar_from_selection()
    assert {p.part for p in artist.parts} == {"eyes", "hair"}
    assert not sentences(artist, "ERROR")


def test_an_unclear_selection_is_a_sentence(artist: Any) -> None:
    select(*[o for o in bpy.data.objects if o.type == "MESH"], active=bpy.data.objects["Zoë äöü 1_rig"])
    with pytest.raises(RuntimeError, match="Click the head last"):
        OPS.avatar_from_selection()
    select()
    with pytest.raises(RuntimeError, match="Select the meshes of one character"):
        OPS.avatar_from_selection()


def test_marked_avatars_are_taken_over(addon: Any) -> None:
    with pytest.raises(RuntimeError, match="Select its meshes instead"):
        OPS.avatar_use()
    build_standin("A")
    build_standin("B b")
    assert OPS.avatar_use(name="B b") == {"FINISHED"}
    assert addon.head.name == "B b" and addon.collection_name(bpy.context) == "B b"
    assert {p.part for p in addon.parts} == {"eyes", "hair"}
    with pytest.raises(RuntimeError, match="several avatars"):
        OPS.avatar_use()
    assert [text for _, text, _ in drawn("DIGIDOUBLE_MT_avatars").buttons] == ["A", "B b"]


def test_parts_come_and_go(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use(name="A")
    assert OPS.avatar_part_remove(index=0) == {"FINISHED"}
    name = addon.collection_name(bpy.context)
    assert name != "A" and avatar_names() == [name], "the artist's own collection stays as it is, but is not offered"
    assert len(bpy.data.collections["A"].all_objects) == 4
    assert len(find_avatar(bpy.context.scene, bpy.context.view_layer, name).parts) == 2
    select(bpy.data.objects["A_eyes"], active=None)
    OPS.avatar_part_add()
    assert {p.part for p in addon.parts} == {"eyes", "hair"} and addon.collection_name(bpy.context) == name
    addon.parts[0].part = "other"
    assert addon.parts[0].item["digidouble_part"] == "other"


def test_a_deleted_head_is_noticed(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use(name="A")
    select(bpy.data.objects["A"], active=bpy.data.objects["A"])
    bpy.ops.object.delete()
    assert "no longer in the scene" in drawn("DIGIDOUBLE_PT_avatar").texts()
    with pytest.raises(RuntimeError, match="no longer in the scene"):
        OPS.avatar_check()


def test_undo_takes_the_marks_back(artist: Any) -> None:
    bpy.ops.ed.undo_push(message="before")
    select(head(), active=head())
    OPS.avatar_from_selection()
    bpy.ops.ed.undo_push(message="after")
    bpy.ops.ed.undo()
    assert "digidouble_part" not in head() and not avatar_names()
    assert bpy.context.scene.digidouble.avatar.head is None


# --- checks ---------------------------------------------------------------------------------------------------------


def _no_uv(item: Any) -> None:
    while item.data.uv_layers:
        item.data.uv_layers.remove(item.data.uv_layers[0])


def _flat_uv(item: Any) -> None:
    for corner in item.data.uv_layers[0].uv:
        corner.vector = (0.5, 0.5)


def _second_uv(item: Any) -> None:
    item.data.uv_layers.new(name="other").active_render = True


def _scale(*scale: float) -> Any:
    def spoil(item: Any) -> None:
        item.scale = scale
        bpy.context.view_layer.update()

    return spoil


def _flip(item: Any) -> None:
    item.data.flip_normals()


def _flip_some(item: Any) -> None:
    for polygon in list(item.data.polygons)[::7]:
        polygon.flip()
    item.data.update()


def _edit(item: Any) -> None:
    bpy.context.view_layer.objects.active = item
    bpy.ops.object.mode_set(mode="EDIT")


def _hide(item: Any) -> None:
    item.hide_render = True


def _exclude(item: Any) -> None:
    bpy.context.view_layer.layer_collection.children["A"].exclude = True


def _decimate(item: Any) -> None:
    item.modifiers.new("Fewer", "DECIMATE").ratio = 0.5


@pytest.mark.parametrize(
    ("spoil", "key", "severity", "sentence"),
    [
        (_no_uv, "unwrap", "ERROR", "'A' has no UV map"),
        (_flat_uv, "unwrap", "ERROR", "was never unwrapped"),
        (_second_uv, "choose_uv", "INFO", "2 UV maps; 'other' is used"),
        (_scale(-1, 1, 1), "apply_scale", "WARNING", "mirrored by a negative scale"),
        (_scale(1, 1, 1.3), "apply_scale", "WARNING", "stretched unevenly"),
        (_scale(2, 2, 2), "apply_scale", "INFO", "a scale of 2 that is not applied"),
        (_scale(0, 0, 0), "clear_scale", "ERROR", "scaled to nothing"),
        (_flip, "normals", "WARNING", "The faces of 'A' point inwards"),
        (_flip_some, "normals", "WARNING", "Some faces of 'A' point inwards"),
        (_edit, "leave_mode", "ERROR", "is being edited"),
        (_hide, "show", "ERROR", "hidden in renders"),
        (_exclude, "to_layer", "ERROR", "not in the view layer"),
        (_decimate, "modifier_off", "ERROR", "'Fewer' on 'A' renumbers vertices"),
    ],
)
def test_each_finding_has_a_fix_that_works(addon: Any, spoil: Any, key: str, severity: str, sentence: str) -> None:
    build_standin("A")
    OPS.avatar_use()
    item = bpy.data.objects["A"]
    healthy = sentences(addon)
    spoil(item)
    bpy.context.view_layer.update()
    if spoil not in (_flat_uv, _flip, _flip_some):  # too dear to look at while drawing
        assert checkup.is_stale(addon, bpy.context), "the panel must offer to check again"
    OPS.avatar_check()
    assert any(sentence in text for text in sentences(addon, severity)), sentences(addon)
    assert FIXES[key].label in drawn("DIGIDOUBLE_PT_avatar").texts() or severity == "INFO"
    fix(addon, key)
    if key == "choose_uv":
        assert any("'UVMap' is used" in text for text in sentences(addon))
    else:
        assert sentences(addon) == healthy
        assert extract(find_avatar(bpy.context.scene, bpy.context.view_layer, "A"), bpy.context.view_layer,
                       needs_landmarks=key not in ("unwrap",))  # fmt: skip
    assert not checkup.is_stale(addon, bpy.context)


def test_fixes_and_operators_are_told_in_short_words(addon: Any) -> None:
    for fix_ in FIXES.values():
        check_icon(fix_.icon)
        assert 0 < len(fix_.label) < 20 and 0 < len(fix_.tooltip) <= 120
    ours = [name for name in dir(OPS) if name.startswith(("avatar_", "landmark", "region_"))]
    assert len(ours) == 15
    for name in ours:
        kind = getattr(OPS, name).get_rna_type()
        assert 0 < len(kind.description) <= 120, (name, kind.description)


def test_applying_a_mirrored_scale_moves_nothing_and_keeps_shape_keys(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    item = bpy.data.objects["A"]
    _scale(-1.5, 1.5, 1.5)(item)
    before = meshes.read(item)[0]
    keys = np.array([v.co for v in item.data.shape_keys.key_blocks["smile"].data]) * (-1.5, 1.5, 1.5)
    OPS.avatar_check()
    fix(addon, "apply_scale")
    assert np.abs(meshes.read(item)[0] - before).max() < 1e-6
    assert np.abs(np.array([v.co for v in item.data.shape_keys.key_blocks["smile"].data]) - keys).max() < 1e-6
    assert not meshes.is_inside_out(item.data)


def test_unwrapping_gives_the_whole_mesh_room(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    item = bpy.data.objects["A"]
    select(bpy.data.objects["A_eyes"], active=bpy.data.objects["A_eyes"])
    _no_uv(item)
    OPS.avatar_check()
    fix(addon, "unwrap")
    uvs = np.array([corner.vector for corner in item.data.uv_layers[0].uv])
    assert 0.2 < meshes.uv_area(item.data, item.data.uv_layers[0]) < 1 and uvs.min() >= -1e-3 and uvs.max() <= 1.001
    assert bpy.context.view_layer.objects.active.name == "A_eyes" and item.mode == "OBJECT"
    assert [o.name for o in bpy.context.selected_objects] == ["A_eyes"]


def test_a_modifier_is_applied_only_where_blender_can(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    item = bpy.data.objects["A"]
    _decimate(item)
    OPS.avatar_check()
    with pytest.raises(RuntimeError, match="has shape keys"):
        OPS.avatar_fix(fix="modifier_apply", item="A", detail="Fewer")
    item.shape_key_clear()
    count = len(item.data.vertices)
    OPS.avatar_fix(fix="modifier_apply", item="A", detail="Fewer")
    assert len(item.data.vertices) < count and "digidouble_landmarks" not in item


def test_linked_data_is_said_and_made_local(addon: Any, tmp_path: Path) -> None:
    build_standin("A")
    bpy.data.libraries.write(str(tmp_path / "lib ü.blend"), {bpy.data.collections["A"]})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "lib ü.blend"), link=True) as (_, wanted):
        wanted.collections = ["A"]
    bpy.context.scene.collection.children.link(wanted.collections[0])
    bpy.context.view_layer.update()
    avatar = bpy.context.scene.digidouble.avatar
    assert OPS.avatar_use(name="A") == {"FINISHED"}
    assert any("linked from lib ü.blend" in text for text in sentences(avatar, "ERROR"))
    with pytest.raises(RuntimeError, match="nothing can be marked"):
        OPS.landmarks_clear()
    assert FIXES["make_local"].label in drawn("DIGIDOUBLE_PT_avatar").texts()
    fix(avatar, "make_local")
    assert avatar.head.library is None and avatar.head.data.library is None
    assert not any(f.item == avatar.head and "linked" in f.sentence for f in avatar.findings)


def test_an_override_is_told_from_a_local_object(addon: Any, tmp_path: Path) -> None:
    build_standin("A")
    bpy.data.libraries.write(str(tmp_path / "lib.blend"), {bpy.data.collections["A"]})
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "lib.blend"), link=True) as (_, wanted):
        wanted.collections = ["A"]
    linked = wanted.collections[0]
    bpy.context.scene.collection.children.link(linked)
    linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    avatar = bpy.context.scene.digidouble.avatar
    avatar.head = next(o for o in bpy.context.scene.objects if o.name == "A" and o.library is None)
    OPS.avatar_make()
    assert any("overrides a linked one" in text for text in sentences(avatar, "WARNING"))
    OPS.avatar_fix(fix="make_local", item="A")
    assert avatar.head.override_library is None and avatar.head.data.library is None
    assert not any(f.item == avatar.head and "linked" in f.sentence for f in avatar.findings)


def test_a_head_that_is_not_set_up_is_not_mixed_up_with_another_avatar(artist: Any) -> None:
    build_standin("B")
    assert artist.collection_name(bpy.context) is None
    artist.head = head()
    name = artist.collection_name(bpy.context)
    with pytest.raises(InputError, match="no avatar called 'Zoë äöü 1'"):
        find_avatar(bpy.context.scene, bpy.context.view_layer, name)
    assert "Set Up Avatar" in drawn("DIGIDOUBLE_PT_avatar").texts()


def test_what_is_missing_is_noted(artist: Any) -> None:
    item = head()
    item.modifiers.remove(item.modifiers["Armature"])
    item.parent = None
    item.data.materials.clear()
    select(item, active=item)
    OPS.avatar_from_selection()
    artist.parts.clear()
    OPS.avatar_check()
    assert artist.armature is None
    texts = sentences(artist)
    assert any("No mesh is marked as eyes, teeth and hair" in text for text in texts)
    assert any("No armature" in text for text in texts) and any("has no material" in text for text in texts)
    assert [f.severity for f in artist.findings] == sorted(
        (f.severity for f in artist.findings), key=["ERROR", "WARNING", "INFO"].index
    )


def _turn(points: np.ndarray) -> np.ndarray:
    return points[:, [1, 0, 2]] * (-1, 1, 1)  # a quarter turn: the face looks along +X


def test_landmarks_that_no_longer_fit_are_found(addon: Any) -> None:
    item = build(AvatarSpec("procedural", "ada", "A", texture_size=64)).head
    OPS.avatar_use()
    assert not sentences(addon, "WARNING") and not sentences(addon, "ERROR")
    right = list(item["digidouble_landmarks"])
    item["digidouble_landmarks"] = [right[i] for i in PARTNER]
    OPS.avatar_check()
    assert any("do not form a face" in text for text in sentences(addon, "WARNING"))
    item["digidouble_landmarks"] = right
    item.shape_key_clear()
    points = _turn(meshes.get(item.data.vertices, "co", 3))
    item.data.vertices.foreach_set("co", points.astype(np.float32).ravel())
    OPS.avatar_check()
    assert any("looks 90° away from -Y" in text for text in sentences(addon, "WARNING"))
    OPS.landmark_set(index=0, vertex=right[0])
    item.data.vertices.add(1)
    assert checkup.is_stale(addon, bpy.context)
    OPS.avatar_check()
    assert any("was cut or joined since" in text for text in sentences(addon, "ERROR"))
    fix(addon, "clear_landmarks")
    assert "digidouble_landmarks" not in item and "digidouble_landmarks_vertices" not in item


# --- the panel ------------------------------------------------------------------------------------------------------


def test_the_panel_begins_with_two_buttons_and_a_sentence(addon: Any) -> None:
    layout = drawn("DIGIDOUBLE_PT_avatar")
    assert [name for name, _, _ in layout.buttons] == ["digidouble.avatar_from_selection", "digidouble.avatar_use"]
    assert "Select the meshes of your character" in layout.texts()


def test_the_panel_shows_what_was_chosen(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    layout = drawn("DIGIDOUBLE_PT_avatar")
    texts = layout.texts()
    assert "A_eyes" in texts and "Landmarks 68 / 68" in texts and "Face region" in texts
    assert "digidouble.avatar_make" not in [name for name, _, _ in layout.buttons]
    addon.parts.remove(0)
    assert "digidouble.avatar_make" in [name for name, _, _ in drawn("DIGIDOUBLE_PT_avatar").buttons]
    OPS.landmarks_clear()
    texts = drawn("DIGIDOUBLE_PT_avatar", width=180).texts()
    assert "15 Points" in texts and "Landmarks 0 / 68" in texts
