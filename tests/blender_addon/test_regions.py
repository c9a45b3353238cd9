# SPDX-License-Identifier: GPL-3.0-or-later
"""The face region drawn from landmarks, painted, and read by the capture."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np
import pytest

from blender_addon.avatar_setup import meshes, regions
from blender_addon.capture.avatar import find_avatar
from blender_addon.capture.geometry import extract
from tests.blender_addon.layout import drawn
from tests.blender_addon.standin import build_standin
from tests.blender_addon.test_landmarks_guess import sample

OPS = bpy.ops.digidouble


def weights_of(head: Any, name: str) -> np.ndarray:
    """(V,) of a vertex group, else of the attribute."""
    group = head.vertex_groups.get(name)
    if group is None:
        return meshes.get(head.data.attributes[name].data, "value", 1)[:, 0]
    return np.array([next((g.weight for g in v.groups if g.group == group.index), 0.0) for v in head.data.vertices])


def front_view(head: Any, values: dict[str, np.ndarray], size: int = 160, turn: float = 0.0) -> dict[str, np.ndarray]:
    """Per-vertex values as seen from the front (or turned about z): name -> (size, size), orthographic, 0 beside."""
    points = meshes.read(head)[0].astype(np.float64)
    ids = np.array(head["digidouble_landmarks"])
    points = points - points[ids].mean(axis=0)
    points = points @ np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    scale = size / (2.4 * np.linalg.norm(points[ids[36]] - points[ids[45]]))
    head.data.calc_loop_triangles()
    faces = meshes.get(head.data.loop_triangles, "vertices", 3, np.int32)
    a, b = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 9))
    grid = np.stack([a[a + b <= 1], b[a + b <= 1], 1 - (a + b)[a + b <= 1]], axis=1)  # points within a triangle
    spots = np.einsum("kc,fcd->fkd", grid, points[faces]).reshape(-1, 3)
    column = np.floor(spots[:, 0] * scale + size / 2).astype(int)
    row = np.floor(size / 2 - spots[:, 2] * scale).astype(int)
    inside = (column >= 0) & (column < size) & (row >= 0) & (row < size)
    order = np.argsort(-spots[:, 1])  # the nearest is written last
    order = order[inside[order]]
    result = {}
    for name, value in values.items():
        image = np.zeros((size, size))
        image[row[order], column[order]] = (value[faces] @ grid.T).reshape(-1)[order]
        result[name] = image
    return result


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of what is above one half."""
    return float(((a > 0.5) & (b > 0.5)).sum() / ((a > 0.5) | (b > 0.5)).sum())


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("ada", "asian-female-young", "african-male-old")]


@pytest.mark.parametrize("name", ["chidi", *SLOW])
def test_the_drawn_region_is_about_the_one_that_was_made_by_hand(addon: Any, name: str) -> None:
    head = sample(name)
    OPS.avatar_use()
    own = {region: weights_of(head, region) for region in regions.region.NAMES}
    assert OPS.region_from_landmarks() == {"FINISHED"}
    drawn_ = {region: weights_of(head, region) for region in regions.region.NAMES}
    for turn in (0.0, 0.7):
        before, after = front_view(head, own, turn=turn), front_view(head, drawn_, turn=turn)
        seen = {region: overlap(before[region], after[region]) for region in own}
        assert seen["region_face"] > 0.88 and seen["region_lips"] > 0.85 and seen["region_brows"] > 0.40, seen
    face = drawn_["region_face"]
    ids = np.array(head["digidouble_landmarks"])
    assert face[ids[27:36]].min() > 0.95 and face[ids[48:60]].min() > 0.9 and 0.1 < (face > 0.5).mean() < 0.6
    assert ((face > 0.05) & (face < 0.95)).sum() > 100, "the border is soft"
    nape = meshes.read(head)[0][:, 1] > meshes.read(head)[0][ids[0], 1]
    assert face[nape].max() < 0.02


def test_five_landmarks_are_enough_for_a_region(addon: Any) -> None:
    head = sample("chidi")
    OPS.avatar_use()
    own = {"region_face": weights_of(head, "region_face")}
    truth = list(head["digidouble_landmarks"])
    OPS.landmarks_clear()
    for index in (30, 36, 45, 48, 54):
        OPS.landmark_set(index=index, vertex=truth[index])
    OPS.region_from_landmarks()
    found = find_avatar(bpy.context.scene, bpy.context.view_layer, addon.collection_name(bpy.context))
    captured = extract(found, bpy.context.view_layer, needs_landmarks=True)[0]
    assert captured.has_landmarks and 0.1 < (captured.region_face > 0.5).mean() < 0.6
    assert sum(v >= 0 for v in head["digidouble_landmarks"]) == 5, "what is guessed for the region is not kept"
    head["digidouble_landmarks"] = truth
    drawn_ = {"region_face": weights_of(head, "region_face")}
    seen = overlap(front_view(head, own)["region_face"], front_view(head, drawn_)["region_face"])
    assert seen > 0.80


def test_a_painted_region_is_what_the_capture_sees(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    head = bpy.data.objects["A"]
    own = weights_of(head, "region_face")
    assert OPS.region_paint() == {"FINISHED"}
    assert head.mode == "WEIGHT_PAINT" and head.vertex_groups.active.name == "region_face"
    assert "region_face" not in head.data.attributes
    assert np.abs(weights_of(head, "region_face") - own).max() < 1e-3, "painting starts from what was there"
    assert "Done Painting" in drawn("DIGIDOUBLE_PT_avatar").texts()
    addon.region = "region_brows"
    assert head.vertex_groups.active.name == "region_brows"
    head.vertex_groups["region_face"].add([5, 6], 0.25, "REPLACE")
    assert OPS.region_paint() == {"FINISHED"} and head.mode == "OBJECT"
    found = find_avatar(bpy.context.scene, bpy.context.view_layer, "A")
    head.modifiers["Subdivision"].show_render = False
    captured = extract(found, bpy.context.view_layer, needs_landmarks=True)[0]
    count = len(head.data.vertices)
    assert np.abs(captured.region_face[:count] - weights_of(head, "region_face")).max() < 1e-6
    assert captured.region_face[5] == 0.25 and captured.region_face[count:].max() == 0
    assert np.abs(captured.region_lips[:count] - weights_of(head, "region_lips")).max() < 1e-6  # still an attribute


def test_regions_need_landmarks_and_a_visible_head(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    head = bpy.data.objects["A"]
    with pytest.raises(RuntimeError, match="do not form a face"):  # the stand-in is none
        OPS.region_from_landmarks()
    head.hide_set(True)
    with pytest.raises(RuntimeError, match="'A' is hidden"):
        OPS.region_paint()
    OPS.landmarks_clear()
    with pytest.raises(RuntimeError, match="Place some landmarks first"):
        OPS.region_from_landmarks()
