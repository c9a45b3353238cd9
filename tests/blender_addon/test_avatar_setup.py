# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing a character, marking it, and how the panel shows it."""

from __future__ import annotations

from typing import Any

import bpy
import pytest

from blender_addon.capture.avatar import avatar_names, find_avatar
from blender_addon.capture.geometry import extract
from interchange.errors import InputError
from tests.blender_addon.layout import drawn
from tests.blender_addon.standin import build_standin

OPS = bpy.ops.digidouble


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
