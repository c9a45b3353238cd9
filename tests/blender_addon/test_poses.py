# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses: which there are, which camera sees which, and a capture of several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest

from blender_addon.capture.capture import capture_avatar
from blender_addon.capture.poses import action_poses, file_part, frame_poses, random_expressions, shares
from blender_addon.capture.rigs import Dome, Sphere
from blender_addon.capture.settings import CaptureSettings, PoseSettings, RenderSettings
from interchange.capture import Capture
from interchange.errors import InputError
from tests.blender_addon.scene_state import difference, snapshot

QUICK = RenderSettings(size=32, samples=1, denoise=False)


def test_frames_are_named_and_counted() -> None:
    poses = frame_poses(1, 10, 4)
    assert [(p.name, p.frame) for p in poses] == [("frame_0001", 1), ("frame_0005", 5), ("frame_0009", 9)]
    with pytest.raises(InputError, match="none"):
        frame_poses(5, 4, 1)
    with pytest.raises(InputError, match="1 to 1000"):
        frame_poses(1, 5000, 1)


def test_actions_are_sampled_evenly_under_file_names_of_their_own() -> None:
    poses = action_poses({"Gehen / schnell": (1.0, 21.0), "ГЕХЕН": (3.0, 3.0), "гехен": (3.0, 3.0)}, 3)
    assert [p.frame for p in poses] == [1, 11, 21, 3, 3]
    assert [p.name for p in poses] == ["Gehen___schnell_0001", "Gehen___schnell_0011", "Gehen___schnell_0021",
                                       "ГЕХЕН_0003", "гехен_0003_2"]  # fmt: skip
    assert len(file_part("長" * 100).encode()) <= 60 and file_part("///") == "unnamed"
    with pytest.raises(InputError, match="No action"):
        action_poses({}, 3)


def test_random_expressions_repeat_and_stay_on_their_sliders() -> None:
    sliders = {"smile": (0.0, 1.0), "frown": (-0.5, 0.0), "jaw": (0.0, 0.4)}
    poses = random_expressions(sliders, 6, seed=3)
    assert poses == random_expressions(sliders, 6, seed=3) != random_expressions(sliders, 6, seed=4)
    assert set(poses[0].expression.values()) == {0.0}  # the neutral face
    for pose in poses[1:]:
        assert pose.expression.keys() == sliders.keys() and any(pose.expression.values())
        assert all(low <= pose.expression[name] <= high for name, (low, high) in sliders.items())
    with pytest.raises(InputError, match="no shape keys"):
        random_expressions({}, 3, 0)


def test_spread_gives_each_pose_its_share() -> None:
    splits = ["train"] * 7 + ["held_out"] * 2
    assert len(shares(3, splits, False)) == 27
    pairs = shares(3, splits, True)
    assert sorted(camera for _, camera in pairs) == list(range(9))
    counts = np.bincount([pose for pose, camera in pairs if splits[camera] == "train"])
    assert counts.tolist() == [3, 2, 2]
    with pytest.raises(InputError, match="cannot be spread"):
        shares(8, splits, True)


@pytest.fixture
def animated(standin: Any) -> Any:
    """The stand-in with an action on its head bone and a keyed smile."""
    rig, keys = bpy.data.objects["A_rig"], bpy.data.objects["A"].data.shape_keys
    bone = rig.pose.bones["head"]
    bone.rotation_mode = "XYZ"
    for frame, angle in ((1, 0.0), (11, 0.5)):
        bone.rotation_euler = (0.0, 0.0, angle)
        bone.keyframe_insert("rotation_euler", frame=frame)
        keys.key_blocks["smile"].value = angle
        keys.key_blocks["smile"].keyframe_insert("value", frame=frame)
    rig.animation_data.action.name = "Nicken"
    bpy.context.scene.frame_set(1)
    return standin


def matches_pictures(folder: Path) -> None:
    """The rendered silhouettes are those of the meshes that the manifest names."""
    captured = Capture.load(folder)
    for view in captured.views:
        mesh, images = captured.load_mesh(captured.pose_of(view)), captured.load_view(view, ())
        uv, _ = view.camera.project(mesh.vertices)
        columns, rows = (np.flatnonzero(images.alpha.sum(axis=axis) > 0.5) for axis in (0, 1))
        bounds = (uv[:, 0].min() - columns[0], uv[:, 0].max() - columns[-1] - 1,
                  uv[:, 1].min() - rows[0], uv[:, 1].max() - rows[-1] - 1)  # fmt: skip
        assert np.abs(bounds).max() < 1.6, view.name


