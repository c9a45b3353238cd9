# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's shape and skin on the avatar's own mesh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler

from blender_addon.capture.capture import capture_avatar
from blender_addon.capture.rigs import Dome
from blender_addon.capture.settings import CaptureSettings, RenderSettings
from blender_addon.capture.textures import surface_of
from blender_addon.display.mesh_double import OFFSET, REPORT, SHAPE_KEY, TEXTURE, take_over
from interchange.capture import Capture
from interchange.errors import InputError
from interchange.png import write_png


@pytest.fixture
def swapped(standin: Any, tmp_path: Path) -> Capture:
    """A capture of the turned stand-in that serves as swapped folder: its shape moved, its skin green."""
    bpy.data.objects["A_rig"].rotation_euler = Euler((0.2, 0.0, 0.7))
    bpy.context.view_layer.update()
    captured = capture_avatar(tmp_path, CaptureSettings(rig=Dome(1, 0), render=RenderSettings(size=24, samples=1)))
    mesh = captured.load_mesh()
    offset = 0.01 * mesh.rest_vertices
    offset[:, 1] = -0.001
    ends = [int(mesh.faces[mesh.face_object == i].max()) + 1 for i in range(len(captured.objects))]
    np.savez(
        tmp_path / OFFSET, offset=offset.astype(np.float32), object=np.array([o.name for o in captured.objects]),
        first_vertex=np.array([0, *ends]),
    )  # fmt: skip
    write_png(tmp_path / TEXTURE, np.full((16, 16, 3), (20, 200, 30), np.uint8))
    return captured


def _head() -> Any:
    return bpy.data.objects["A"]


def _world(count: int) -> np.ndarray:
    """(count, 3) the head's first evaluated vertices in the world."""
    depsgraph = bpy.context.evaluated_depsgraph_get()
    head = _head().evaluated_get(depsgraph)
    points = np.array([v.co[:] for v in head.data.vertices[:count]])
    return points @ np.array(head.matrix_world)[:3, :3].T + np.array(head.matrix_world)[:3, 3]


def test_shape_and_skin_are_taken_over(swapped: Capture) -> None:
    count = len(_head().data.vertices)
    before, image = _world(count), surface_of(_head()).image
    taken = take_over(swapped.folder, bpy.context)
    assert taken.skin and set(taken.parts) == {"A", "A_eyes", "A_hair"}
    bpy.context.view_layer.update()
    with np.load(swapped.folder / OFFSET) as stored:
        offset = stored["offset"][:count]
    frame = np.array(bpy.data.objects["A_rig"].matrix_world)[:3, :3]
    moved = _world(count) - before
    # the subdivision, which is off in the viewport, smooths the offset as it smooths the mesh
    np.testing.assert_allclose(moved, offset @ frame.T, atol=2e-4)
    skin = surface_of(_head())
    assert skin.image != image and skin.image.packed_file is not None
    np.testing.assert_allclose(np.array(skin.image.pixels[:3]) * 255, (20, 200, 30), atol=1)
    assert _head().active_material.name.endswith(" double")
    key = _head().data.shape_keys.key_blocks[SHAPE_KEY]
    key.value = 0.0
    bpy.context.view_layer.update()
    np.testing.assert_allclose(_world(count), before, atol=1e-6)


def test_a_second_time_replaces(swapped: Capture) -> None:
    take_over(swapped.folder, bpy.context)
    keys, materials = len(_head().data.shape_keys.key_blocks), len(bpy.data.materials)
    take_over(swapped.folder, bpy.context)
    assert len(_head().data.shape_keys.key_blocks) == keys and len(bpy.data.materials) == materials


def test_irises_are_taken_over(swapped: Capture) -> None:
    before = surface_of(bpy.data.objects["A_eyes"]).image
    report = {"eyes": {"textures": {"A_eyes": "textures/A_eyes.png", "gone": "textures/gone.png"}}}
    (swapped.folder / REPORT).write_text(json.dumps(report), encoding="utf-8")
    write_png(swapped.folder / "textures" / "A_eyes.png", np.full((16, 16, 3), (30, 90, 200), np.uint8))
    assert take_over(swapped.folder, bpy.context).eyes == ("A_eyes",)
    eyes = surface_of(bpy.data.objects["A_eyes"])
    assert eyes.image != before and eyes.image.packed_file is not None
    np.testing.assert_allclose(np.array(eyes.image.pixels[:3]) * 255, (30, 90, 200), atol=1)
    (swapped.folder / REPORT).write_text(json.dumps({"eyes": None}), encoding="utf-8")
    assert take_over(swapped.folder, bpy.context).eyes == ()
    (swapped.folder / REPORT).write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match="damaged"):
        take_over(swapped.folder, bpy.context)


def test_what_cannot_be_taken_over_is_said(swapped: Capture) -> None:
    bad = swapped.folder / OFFSET
    bad.write_bytes(b"nonsense")
    with pytest.raises(InputError, match="damaged"):
        take_over(swapped.folder, bpy.context)
    bad.unlink()
    assert take_over(swapped.folder, bpy.context).parts == ()
    (swapped.folder / TEXTURE).unlink()
    with pytest.raises(InputError, match="no skin and no shape"):
        take_over(swapped.folder, bpy.context)
