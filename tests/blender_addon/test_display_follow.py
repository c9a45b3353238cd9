# SPDX-License-Identifier: GPL-3.0-or-later
"""A double that follows its avatar: against a second implementation in numpy, and against the captured surface."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix
from mathutils.bvhtree import BVHTree

from blender_addon.capture.capture import capture_avatar
from blender_addon.capture.rigs import Dome
from blender_addon.capture.settings import CaptureSettings, PoseSettings, RenderSettings
from blender_addon.display import follow, surfaces
from blender_addon.display.attributes import read_attribute
from blender_addon.display.binding import bind, read_birth
from blender_addon.display.double import show_double
from blender_addon.display.edits import posed_cloud
from blender_addon.display.follow_nodes import FOLLOW, follow_group
from blender_addon.display.pointcloud import add_splats
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.capture import Capture
from interchange.errors import InputError
from interchange.splats.axes import matrix_from_quaternion, sh_basis
from tests.blender_addon.doubles import born_on, some_splats
from tests.blender_addon.standin import build_standin

NODE_REACHES_THE_LIMIT = bpy.app.version >= (4, 3, 0)  # of subdivision; the stand-in is coarse, so it is far away


@pytest.fixture(scope="module")
def captured(standin_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Capture:
    """A capture of that file."""
    folder: Path = tmp_path_factory.mktemp("capture")
    render, pose = RenderSettings(size=64, samples=1), PoseSettings({"smile": 0.5}, {"head": (0.0, 0.0, 12.0)})
    capture_avatar(folder, CaptureSettings(rig=Dome(1, 1), render=render, pose=pose))
    return Capture.load(folder)


@pytest.fixture
def shown(captured: Capture, standin_file: Path, tmp_path: Path) -> Any:
    """The stand-in in the captured pose, and a double that follows it."""
    bpy.ops.wm.open_mainfile(filepath=str(standin_file))
    _pose(head=12.0, smile=0.5)
    cloud, face, barycentric = born_on(captured, tmp_path / "double")
    found = show_double(tmp_path / "double", captured.folder, bpy.context.scene)
    assert found.follows and not found.notes
    return found.item, cloud, face, barycentric


def _pose(head: float = 0.0, jaw: float = 0.0, smile: float = 0.0) -> None:
    bones = bpy.data.objects["A_rig"].pose.bones
    for name, degrees in (("head", head), ("jaw", jaw)):
        turn = Euler((np.radians(degrees) if name == "jaw" else 0, 0, np.radians(degrees) if name == "head" else 0))
        bones[name].matrix_basis = turn.to_matrix().to_4x4()
    bpy.data.objects["A"].data.shape_keys.key_blocks["smile"].value = smile
    bpy.context.view_layer.update()


def _levels(levels: int) -> None:
    bpy.data.objects["A"].modifiers["Subdivision"].levels = levels


def _evaluated(item: Any) -> dict[str, np.ndarray]:
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    data = item.evaluated_get(depsgraph).data
    return {name: read_attribute(data, name) for name in ("position", "rotation", "scale", "bind_turn")}


def _vertices(name: str) -> np.ndarray:
    """World places of an object's vertices as evaluated."""
    evaluated = bpy.data.objects[name].evaluated_get(bpy.context.evaluated_depsgraph_get())
    mesh = evaluated.to_mesh()
    flat = np.empty(len(mesh.vertices) * 3, np.float32)
    mesh.vertices.foreach_get("co", flat)
    evaluated.to_mesh_clear()
    matrix = np.array(evaluated.matrix_world)
    return flat.reshape(-1, 3).astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def _reference(cloud: Any, found: Any, item: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, rotations and growth, splat by splat: frames by QR, the rotation by a singular value decomposition."""
    places, turns, growths = [], [], []
    meshes = [_vertices(part.name) @ SPLAT_FROM_BLENDER.T for part in found.parts]
    for i in range(len(cloud)):
        before, after = found.corners[i], meshes[found.part[i]][found.vertices[i]]
        old, new = [np.stack([c[1] - c[0], c[2] - c[0]], axis=1) for c in (before, after)]
        n0, n1 = [n / np.linalg.norm(n) for n in (np.cross(*old.T), np.cross(*new.T))]
        growth = np.sqrt(np.linalg.norm(np.cross(*new.T)) / np.linalg.norm(np.cross(*old.T)))
        # the map that takes the old plane to the new one and the old normal to the new one
        whole = np.column_stack([new, n1]) @ np.linalg.inv(np.column_stack([old, n0]))
        left, _, right = np.linalg.svd(whole)
        height = (cloud.means[i] - before[0]) @ n0
        places.append(after[0] + whole @ (cloud.means[i] - before[0]) + (growth - 1) * height * n1)
        turns.append(left @ right)
        growths.append(growth)
    return np.array(places), np.array(turns), np.array(growths)


def test_it_stands_still_in_the_captured_pose(shown: Any) -> None:
    item, cloud, _, _ = shown
    for levels in (0, 1, 2):  # the viewport's subdivision makes no difference
        _levels(levels)
        bpy.context.view_layer.update()
        found = _evaluated(item)
        exact = levels > 0 or NODE_REACHES_THE_LIMIT
        np.testing.assert_allclose(found["position"], cloud.means, atol=2e-6 if exact else 2e-3)
        np.testing.assert_allclose(found["scale"], cloud.scales, rtol=1e-3 if exact else 0.2)


def test_it_follows_as_the_reference_says(shown: Any, captured: Capture) -> None:
    item, cloud, face, barycentric = shown
    _levels(1)
    _pose(head=-35.0, jaw=25.0, smile=1.0)
    bound = bind(captured, face, barycentric.astype(float), "rest", cloud.means)
    places, turns, growths = _reference(cloud, bound, item)
    found = _evaluated(item)
    assert np.linalg.norm(places - cloud.means, axis=1).max() > 0.02  # the pose is not the captured one
    assert np.linalg.norm(found["position"] - places, axis=1).max() <= 1e-4
    rotated = matrix_from_quaternion(found["rotation"])
    expected = turns @ matrix_from_quaternion(cloud.quats_wxyz)
    assert np.abs(rotated - expected).max() < 2e-3
    np.testing.assert_allclose(found["scale"], cloud.scales * growths[:, None], rtol=2e-3)
    _levels(0)
    bpy.context.view_layer.update()
    worst = np.linalg.norm(_evaluated(item)["position"] - places, axis=1).max()
    assert worst <= (1e-4 if NODE_REACHES_THE_LIMIT else 5e-3)


def test_splats_stay_on_the_captured_surface(shown: Any, captured: Capture) -> None:
    """Against the mesh with all its captured triangles: what binding to the coarser base mesh costs."""
    item, cloud, face, barycentric = shown
    _levels(1)
    _pose(head=-35.0, jaw=25.0)
    now = np.concatenate([_vertices(part.name) for part in captured.objects])
    faces = captured.load_mesh().faces[face]
    birth = np.einsum("ni,nij->nj", barycentric, captured.load_mesh().vertices[faces])
    where = np.einsum("ni,nij->nj", barycentric, now[faces]) @ SPLAT_FROM_BLENDER.T
    away_before = np.linalg.norm(cloud.means - birth @ SPLAT_FROM_BLENDER.T, axis=1)
    away = np.linalg.norm(_evaluated(item)["position"] - where, axis=1)
    error = np.abs(away - away_before)  # most where the stand-in's jaw tears its quads of 2 cm
    assert np.median(error) < 1e-4 and np.percentile(error, 95) < 2e-3


def test_the_double_can_be_moved_beside_its_avatar(shown: Any) -> None:
    item, cloud, _, _ = shown
    before = posed_cloud(item, bpy.context).means
    item.matrix_world = Matrix.Translation((1.0, 0, 0)) @ item.matrix_world
    bpy.context.view_layer.update()
    np.testing.assert_allclose(posed_cloud(item, bpy.context).means, before + [1, 0, 0], atol=1e-5)


def test_the_avatar_s_own_moves_and_modifiers_count(shown: Any) -> None:
    item, cloud, _, _ = shown
    _levels(1)
    rig = bpy.data.objects["A_rig"]
    rig.matrix_world = Matrix.Translation((0, 0.5, 0)) @ Matrix.Scale(2.0, 4)
    bpy.context.view_layer.update()
    found = _evaluated(item)
    expected = (2 * cloud.means @ SPLAT_FROM_BLENDER + [0, 0.5, 0]) @ SPLAT_FROM_BLENDER.T
    np.testing.assert_allclose(found["position"], expected, atol=1e-5)
    np.testing.assert_allclose(found["scale"], 2 * cloud.scales, rtol=1e-3)
    rig.matrix_world = Matrix.Identity(4)
    head = bpy.data.objects["A"]
    lattice = head.modifiers.new("Bend", "SIMPLE_DEFORM")
    lattice.deform_method, lattice.angle = "BEND", 0.5
    bpy.context.view_layer.update()
    on_head = read_attribute(item.data, "bind_part")[:, 0] == 0
    moved = np.linalg.norm(_evaluated(item)["position"] - cloud.means, axis=1)
    assert moved[on_head].max() > 0.005


def test_following_is_switched_off_and_survives_hiding_and_a_save(shown: Any, tmp_path: Path) -> None:
    item, cloud, _, _ = shown
    _pose(head=-35.0)
    follow.set_following(item, False)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    depsgraph.update()
    still = read_attribute(item.evaluated_get(depsgraph).data, "position")
    np.testing.assert_array_equal(still, cloud.means)
    follow.set_following(item, True)
    follow.show_avatar(item, False)
    _pose(head=20.0)
    bpy.context.view_layer.update()
    hidden = _evaluated(item)["position"]
    bpy.data.collections["A"].hide_viewport = True  # nor when the whole avatar is out of sight
    _pose(head=-20.0)
    other = _evaluated(item)["position"]
    assert np.linalg.norm(other - hidden, axis=1).max() > 0.02
    name = item.name
    assert name == tmp_path.name, "named after its job: every job's folder for it is called double"
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "with a double.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "with a double.blend"))
    np.testing.assert_allclose(_evaluated(bpy.data.objects[name])["position"], other, atol=1e-6)


def test_colours_turn_with_the_splats(shown: Any) -> None:
    """What the export of a pose has: a splat seen along R d shows what it showed along d."""
    item, cloud, _, _ = shown
    _pose(head=-60.0, jaw=20.0, smile=1.0)
    turns = matrix_from_quaternion(_evaluated(item)["bind_turn"])
    posed = posed_cloud(item, bpy.context)
    direction = np.array([0.36, -0.48, 0.8])
    before = np.einsum("k,nkc->nc", sh_basis(direction[None], 1)[0], cloud.sh)
    after = np.einsum("nk,nkc->nc", sh_basis(turns @ direction, 1), posed.sh)
    np.testing.assert_allclose(after, before, atol=1e-4)
    assert np.abs(posed.sh - cloud.sh).max() > 0.1


def test_what_cannot_be_followed_is_said(captured: Capture, standin_file: Path, tmp_path: Path) -> None:
    born_on(captured, tmp_path / "double")
    bpy.ops.wm.read_factory_settings(use_empty=True)
    scene = bpy.context.scene
    found = show_double(tmp_path / "double", captured.folder, scene)
    assert not found.follows and "is not in this file" in found.notes[0] and len(found.item.data.points) == 400
    build_standin("A", segments=20)  # another mesh of the same name
    found = show_double(tmp_path / "double", captured.folder, scene)
    assert any("'A' is not as it was captured" in note for note in found.notes)
    found = show_double(tmp_path / "double", tmp_path / "nowhere", scene)
    assert not found.follows and "does not follow" in found.notes[0]
    (tmp_path / "double" / "binding.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match="cannot be read"):
        read_birth(tmp_path / "double" / "binding.npz", 400)
    bpy.ops.wm.open_mainfile(filepath=str(standin_file))
    found = show_double(tmp_path / "double", captured.folder, bpy.context.scene)
    assert found.follows and "nearest surface" in found.notes[0]
    bpy.data.objects.remove(bpy.data.objects["A_hair"])
    assert "gone from the file" in (follow.what_is_wrong(found.item) or "")


def test_an_avatar_that_its_double_hides_is_captured_again(standin: Any, tmp_path: Path) -> None:
    def views(folder: str) -> np.ndarray:
        render = RenderSettings(size=48, samples=1)
        captured = capture_avatar(tmp_path / folder, CaptureSettings(rig=Dome(1, 0), render=render))
        return captured.load_view(captured.views[0]).rgb

    def parts() -> list:
        return [item for item in bpy.data.collections["A"].all_objects if item.type == "MESH"]

    before = views("before")
    for part in parts():
        part.hide_render = True
        part.hide_set(True)
        follow.mark_stand_in(part, True)
    double = add_splats(some_splats(400, seed=3), bpy.context.scene)
    again = views("again")
    assert np.abs(again - before).max() < 1e-3 and before.max() > 0.01
    assert all(part.hide_render and part.hide_get() for part in parts())
    assert not double.hide_render


@pytest.mark.parametrize("hide", ["eye", "screen", "collection", "excluded"])
def test_a_hidden_double_is_not_exported_as_if_it_stood_still(shown: Any, hide: str) -> None:
    item, cloud, _, _ = shown
    _pose(head=-60.0)
    before = posed_cloud(item, bpy.context)
    assert np.abs(before.means - cloud.means).max() > 0.02
    holder = bpy.data.collections.new("doubles")
    bpy.context.scene.collection.children.link(holder)
    holder.objects.link(item)
    bpy.context.scene.collection.objects.unlink(item)
    bpy.context.view_layer.update()
    layer = bpy.context.view_layer.layer_collection.children["doubles"]
    if hide == "eye":  # by which Blender still poses it
        item.hide_set(True)
        np.testing.assert_allclose(posed_cloud(item, bpy.context).means, before.means, atol=1e-6)
        return
    owner = {"screen": item, "collection": holder, "excluded": layer}[hide]
    setattr(owner, "exclude" if hide == "excluded" else "hide_viewport", True)
    with pytest.raises(InputError, match="hidden, so Blender does not know how it is posed"):
        posed_cloud(item, bpy.context)
    follow.set_following(item, False)
    np.testing.assert_allclose(posed_cloud(item, bpy.context).means, cloud.means, atol=1e-6)


def test_a_group_of_an_older_version_is_left_alone_and_replaced_once(empty: Any) -> None:
    old = bpy.data.node_groups.new(FOLLOW, "GeometryNodeTree")
    old["digidouble_version"] = 1
    new = follow_group()
    assert new != old and not old.nodes and follow_group() == new
    locations = {tuple(node.location) for node in new.nodes}
    assert len(locations) == len(new.nodes) and all(node.hide for node in new.nodes)


def test_the_nearest_surface_is_found_in_parts(captured: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trees of a large mesh are built one after the other, so that Blender gets its turn."""
    mesh, means = captured.load_mesh(), some_splats(600).means * 0.1

    def distances() -> list[float]:
        faces, points = surfaces.nearest(mesh, means)[0], means @ SPLAT_FROM_BLENDER
        trees = [BVHTree.FromPolygons(mesh.vertices[corners].tolist(), [(0, 1, 2)]) for corners in mesh.faces[faces]]
        return [tree.find_nearest(point)[3] for tree, point in zip(trees, points.tolist(), strict=True)]

    whole = distances()
    monkeypatch.setattr(surfaces, "_TRIANGLES", 100)
    assert len(mesh.faces) > 300
    np.testing.assert_allclose(distances(), whole, atol=1e-6)