def test_frames_in_one_capture(animated: Any, tmp_path: Path) -> None:
    rig = bpy.data.objects["A_rig"]
    rig.pose.bones["head"].rotation_euler = (0.0, 0.1, 0.2)  # without a key
    bpy.context.view_layer.update()
    before = snapshot()
    settings = CaptureSettings(rig=Dome(2, 1), render=QUICK, poses=frame_poses(1, 11, 5))
    capture_avatar(tmp_path, settings)
    assert not difference(before, snapshot())
    captured = Capture.load(tmp_path)
    assert [p.name for p in captured.poses] == ["frame_0001", "frame_0006", "frame_0011"]
    assert [p.frame for p in captured.poses] == [1, 6, 11]
    assert len(captured.views) == 9 and captured.views[0].name == "train_000_frame_0001"
    smiles = [p.shape_keys.get("smile", 0.0) for p in captured.poses]
    assert smiles[0] == 0 and 0.1 < smiles[1] < 0.4 and smiles[2] == pytest.approx(0.5)
    meshes = [captured.load_mesh(p).vertices for p in captured.poses]
    assert np.abs(meshes[2] - meshes[0]).max() > 0.01
    cameras = [v.camera.world_to_camera for v in captured.views if v.name.startswith("train_000")]
    assert all(np.array_equal(cameras[0], other) for other in cameras)  # one rig for all poses
    matches_pictures(tmp_path)


def test_actions_are_put_on_and_given_back(animated: Any, tmp_path: Path) -> None:
    rig = bpy.data.objects["A_rig"]
    action = rig.animation_data.action
    rig.animation_data.action = None
    rig.pose.bones["head"].rotation_euler = (0.0, 0.0, 0.0)
    before = snapshot()
    settings = CaptureSettings(
        rig=Dome(3, 0), render=QUICK, spread=True, poses=action_poses({action.name: (1.0, 11.0)}, 2)
    )
    capture_avatar(tmp_path, settings)
    assert not difference(before, snapshot())
    captured = Capture.load(tmp_path)
    assert [(v.name, v.pose) for v in captured.views] == [
        ("train_000_Nicken_0001", "Nicken_0001"), ("train_002_Nicken_0001", "Nicken_0001"),
        ("train_001_Nicken_0011", "Nicken_0011"),
    ]  # fmt: skip
    meshes = [captured.load_mesh(p).vertices for p in captured.poses]
    assert np.abs(meshes[1] - meshes[0]).max() > 0.01
    matches_pictures(tmp_path)
    with pytest.raises(InputError, match="no action 'Laufen'"):
        capture_avatar(tmp_path / "b", CaptureSettings(render=QUICK, pose=PoseSettings(action="Laufen")))


def test_expressions_in_one_capture_and_fewer_later(standin: Any, tmp_path: Path) -> None:
    sliders = {"smile": (0.0, 1.0), "jaw_open": (0.0, 1.0)}
    before = snapshot()
    poses = random_expressions(sliders, 3, seed=1)
    capture_avatar(tmp_path, CaptureSettings(rig=Dome(1, 0), render=QUICK, poses=poses))
    assert not difference(before, snapshot())
    captured = Capture.load(tmp_path)
    assert captured.poses[0].shape_keys == {} and all(p.shape_keys for p in captured.poses[1:])
    matches_pictures(tmp_path)
    capture_avatar(tmp_path, CaptureSettings(rig=Dome(1, 0), render=QUICK, poses=poses[:2]))
    assert len(list((tmp_path / "views").iterdir())) == len(list((tmp_path / "meshes").iterdir())) == 2  # swept


def test_pose_names_are_told_apart() -> None:
    with pytest.raises(InputError, match="Two poses"):
        CaptureSettings(poses=[PoseSettings(), PoseSettings()])


@pytest.mark.parametrize(
    "ask",
    [lambda: Dome(seed=-1), lambda: Sphere(seed=-1), lambda: random_expressions({"smile": (0.0, 1.0)}, 3, -1),
     lambda: Dome(face_weight=float("nan")), lambda: Dome(face_weight=-5.0), lambda: PoseSettings(name="../elsewhere"),
     lambda: PoseSettings(name="a/b"), lambda: PoseSettings(name="a:b"), lambda: PoseSettings(name="")],
)  # fmt: skip
def test_what_a_pipeline_gets_wrong_is_told(ask: Callable[[], Any]) -> None:
    with pytest.raises(InputError):
        ask()
    assert PoseSettings(name="Lächeln 2").name and len(random_expressions({"smile": (0.0, 1.0)}, 3, 0)) == 3
