# SPDX-License-Identifier: GPL-3.0-or-later
"""The landmarks that are guessed from those that are placed, measured on faces that the table has not seen."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from mathutils import Euler

from avatars import AvatarSpec, build
from avatars.landmark_shapes import HELD_OUT
from blender_addon.avatar_setup import fill, landmarks, meshes, picking
from interchange.errors import InputError

OPS = bpy.ops.digidouble
DATA = Path(
    os.environ.get("DIGIDOUBLE_MAKEHUMAN", Path(__file__).resolve().parents[3] / "shared/avatars/makehuman_cc0")
)
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="needs MakeHuman's CC0 files (set DIGIDOUBLE_MAKEHUMAN)")


def sample(name: str) -> Any:
    """A sample avatar's head, by the name of its identity."""
    kind = "makehuman" if "-" in name else "procedural"
    if kind == "makehuman" and not DATA.is_dir():
        pytest.skip("needs MakeHuman's CC0 files (set DIGIDOUBLE_MAKEHUMAN)")
    return build(AvatarSpec(kind, name, "A", texture_size=64, data_dir=DATA)).head


def errors_of(head: Any, kept: tuple[int, ...], turn: np.ndarray | None = None) -> tuple[float, float, float]:
    """Mean error of the other landmarks in mm, over the eye distance, and the model's own (before snapping) in mm."""
    points, normals = meshes.read(head)
    if turn is not None:
        points, normals = points @ turn.T + (0.3, -2.0, 5.0), normals @ turn.T
    truth = np.array(head["digidouble_landmarks"])
    found = fill.complete({i: int(truth[i]) for i in kept}, points, normals)
    assert all(found[i] == truth[i] for i in kept) and len(set(found.tolist())) == 68
    guess = fill.guess(np.array(kept), points[truth[list(kept)]])[0]
    hidden = np.setdiff1d(np.arange(68), kept)
    off = np.linalg.norm(points[found] - points[truth], axis=1)[hidden].mean()
    raw = np.linalg.norm(guess - points[truth], axis=1)[hidden].mean()
    eyes = np.linalg.norm(points[truth[36]] - points[truth[45]])
    return 1000 * off, off / eyes, 1000 * raw


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if "-" in n else n for n in HELD_OUT])
def test_the_missing_landmarks_are_guessed_on_faces_that_the_table_has_not_seen(empty: Any, name: str) -> None:
    head = sample(name)
    mm, relative, raw = errors_of(head, landmarks.NORMAL)
    assert mm < 1.0 and relative < 0.012 and raw < 2.0, (mm, relative, raw)
    mm, relative, raw = errors_of(head, landmarks.QUICK)
    assert mm < 3.2 and relative < 0.04 and raw < 4.0, (mm, relative, raw)


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if "-" in n else n for n in HELD_OUT])
def test_the_guess_holds_where_no_vertex_lies_on_a_landmark(empty: Any, name: str) -> None:
    head = sample(name)
    points, normals = meshes.read(head)
    truth = points[list(head["digidouble_landmarks"])]
    head.data.calc_loop_triangles()
    faces = meshes.get(head.data.loop_triangles, "vertices", 3, np.int32)
    a, b, c = points[faces].transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    rng = np.random.default_rng(0)
    face, share = rng.choice(len(faces), 40_000, p=area / area.sum()), rng.dirichlet((1, 1, 1), 40_000)
    points, normals = (np.einsum("nk,nkc->nc", share, values[faces[face]]) for values in (points, normals))
    for kept, bar in ((landmarks.NORMAL, 0.0025), (landmarks.QUICK, 0.0040)):
        known_ids = {i: picking.nearest(points, truth[i]) for i in kept}
        found = fill.complete(known_ids, points, normals)
        off = np.linalg.norm(points[found] - truth, axis=1)[np.setdiff1d(np.arange(68), kept)].mean()
        assert off < bar, (kept, off)


def test_the_guess_does_not_depend_on_where_the_head_stands(empty: Any) -> None:
    head = sample("chidi")
    turn = np.array(Euler((0.4, -1.1, 2.5)).to_matrix())
    straight, turned = errors_of(head, landmarks.NORMAL), errors_of(head, landmarks.NORMAL, 3.7 * turn)
    assert np.isclose(turned[1], straight[1], atol=1e-4) and np.isclose(turned[0], 3.7 * straight[0], rtol=1e-2)


def test_clicks_that_miss_by_two_millimetres_do_little_harm(empty: Any) -> None:
    head = sample("chidi")
    points, normals = meshes.read(head)
    truth = np.array(head["digidouble_landmarks"])
    rng = np.random.default_rng(3)
    clicked = {}
    for index in landmarks.NORMAL:
        near = np.flatnonzero(np.linalg.norm(points - points[truth[index]], axis=1) < 0.0035)
        clicked[index] = int(rng.choice(near))
    found = fill.complete(clicked, points, normals)
    hidden = np.setdiff1d(np.arange(68), landmarks.NORMAL)
    assert np.linalg.norm(points[found] - points[truth], axis=1)[hidden].mean() < 0.0025


@pytest.mark.parametrize(
    ("ids", "change", "sentence"),
    [
        ((30, 36, 45), None, "3 landmarks are placed; at least 4"),
        ((8, 51, 57, 62, 66), "line", "lie on one line"),
        (landmarks.NORMAL, "mirror", "do not form a face"),
    ],
)
def test_what_is_no_face_is_refused(ids: tuple[int, ...], change: str | None, sentence: str) -> None:
    points = fill.mean_face()[list(ids)]
    if change == "mirror":  # right and left exchanged, as somebody does who thinks in the picture's sides
        points = fill.mean_face()[[landmarks.PARTNER[i] for i in ids]]
    elif change == "line":
        points = np.outer(np.arange(len(ids)), [0.0, 0.2, 0.1])
    with pytest.raises(InputError, match=sentence):
        fill.guess(np.array(ids), points)


def test_the_mean_face_is_a_symmetric_face() -> None:
    face = fill.mean_face()
    assert np.allclose(face[list(landmarks.PARTNER)] * (-1, 1, 1), face, atol=1e-12)
    assert abs(np.linalg.norm(face[36] - face[45]) - 1) < 0.01 and face[36, 0] < 0 < face[45, 0]
    assert face[30, 1] == face[:, 1].min() and face[8, 2] == face[:, 2].min()
    assert fill.modes().shape[1:] == (68, 3)


def test_every_landmark_has_a_name_and_a_partner() -> None:
    names = [landmarks.name_of(i) for i in range(68)]
    assert len(set(names)) == 68 and all(landmarks.PARTNER[landmarks.PARTNER[i]] == i for i in range(68))
    with pytest.raises(IndexError):
        landmarks.name_of(68)
    for index in landmarks.NORMAL:  # partners are asked for one after the other, so that a suggestion is there
        partner = landmarks.PARTNER[index]
        if partner != index:
            assert abs(landmarks.NORMAL.index(index) - landmarks.NORMAL.index(partner)) == 1
