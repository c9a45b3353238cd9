# SPDX-License-Identifier: GPL-3.0-or-later
"""Avatars that cannot be captured are refused with one sentence before anything is rendered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
import pytest

from blender_addon.capture.avatar import find_avatar
from blender_addon.capture.geometry import extract
from blender_addon.capture.rigs import Dome
from blender_addon.capture.scene import Restore, apply_pose
from blender_addon.capture.settings import PoseSettings
from interchange.errors import InputError
from tests.blender_addon.standin import build_standin

NAN = float("nan")


def extract_it(**options: Any) -> Any:
    context = bpy.context
    return extract(find_avatar(context.scene, context.view_layer, None), context.view_layer, **options)


def _landmarks(change: Callable[[list[int]], list[int]]) -> Callable[[Any], None]:
    def apply(head: Any) -> None:
        head["digidouble_landmarks"] = change(list(head["digidouble_landmarks"]))

    return apply


def _mirror(ids: list[int]) -> list[int]:
    return ids[16::-1] + ids[17:]


def _move(head: Any, place: tuple[float, float, float]) -> None:
    head.data.shape_keys.key_blocks["Basis"].data[3].co = place
    head.data.vertices[3].co = place


def _uvs(head: Any, value: tuple[float, float]) -> None:
    for corner in head.data.uv_layers[0].uv:
        corner.vector = value


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (_landmarks(lambda ids: [-1] * 68), "has 0 different face landmarks"),
        (_landmarks(lambda ids: [5] * 68), "has 1 different face landmarks"),
        (_landmarks(_mirror), "lie mirrored"),
        (lambda head: _move(head, (NAN, 0, 0)), "vertices whose place is not a number"),
        (lambda head: _uvs(head, (NAN, 0)), "coordinates that are not numbers"),
        (lambda head: _uvs(head, (0.5, 0.5)), "covers no area"),
    ],
)
def test_unusable_geometry_is_refused(standin: Any, spoil: Callable[[Any], None], sentence: str) -> None:
    spoil(bpy.data.objects["A"])
    with pytest.raises(InputError, match=sentence) as caught:
        extract_it(needs_landmarks=True)
    assert "'A'" in caught.value.message and caught.value.hint


def test_landmarks_do_not_matter_where_none_are_needed(standin: Any) -> None:
    bpy.data.objects["A"]["digidouble_landmarks"] = [-1] * 68
    assert not extract_it(needs_landmarks=False)[0].has_landmarks


def test_marks_made_by_hand_are_enough(standin: Any) -> None:
    """The guide's way: parts in one collection, marked, and no `digidouble_avatar`."""
    del bpy.data.objects["A_rig"]["digidouble_avatar"]
    found = find_avatar(bpy.context.scene, bpy.context.view_layer, None)
    assert (found.name, found.head.name, len(found.parts)) == ("A", "A", 3)
    build_standin("B", rig=False)
    del bpy.data.objects["B"]["digidouble_avatar"]
    with pytest.raises(InputError, match=r"several avatars\..* The file has A, B"):
        find_avatar(bpy.context.scene, bpy.context.view_layer, None)


def test_a_file_without_an_avatar_is_not_a_choice_between_several(empty: Any) -> None:
    with pytest.raises(InputError, match="holds no avatar"):
        extract_it(needs_landmarks=True)
    build_standin("A")
    build_standin("B")
    with pytest.raises(InputError, match=r"several avatars\. Choose one in the panel Avatar.* The file has A, B"):
        extract_it(needs_landmarks=True)


@pytest.mark.parametrize("value", [-0.5, 5.0, NAN])
def test_an_expression_beyond_its_slider_is_refused(standin: Any, value: float) -> None:
    avatar = find_avatar(bpy.context.scene, bpy.context.view_layer, "A")
    with Restore() as restore, pytest.raises(InputError, match="It goes from 0 to 1"):
        apply_pose(restore, avatar.parts, avatar.armature, PoseSettings({"smile": value}))


def test_impossible_angles_and_numbers_of_views_are_refused() -> None:
    with pytest.raises(InputError, match="three angles"):
        PoseSettings(bones={"head": (0.0, NAN, 0.0)})
    for train, held_out, sentence in ((0, 8, "0 training"), (40, -1, "-1 held-out"), (10**8, 8, "Ask for 1 to 10000")):
        with pytest.raises(InputError, match=sentence):
            Dome(train, held_out)
