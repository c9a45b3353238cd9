# SPDX-License-Identifier: Apache-2.0
"""The avatar contract on heads from MakeHuman's files (skipped where the files are not)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender's Python module bpy")

from avatars import BONES, PARTS, SHAPE_KEYS, AvatarHandle, AvatarSpec, build, identities  # noqa: E402
from avatars.__main__ import main  # noqa: E402
from interchange.errors import InputError  # noqa: E402

DATA = Path(
    os.environ.get("DIGIDOUBLE_MAKEHUMAN", Path(__file__).resolve().parents[3] / "shared/avatars/makehuman_cc0")
)
needs_data = pytest.mark.skipif(
    not (DATA / "mpfb2/src/mpfb/data/3dobjs/base.obj").is_file(),
    reason="needs MakeHuman's CC0 files (set DIGIDOUBLE_MAKEHUMAN)",
)
pytestmark = needs_data

FIRST, SECOND = "caucasian-male-young", "african-female-old"


@pytest.fixture(scope="module")
def pair() -> tuple[AvatarHandle, AvatarHandle]:
    """Two identities in one file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    first, second = (
        build(AvatarSpec("makehuman", who, name, texture_size=128, data_dir=DATA))
        for who, name in ((FIRST, "A"), (SECOND, "B"))
    )
    return first, second


def points_of(data: Any) -> np.ndarray:
    result = np.empty(len(data) * 3, np.float32)
    data.foreach_get("co", result)
    return result.reshape(-1, 3)


def uvs_of(mesh: Any) -> np.ndarray:
    result = np.empty(len(mesh.loops) * 2, np.float32)
    mesh.uv_layers["UVMap"].data.foreach_get("uv", result)
    return result.reshape(-1, 2)


def floats_of(mesh: Any, name: str) -> np.ndarray:
    result = np.empty(len(mesh.vertices), np.float32)
    mesh.attributes[name].data.foreach_get("value", result)
    return result


def posed(avatar: AvatarHandle, part: str, levels: bool = False) -> np.ndarray:
    """World positions of a part as shape keys and bones leave them, before subdivision."""
    obj = avatar.parts[part]
    shown = [(m, m.show_viewport) for m in obj.modifiers if m.type == "SUBSURF"]
    for modifier, _ in shown:
        modifier.show_viewport = levels
    bpy.context.view_layer.update()
    evaluated = obj.evaluated_get(bpy.context.evaluated_depsgraph_get())
    result = points_of(evaluated.to_mesh().vertices) + np.array(obj.matrix_world.translation)
    evaluated.to_mesh_clear()
    for modifier, state in shown:
        modifier.show_viewport = state
    return result


