# SPDX-License-Identifier: GPL-3.0-or-later
"""Splats in Blender: attributes equal the PLY to float32, survive a save, and point the right way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_addon.display.attributes import read_attribute
from blender_addon.display.demo import build_demo
from blender_addon.display.pointcloud import import_splats, read_back
from interchange.cameras import SPLAT_FROM_BLENDER
from interchange.capture import Capture
from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.splats import SH_C0, SUFFIXES, SplatCloud, read_ply, read_splats, write_ply, write_splats


def some_splats(count: int = 200, degree: int = 2, seed: int = 0) -> SplatCloud:
    rng = np.random.default_rng(seed)
    return SplatCloud(
        rng.normal(size=(count, 3)), rng.normal(size=(count, 3)) - 4, rng.normal(size=(count, 4)) * 3,
        rng.normal(size=count) * 3, rng.normal(size=(count, (degree + 1) ** 2, 3)), antialiased=degree % 2 == 0,
    )  # fmt: skip


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_attributes_equal_the_file(empty: Any, tmp_path: Path, degree: int) -> None:
    write_ply(tmp_path / "s.ply", some_splats(degree=degree))
    file = read_ply(tmp_path / "s.ply")
    item = import_splats(tmp_path / "s.ply", empty)
    assert item.type == "POINTCLOUD" and len(item.data.points) == 200
    norm = np.linalg.norm(file.quats_wxyz, axis=1, keepdims=True)
    expected = {
        "position": file.means,
        "scale": np.exp(file.log_scales),
        "rotation": file.quats_wxyz / norm,
        "radiance:base": np.concatenate([file.sh[:, 0], 1 / (1 + np.exp(-file.opacity_logits[:, None]))], axis=1),
    } | {f"radiance:sh_{k}": file.sh[:, k + 1] for k in range((degree + 1) ** 2 - 1)}
    for name, values in expected.items():
        found = read_attribute(item.data, name)
        np.testing.assert_allclose(found, values.astype(np.float32), rtol=1e-6, atol=1e-7, err_msg=name)
    names = set(item.data.attributes.keys())
    assert names == set(expected) | {"radius", "display_color"}
    back = read_back(item)
    np.testing.assert_array_equal(back.means, file.means)
    np.testing.assert_array_equal(back.sh, file.sh)
    np.testing.assert_allclose(back.log_scales, file.log_scales, rtol=1e-6, atol=2e-7)
    np.testing.assert_allclose(back.opacities, file.opacities, atol=1e-7)
    assert back.antialiased == file.antialiased and back.degree == degree


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_is_imported_upright(empty: Any, tmp_path: Path, suffix: str) -> None:
    """The attributes are what the reader gives, and a splat that is up in Blender is up again after any file."""
    cloud = some_splats(50, degree=1)
    cloud.means[:] = np.random.default_rng(1).uniform(-0.3, 0.3, (50, 3))
    cloud.means[0] = SPLAT_FROM_BLENDER @ [0.0, 0.0, 2.0]
    write_splats(tmp_path / f"s{suffix}", cloud)
    item = import_splats(tmp_path / f"s{suffix}", empty)
    bpy.context.view_layer.update()
    places = read_attribute(item.data, "position") @ np.array(item.matrix_world)[:3, :3].T
    np.testing.assert_allclose(places[places[:, 2].argmax()], [0, 0, 2], atol=1e-3)
    np.testing.assert_allclose(read_back(item).opacities, read_splats(tmp_path / f"s{suffix}").opacities, atol=1e-6)


def test_blender_s_own_gltf_importer_agrees_on_the_axes(empty: Any, tmp_path: Path) -> None:
    """It knows nothing of splats and makes points of them: where they stand is where the double stands."""
    cloud = some_splats(20, degree=0)
    write_splats(tmp_path / "s.glb", cloud)
    bpy.ops.import_scene.gltf(filepath=str(tmp_path / "s.glb"), merge_vertices=False)
    points = np.array([v.co[:] for v in next(o for o in bpy.data.objects if o.type == "MESH").data.vertices])
    np.testing.assert_allclose(points, cloud.means @ SPLAT_FROM_BLENDER, atol=1e-5)  # the inverse, since these are rows


def test_object_matrix_carries_the_rotation(empty: Any, tmp_path: Path) -> None:
    """A splat that is up in Blender is at negative y in the file; data stay as the file has them."""
    cloud = some_splats(1)
    cloud.means[0] = SPLAT_FROM_BLENDER @ [0.0, 0.0, 2.0]
    write_ply(tmp_path / "s.ply", cloud)
    item = import_splats(tmp_path / "s.ply", empty)
    bpy.context.view_layer.update()
    np.testing.assert_allclose(np.array(item.matrix_world @ item.data.points[0].co), [0, 0, 2], atol=1e-6)
    np.testing.assert_allclose(read_attribute(item.data, "position")[0], [0, -2, 0], atol=1e-6)


def test_unusable_files_are_one_sentence(empty: Any, tmp_path: Path) -> None:
    (tmp_path / "text.ply").write_text("hello")
    for name, sentence in (("text.ply", "not a PLY"), ("none.ply", "missing")):
        with pytest.raises(InputError, match=sentence):
            import_splats(tmp_path / name, empty)
    broken = some_splats(3)
    broken.means[:] = np.nan
    write_ply(tmp_path / "nan.ply", broken)
    with pytest.raises(InputError, match="no usable splats"):
        import_splats(tmp_path / "nan.ply", empty)
    broken.means[1] = 0
    write_ply(tmp_path / "nan.ply", broken)
    assert len(import_splats(tmp_path / "nan.ply", empty).data.points) == 1  # bad ones are left out
    item = bpy.data.objects.new("cube", bpy.data.meshes.new("cube"))
    with pytest.raises(InputError, match="no splat cloud"):
        read_back(item)


def test_points_render_in_their_colour(empty: Any, tmp_path: Path) -> None:
    """A large red splat seen by Cycles has the display colour of its constant band."""
    cloud = some_splats(1, degree=0)
    cloud.means[:], cloud.log_scales[:], cloud.opacity_logits[:] = 0, np.log(0.5), 20
    wanted = np.array([0.8, 0.3, 0.1])
    cloud.sh[0, 0] = (wanted - 0.5) / SH_C0
    write_ply(tmp_path / "s.ply", cloud)
    import_splats(tmp_path / "s.ply", empty)
    camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
    camera.location = (0, 0, 4)
    empty.collection.objects.link(camera)
    empty.camera = camera
    empty.render.engine, empty.cycles.samples, empty.cycles.use_denoising = "CYCLES", 4, False
    empty.render.resolution_x = empty.render.resolution_y = 16
    from blender_addon.capture.passes import CyclesTap

    with CyclesTap() as tap:
        middle = tap.render(empty)["Combined"][8, 8]
    np.testing.assert_allclose(srgb_from_linear(middle[:3]), wanted, atol=0.01)


def test_demo_file_holds_everything(captured: Capture, tmp_path: Path) -> None:
    from tests.blender_addon.standin import build_standin

    bpy.ops.wm.read_factory_settings(use_empty=True)
    build_standin("A")
    cloud = some_splats(50, degree=1)
    write_ply(tmp_path / "s.ply", cloud)
    said = build_demo(tmp_path / "s.ply", tmp_path / "demo.blend", bpy.context, captured)
    assert said["splats"] == 50 and said["follows"]
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "demo.blend"))
    scene = bpy.context.scene
    double = bpy.data.objects["double"]
    np.testing.assert_array_equal(read_back(double).sh, read_ply(tmp_path / "s.ply").sh)
    assert {"A", "A_eyes", "A_hair", "A_rig"} <= set(bpy.data.objects.keys())
    assert bpy.data.objects["A"].data.shape_keys.key_blocks["smile"].value == pytest.approx(0.5)
    assert bpy.data.objects["A"].hide_render and bpy.data.objects["A"].hide_get()
    assert not bpy.data.objects["A_rig"].hide_get() and any(o.type == "LIGHT" for o in scene.objects)
    assert {m.name for m in double.modifiers} & {"Follow A_eyes", "Follow A_hair"}
    views = {v.name for v in captured.views}
    assert views <= set(bpy.data.objects.keys()) and scene.camera.name in views
    assert scene.render.resolution_x == captured.views[0].camera.width
    assert [p.name for p in tmp_path.glob("*.blend*")] == ["demo.blend"]
