# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of a character find, and that each fix mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from avatars import AvatarSpec, build
from blender_addon import compat
from blender_addon.avatar_setup import checkup, meshes
from blender_addon.avatar_setup.fixes import FIXES
from blender_addon.avatar_setup.landmarks import PARTNER
from blender_addon.capture.avatar import find_avatar
from blender_addon.capture.geometry import extract
from tests.blender_addon.layout import check_icon, drawn
from tests.blender_addon.standin import build_standin
from tests.blender_addon.test_avatar_setup import select, sentences

OPS = bpy.ops.digidouble


def fix(avatar: Any, key: str) -> None:
    """Press the first button for this fix."""
    entry = next(f for f in avatar.findings if key in f.fixes.split())
    assert OPS.avatar_fix(fix=key, item=entry.item.name, detail=entry.detail) == {"FINISHED"}


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


def _particles(item: Any) -> None:
    item.modifiers.new("Strands", "PARTICLE_SYSTEM").particle_system.settings.type = "HAIR"


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
        (_particles, "modifier_off", "ERROR", "particles 'Strands' on 'A' cannot be captured"),
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


def test_hair_that_is_no_mesh_is_not_lost_in_silence(addon: Any) -> None:
    """Curves and metaballs would render beside the character, and a capture renders only its meshes."""
    build_standin("A")
    head, rig, scene = bpy.data.objects["A"], bpy.data.objects["A_rig"], bpy.context.scene
    strands = bpy.data.objects.new("Strands", bpy.data.hair_curves.new("Strands"))
    strands.data.surface = head
    ribbon = bpy.data.objects.new("Ribbon", bpy.data.curves.new("Ribbon", "CURVE"))
    ribbon.data.dimensions, ribbon.data.bevel_depth, ribbon.parent = "3D", 0.01, rig
    path = bpy.data.objects.new("Path", bpy.data.curves.new("Path", "CURVE"))
    path.data.dimensions, path.parent = "3D", rig
    stranger = bpy.data.objects.new("Sign", bpy.data.curves.new("Sign", "CURVE"))
    stranger.data.bevel_depth = 0.01
    for item in (strands, ribbon, path, stranger):
        scene.collection.objects.link(item)
    OPS.avatar_use()
    OPS.avatar_check()
    said = " ".join(sentences(addon, "WARNING"))
    assert "'Strands' is hair curves, no mesh" in said and "'Ribbon' is a curve, no mesh" in said
    assert "Path" not in said and "Sign" not in said
    strands.hide_render = ribbon.hide_render = True
    OPS.avatar_check()
    assert not any("no mesh, so" in text for text in sentences(addon))


def test_a_head_with_landmarks_wants_a_face_region(addon: Any) -> None:
    build(AvatarSpec("procedural", "ada", "A", texture_size=64))
    head = bpy.data.objects["A"]
    head.data.attributes.remove(head.data.attributes["region_face"])
    OPS.avatar_use()
    OPS.avatar_check()
    assert any("has no face region" in text for text in sentences(addon, "WARNING"))
    fix(addon, "draw_regions")
    assert "region_face" in head.vertex_groups and not any("no face region" in text for text in sentences(addon))
    head.vertex_groups.remove(head.vertex_groups["region_face"])
    del head["digidouble_landmarks"]
    OPS.avatar_check()
    assert not any("no face region" in text for text in sentences(addon)), "landmarks come first"


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


def test_a_head_that_wears_a_second_picture_is_told_of(addon: Any) -> None:
    """A body of the same mesh, with UVs of its own over those of the face, would be painted with the new face."""
    build_standin("A")
    OPS.avatar_use()
    item = bpy.data.objects["A"]
    OPS.avatar_check()
    assert not any("several pictures" in text for text in sentences(addon))
    body = bpy.data.materials.new("body")
    nodes = compat.use_nodes(body)
    picture = nodes.nodes.new("ShaderNodeTexImage")
    picture.image = bpy.data.images.new("body skin", 4, 4)
    nodes.links.new(picture.outputs[0], nodes.nodes["Principled BSDF"].inputs["Base Color"])
    item.data.materials.append(body)
    OPS.avatar_check()
    assert not any("several pictures" in text for text in sentences(addon)), "no face wears it yet"
    item.data.polygons[0].material_index = len(item.material_slots) - 1
    OPS.avatar_check()
    assert any("'A' wears several pictures" in t and "'body skin'" in t for t in sentences(addon, "WARNING"))