def test_objects_and_parts(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    avatar = pair[0]
    assert avatar.collection.name == "A" and avatar.head.name == "A" and avatar.armature.name == "A_rig"
    assert {"A_eyes", "A_hair", "A_teeth", "A_lashes"} <= {obj.name for obj in avatar.collection.objects}
    for part in avatar.parts.values():
        assert part["digidouble_part"] in PARTS
        assert part.parent == avatar.armature
        assert any(m.type == "ARMATURE" and m.object == avatar.armature for m in part.modifiers)
    about = json.loads(avatar.armature["digidouble_avatar"])
    assert about["kind"] == "makehuman" and about["identity"] == FIRST and "CC0" in about["licence"]
    assert list(avatar.head["digidouble_landmarks"]) == list(avatar.landmarks)


def test_identities_share_topology_uvs_regions_and_landmarks(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    first, second = (avatar.head.data for avatar in pair)
    corners = [np.array([loop.vertex_index for loop in mesh.loops]) for mesh in (first, second)]
    assert np.array_equal(*corners)
    assert np.array_equal(uvs_of(first), uvs_of(second))
    for region in ("region_face", "region_lips", "region_brows"):
        assert np.array_equal(floats_of(first, region), floats_of(second, region))
    assert pair[0].landmarks == pair[1].landmarks
    assert np.linalg.norm(points_of(first.vertices) - points_of(second.vertices), axis=1).mean() > 0.002


def test_uvs_fill_the_unit_square_and_never_fold(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    mesh = pair[0].head.data
    uvs = uvs_of(mesh)
    assert uvs.min() > 0.005 and uvs.max() < 0.998
    mesh.calc_loop_triangles()
    corner = uvs[np.array([triangle.loops for triangle in mesh.loop_triangles])]
    edge, other = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0]
    assert (area > -1e-7).all()


def test_landmarks_mirror_and_lie_where_they_should(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    mirror = list(range(16, -1, -1)) + list(range(26, 16, -1)) + [27, 28, 29, 30, 35, 34, 33, 32, 31]
    mirror += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    mirror += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    for avatar in pair:
        marks = points_of(avatar.head.data.vertices)[list(avatar.landmarks)]
        assert np.abs(marks - marks[mirror] * (-1, 1, 1)).max() < 0.0015
        assert marks[0, 0] < -0.05 < 0.05 < marks[16, 0]  # 0 at the character's right
        assert marks[8, 2] < marks[57, 2] < marks[66, 2] < marks[51, 2] < marks[33, 2] < marks[30, 2] < marks[27, 2]
        assert (marks[[19, 24], 2] > marks[[37, 44], 2] + 0.008).all()
        assert marks[30, 1] == marks[:, 1].min()  # the nose's tip is foremost; the face looks along -Y
        assert 0.07 < np.linalg.norm(marks[45] - marks[36]) < 0.11
        eyes = marks[36:48].mean(axis=0)
        assert np.linalg.norm(avatar.eye_centre - eyes) < 0.025


def test_regions(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    avatar = pair[0]
    mesh, marks = avatar.head.data, list(avatar.landmarks)
    face, lips, brows = (floats_of(mesh, f"region_{name}") for name in ("face", "lips", "brows"))
    for region in (face, lips, brows):
        assert region.min() >= 0 and region.max() <= 1 and region.max() > 0.9
    assert (face[marks[27:36]] > 0.9).all() and (face[marks[:17]] < 0.05).all()
    assert (lips[[marks[62], marks[66]]] > 0.9).all() and lips[marks[33]] == 0
    assert (brows[marks[18:26]] > 0.5).all() and brows[marks[30]] == 0
    points = points_of(mesh.vertices)
    assert face[points[:, 1] > 0].max() == 0  # the back of the head
    assert face[points[:, 2] < points[marks[8], 2] - 0.03].max() == 0  # the neck


def test_weights_are_normalised_and_at_most_four(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    names = {bone.name for bone in pair[0].armature.data.bones}
    assert set(BONES) <= names
    for part in pair[0].parts.values():
        assert {group.name for group in part.vertex_groups} <= names
        for vertex in part.data.vertices:
            weights = [group.weight for group in vertex.groups]
            assert 1 <= len(weights) <= 4 and abs(sum(weights) - 1) < 2e-3


def test_shape_keys_do_what_they_say(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    avatar = pair[0]
    keys = avatar.head.data.shape_keys.key_blocks
    assert set(SHAPE_KEYS) <= {key.name for key in keys}
    assert all(key.value == 0 for key in keys)
    marks = list(avatar.landmarks)

    def move(name: str, ids: list[int]) -> np.ndarray:
        change = points_of(keys[name].data) - points_of(keys["Basis"].data)
        return change[[marks[i] for i in ids]]

    assert move("jaw_open", [57, 66])[:, 2].max() < -0.01
    assert move("smile", [48, 54])[:, 2].min() > 0.002
    assert move("brows_up", [19, 24])[:, 2].min() > 0.002 and move("brows_down", [20, 23])[:, 2].max() < -0.0005
    assert move("blink_left", [43, 44])[:, 2].max() < -0.003 and np.abs(move("blink_left", [37, 38])).max() < 0.001
    assert move("blink_right", [37, 38])[:, 2].max() < -0.003 and np.abs(move("blink_right", [43, 44])).max() < 0.001
    assert move("pucker", [48])[0, 0] > 0.002 and move("pucker", [54])[0, 0] < -0.002
    assert move("frown", [48, 54])[:, 2].max() < -0.001


def test_blinking_moves_the_lashes_and_the_eye_bone_only_its_eye(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    avatar = pair[0]
    lashes, eyes = posed(avatar, "lashes"), posed(avatar, "eyes")
    avatar.set_expression({"blink_left": 1.0})
    blinked = posed(avatar, "lashes") - lashes
    avatar.set_expression({"blink_left": 0.0})
    left = lashes[:, 0] > 0
    assert blinked[left, 2].min() < -0.004 and np.abs(blinked[~left]).max() < 1e-4
    bone = avatar.armature.pose.bones["eye.L"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (0.3, 0.0, 0.0)
    turned = np.linalg.norm(posed(avatar, "eyes") - eyes, axis=1)
    bone.rotation_euler = (0.0, 0.0, 0.0)
    assert turned[eyes[:, 0] > 0].max() > 0.002 and turned[eyes[:, 0] < 0].max() < 1e-5
    with pytest.raises(InputError, match="no expression"):
        avatar.set_expression({"levitate": 1.0})


def test_jaw_bone_opens_the_mouth_and_the_head_bone_takes_all_along(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    avatar = pair[0]
    rest = {name: posed(avatar, name) for name in avatar.parts}
    jaw, head = (avatar.armature.pose.bones[name] for name in ("jaw", "head"))
    jaw.rotation_mode = head.rotation_mode = "XYZ"
    jaw.rotation_euler = (0.25, 0.0, 0.0)
    chin = posed(avatar, "head")[avatar.landmarks[8]] - rest["head"][avatar.landmarks[8]]
    brow = posed(avatar, "head")[avatar.landmarks[24]] - rest["head"][avatar.landmarks[24]]
    jaw.rotation_euler = (0.0, 0.0, 0.0)
    assert np.linalg.norm(chin) > 0.01 and np.linalg.norm(brow) < 1e-4
    head.rotation_euler = (0.0, 0.4, 0.0)
    for name in avatar.parts:
        assert np.linalg.norm(posed(avatar, name) - rest[name], axis=1).max() > 0.005, name
    head.rotation_euler = (0.0, 0.0, 0.0)


def test_the_skin_is_one_packed_image_straight_on_base_color(pair: tuple[AvatarHandle, AvatarHandle]) -> None:
    for avatar in pair:
        for part, suffix in (("head", "skin"), ("eyes", "iris")):
            (material,) = avatar.parts[part].data.materials
            shader = next(n for n in material.node_tree.nodes if n.type == "BSDF_PRINCIPLED")
            (link,) = shader.inputs["Base Color"].links
            image = link.from_node.image
            assert image.name == f"{avatar.name}_{suffix}" and image.packed_file is not None
            assert tuple(image.size) == (128, 128) and image.colorspace_settings.name == "sRGB"
        pixels = np.empty(128 * 128 * 4, np.float32)
        avatar.head.data.materials[0].node_tree.nodes["Image Texture"].image.pixels.foreach_get(pixels)
        assert pixels.reshape(-1, 4)[:, :3].std() > 0.01
    assert len(bpy.data.images) >= 4


def test_names_of_identities_and_errors(tmp_path: Path) -> None:
    assert len(identities("makehuman", DATA)) == 12
    with pytest.raises(InputError, match="no makehuman identity"):
        build(AvatarSpec("makehuman", "nobody", "N", data_dir=DATA))
    with pytest.raises(InputError, match="no avatar kind"):
        AvatarSpec("marble", "x", "y")
    before = len(bpy.data.objects)
    with pytest.raises(InputError, match="base mesh"):
        build(AvatarSpec("makehuman", FIRST, "N", data_dir=tmp_path))
    assert len(bpy.data.objects) == before


def test_a_damaged_target_is_one_sentence(tmp_path: Path) -> None:
    for child in DATA.iterdir():
        (tmp_path / child.name).mkdir()
    (tmp_path / "makehuman/makehuman").symlink_to(DATA / "makehuman/makehuman")
    data, original = tmp_path / "mpfb2/src/mpfb/data", DATA / "mpfb2/src/mpfb/data"
    data.mkdir(parents=True)
    (data / "3dobjs").symlink_to(original / "3dobjs")
    (data / "targets").mkdir()
    macro = data / "targets/macrodetails"
    macro.mkdir()
    (macro / f"{FIRST}.target").write_text("12 0.1 half 0\n")
    with pytest.raises(InputError, match=r"damaged in line 1") as caught:
        build(AvatarSpec("makehuman", FIRST, "N", data_dir=tmp_path))
    assert "\n" not in str(caught.value)


def test_the_command_saves_a_file_that_opens_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "who.blend"
    who = ["--kind", "makehuman", "--makehuman", str(DATA), "--identity", f"{SECOND}+lips-full", "--texture-size", "64"]
    assert main([*who, "--expression", "smile=0.4", "--name", "who", "--out", str(out)]) == 0
    bpy.ops.wm.open_mainfile(filepath=str(out))
    head = bpy.data.objects["who"]
    assert head.data.shape_keys.key_blocks["smile"].value == pytest.approx(0.4)
    assert bpy.context.scene.camera is not None
    assert sum(obj.type == "LIGHT" for obj in bpy.data.objects) == 3
    assert head.data.materials[0].node_tree.nodes["Image Texture"].image.packed_file is not None
    capsys.readouterr()
    for wrong in (["--expression", "smile"], ["--expression", "smile=2"], ["--out", str(tmp_path / "x.png")]):
        assert main([*who, "--out", str(out), *wrong]) == 2
        assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert main(["--kind", "makehuman", "--makehuman", str(DATA), "--list"]) == 0
    assert SECOND in capsys.readouterr().out.split()
