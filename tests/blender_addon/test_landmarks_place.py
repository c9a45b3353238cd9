# SPDX-License-Identifier: GPL-3.0-or-later
"""Landmarks: operators, mirroring, the guided placing, and meshes that are recognised."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Vector

import blender_addon
from avatars.makehuman.landmarks import BASE_LANDMARKS
from blender_addon.avatar_setup import known, landmarks, meshes, overlay, picking, placing, vertex_marks
from interchange.errors import InputError
from tests.blender_addon.layout import drawn
from tests.blender_addon.standin import build_standin
from tests.blender_addon.test_landmarks_guess import DATA, needs_data, sample

OPS = bpy.ops.digidouble


# --- operators ------------------------------------------------------------------------------------------------------


def test_landmarks_are_set_mirrored_completed_and_cleared_by_scripts(addon: Any) -> None:
    head = sample("ada")
    OPS.avatar_use()
    truth = list(head["digidouble_landmarks"])
    OPS.landmarks_clear()
    assert "digidouble_landmarks" not in head
    with pytest.raises(RuntimeError, match="Place some landmarks first"):
        OPS.landmarks_complete()
    for index in [i for i in landmarks.NORMAL if i <= landmarks.PARTNER[i]]:
        assert OPS.landmark_set(index=index, vertex=truth[index]) == {"FINISHED"}
    assert OPS.landmarks_mirror() == {"FINISHED"}
    assert vertex_marks.placed_of(head) == {i: truth[i] for i in landmarks.NORMAL}
    assert "15 placed" in drawn("DIGIDOUBLE_PT_avatar").texts()
    assert OPS.landmarks_complete() == {"FINISHED"}
    ids = vertex_marks.ids_of(head)
    assert min(ids) >= 0 and vertex_marks.guessed_of(head) == set(range(68)) - set(landmarks.NORMAL)
    assert "15 placed, 53 guessed" in drawn("DIGIDOUBLE_PT_avatar").texts()
    moved = truth[57]
    OPS.landmark_set(index=57, vertex=moved)
    OPS.landmarks_complete()
    assert 57 not in vertex_marks.guessed_of(head) and vertex_marks.ids_of(head)[57] == moved
    with pytest.raises(RuntimeError, match="has no vertex 99999999"):
        OPS.landmark_set(index=3, vertex=99999999)
    assert OPS.landmark_set(index=57, vertex=-1) == {"FINISHED"} and vertex_marks.ids_of(head)[57] == -1


def test_clicking_needs_a_window_and_says_so(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    with pytest.raises(RuntimeError, match="digidouble.landmark_set"):
        OPS.landmarks_place()


@pytest.mark.parametrize("name", ["ada", pytest.param("asian-female-old", marks=pytest.mark.slow)])
def test_sample_heads_are_recognised(addon: Any, name: str) -> None:
    head = sample(name)
    OPS.avatar_use()
    truth = list(head["digidouble_landmarks"])
    OPS.landmarks_clear()
    assert "Find Automatically" in drawn("DIGIDOUBLE_PT_avatar").texts()
    assert OPS.landmarks_find() == {"FINISHED"} and vertex_marks.ids_of(head) == truth


@needs_data
@pytest.mark.parametrize("count", [19158, 13380])
def test_a_whole_makehuman_body_is_recognised_in_any_shape(addon: Any, count: int) -> None:
    from avatars.makehuman.files import DataFolder, blender_from_makehuman
    from avatars.makehuman.human import morph
    from avatars.makehuman.identities import identity

    data = DataFolder(DATA)
    points = blender_from_makehuman(morph(data, data.base(), identity("african-male-old+nose-wide")))[:count]
    mesh = bpy.data.meshes.new("Human")
    mesh.from_pydata(points.tolist(), [], [face for face in data.base().faces if max(face) < count])
    body = bpy.data.objects.new("Human", mesh)
    bpy.context.scene.collection.objects.link(body)
    addon.head = body
    OPS.avatar_make()
    assert OPS.landmarks_find() == {"FINISHED"} and tuple(vertex_marks.ids_of(body)) == BASE_LANDMARKS
    assert known.TOPOLOGIES[0].landmarks == BASE_LANDMARKS
    face = [v.index for v in body.data.vertices if v.index < 13380 and any(
        g.group == body.vertex_groups["region_face"].index and g.weight > 0.5 for g in v.groups)]  # fmt: skip
    low, high = points[list(BASE_LANDMARKS)].min(axis=0), points[list(BASE_LANDMARKS)].max(axis=0)
    assert 1000 < len(face) < 3000 and (points[face] > low - (0.01, 0.02, 0.01)).all(), "no hands, no nape"
    assert (points[face] < high + (0.01, 0.01, 0.06)).all()
    mask = body.modifiers.new("Hide helpers", "MASK")  # as MPFB hides the helpers behind the body
    group = body.vertex_groups.new(name="body")
    group.add(list(range(13380)), 1.0, "REPLACE")
    mask.vertex_group = "body"
    OPS.avatar_check()
    assert not any("renumbers" in f.sentence for f in addon.findings)
    group.remove([0])
    OPS.avatar_check()
    assert any("renumbers" in f.sentence for f in addon.findings)


def test_an_unknown_mesh_is_not_recognised(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    with pytest.raises(RuntimeError, match="five clicks are enough"):
        OPS.landmarks_find()


# --- guided placing -------------------------------------------------------------------------------------------------


def _points() -> np.ndarray:
    half = np.array([[0, 0, 0], [-1, 0, 1], [-2, 0.5, 2]], float)
    return np.concatenate([half, half * (-1, 1, 1)])


def test_placing_asks_suggests_skips_and_takes_back() -> None:
    state = placing.Placing(landmarks.QUICK, _points())
    assert (state.count, state.prompt) == ("1 of 5", "Tip of the nose") and state.suggestion is None
    state.place(0)
    state.place(1)  # outer corner of the right eye
    assert state.current == 45 and state.suggestion == 4
    assert state.accept() and state.placed == {30: 0, 36: 1, 45: 4}
    state.skip()
    assert state.current == 54 and not state.accept(), "without the right corner there is nothing to mirror"
    assert state.undo() and state.current == 48 and state.undo() and state.placed == {30: 0, 36: 1}
    for vertex in (4, 2, 5):
        state.place(vertex)
    assert state.current is None and (state.count, state.prompt) == ("5 of 5", "All points are placed.")
    state.place(3)
    assert len(state.placed) == 5
    while state.undo():
        pass
    assert state.placed == {} and state.position == 0


def test_taking_back_restores_what_was_there_before() -> None:
    state = placing.Placing((30,), _points(), {30: 2})
    state.place(1)
    state.undo()
    assert state.placed == {30: 2}


class _Modal:
    """Stands for the running operator: clicks hit the vertex that `under` says."""

    def __init__(self, head: Any, mode: str) -> None:
        points = meshes.get(head.data.vertices, "co", 3)
        sequence = placing.SEQUENCES.get(mode, ())
        self._placing = placing.Placing(sequence, points, vertex_marks.placed_of(head))
        self._grabbed: int | None = None
        self._before: list[Any] = []
        self.under: int | None = None

    def _under(self, *_: Any) -> int | None:
        return self.under

    def _landmark_near(self, *_: Any) -> int | None:
        return self.under


def _press(key: str, **held: bool) -> SimpleNamespace:
    return SimpleNamespace(type=key, **{"ctrl": False, "alt": False, "shift": False} | held)


def test_clicks_and_keys_write_landmarks_on_the_head(addon: Any) -> None:
    from blender_addon.operators.landmarks_place import DIGIDOUBLE_OT_landmarks_place as Place

    head = sample("ada")
    OPS.avatar_use()
    truth = list(head["digidouble_landmarks"])
    OPS.landmarks_clear()
    modal = _Modal(head, "QUICK")

    def press(key: str, vertex: int | None = None, **held: bool) -> dict[int, int]:
        modal.under = vertex
        Place._place(modal, bpy.context, _press(key, **held), (1, 1))
        return vertex_marks.placed_of(head)

    assert press("LEFTMOUSE", None) == {}, "beside the head"
    assert press("LEFTMOUSE", truth[30]) == {30: truth[30]}
    assert press("LEFTMOUSE", 7) == {30: truth[30], 36: 7}
    assert press("BACK_SPACE") == {30: truth[30]}
    press("LEFTMOUSE", truth[36])
    assert press("RET") == {i: truth[i] for i in (30, 36, 45)}
    assert press("Z", ctrl=True) == {i: truth[i] for i in (30, 36)}
    press("S")
    press("LEFTMOUSE", truth[48])
    assert press("RET") == {i: truth[i] for i in (30, 36, 48, 54)} and modal._placing.current is None
    Place._fill_in(modal, bpy.context)
    assert min(vertex_marks.ids_of(head)) >= 0 and len(vertex_marks.guessed_of(head)) == 64
    assert "region_face" in head.data.attributes, "a region that was there is not replaced"


def test_a_landmark_is_moved_and_moved_back(addon: Any) -> None:
    from blender_addon.operators.landmarks_place import DIGIDOUBLE_OT_landmarks_place as Place

    head = sample("ada")
    OPS.avatar_use()
    truth = list(head["digidouble_landmarks"])
    vertex_marks.write(head, truth, {57, 58})
    modal = _Modal(head, "MOVE")

    def press(key: str, value: int | None = None) -> None:
        modal.under = value
        Place._move(modal, bpy.context, _press(key), (1, 1))

    press("LEFTMOUSE", 57)
    press("LEFTMOUSE", None)
    assert modal._grabbed == 57, "a click beside the head does not let go"
    press("LEFTMOUSE", 99)
    assert vertex_marks.ids_of(head)[57] == 99 and vertex_marks.guessed_of(head) == {58}
    press("LEFTMOUSE", 3)
    press("BACK_SPACE")
    assert modal._grabbed is None and vertex_marks.ids_of(head)[57] == 99
    press("BACK_SPACE")
    assert vertex_marks.ids_of(head) == truth and vertex_marks.guessed_of(head) == {57, 58}


def test_hair_is_hidden_and_shown_again_as_it_was(addon: Any) -> None:
    from blender_addon.operators.landmarks_place import DIGIDOUBLE_OT_landmarks_place as Place

    build_standin("A")
    OPS.avatar_use()
    eyes, hair = bpy.data.objects["A_eyes"], bpy.data.objects["A_hair"]
    eyes.select_set(False)
    hair.select_set(True)
    modal = SimpleNamespace(_veiled=[], _show_parts=lambda: Place._show_parts(modal))
    Place._toggle_parts(modal, bpy.context)
    assert hair.hide_get() and not eyes.hide_get()
    Place._toggle_parts(modal, bpy.context)
    assert not hair.hide_get() and hair.select_get() and not eyes.select_get()
    Place._toggle_parts(modal, bpy.context)
    bpy.data.objects.remove(hair)
    Place._show_parts(modal)
    assert modal._veiled == []


def test_the_mirror_plane_follows_a_mesh_beside_the_origin() -> None:
    assert placing.mirror_plane(_points()) == 0 and placing.mirror_plane(_points() + (10, 0, 0)) == 10
    assert placing.mirrored_vertex(_points() + (10, 0, 0), 1) == 4
    assert placing.mirror_all(_points(), {36: 1, 30: 0, 48: 2, 54: 5}) == {45: 4}


def test_a_ray_finds_the_vertex_of_the_posed_and_subdivided_head(addon: Any) -> None:
    build_standin("A")
    OPS.avatar_use()
    head = bpy.data.objects["A"]
    head.modifiers["Subdivision"].levels = 1
    bpy.data.objects["A_rig"].pose.bones["head"].rotation_mode = "XYZ"
    bpy.data.objects["A_rig"].pose.bones["head"].rotation_euler = (0, 0.6, 0)
    bpy.data.objects["A_rig"].location = (1, 2, 3)
    bpy.context.view_layer.update()
    depsgraph = bpy.context.evaluated_depsgraph_get()
    shown = meshes.shown(head, depsgraph)
    rest = meshes.get(head.data.vertices, "co", 3)
    assert np.abs(shown - rest).max() > 0.01, "the pose must matter"
    for vertex in (30, 111, 300):
        place = head.matrix_world @ Vector(shown[vertex])
        normal = head.matrix_world.to_3x3() @ head.evaluated_get(depsgraph).data.vertices[vertex].normal
        assert picking.vertex_on_ray(head, depsgraph, place + normal * 0.5, -normal) == vertex
    assert picking.vertex_on_ray(head, depsgraph, Vector((9, 9, 9)), Vector((0, 0, 1))) is None
    head.modifiers.new("Mask", "DECIMATE").ratio = 0.1
    bpy.context.view_layer.update()
    with pytest.raises(InputError, match="takes vertices away"):
        meshes.shown(head, bpy.context.evaluated_depsgraph_get())


def test_draw_handlers_are_given_back(empty: Any) -> None:
    blender_addon.register()
    try:
        extra = overlay.add(lambda: None)
        assert overlay.is_placing()
        overlay.remove(extra)
        overlay.remove(extra)
        assert not overlay.is_placing()
        overlay.add(lambda: None)
    finally:
        blender_addon.unregister()
    assert overlay._handlers == []
