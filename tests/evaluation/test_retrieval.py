# SPDX-License-Identifier: Apache-2.0
"""Looking faces up: what descriptors see and are blind to, alignment, and how a look-up is counted."""

from __future__ import annotations

import attrs
import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.evaluation import retrieval
from backend.evaluation.retrieval import COLOUR, DESCRIPTORS, HOG, LBP, SIZE, aligned_face, five_points, retrieve


def person(seed: int, tone: tuple[float, float, float] = (0.7, 0.5, 0.4)) -> np.ndarray:
    """A "face": what all share, and marks of its own."""
    draw = np.random.default_rng(seed)
    marks = sum(
        cv2.GaussianBlur(draw.normal(0, 1, (SIZE, SIZE)).astype(np.float32), (0, 0), sigma) * sigma
        for sigma in (2.0, 6.0)
    )
    shared = np.sin(np.linspace(0, 9, SIZE))[:, None] * np.cos(np.linspace(0, 5, SIZE))[None]
    return np.clip(np.array(tone) * (1 + 0.2 * shared + 0.08 * marks / marks.std())[..., None], 0, 1).astype(np.float32)


PEOPLE = [[person(seed)] for seed in range(8)]


@pytest.mark.parametrize("descriptor", [HOG, LBP])
def test_structure_is_found_in_another_tone_light_and_noise(descriptor: retrieval.Descriptor) -> None:
    light = np.linspace(0.7, 1.2, SIZE, dtype=np.float32)[None, :, None]
    asked = []
    for seed in range(8):
        noise = np.random.default_rng(seed + 50).normal(0, 0.01, (SIZE, SIZE, 3)).astype(np.float32)
        asked.append([np.clip(person(seed, (0.35, 0.22, 0.18)) * light + noise, 0, 1)])
    found = retrieve(descriptor, asked, PEOPLE)
    assert found.top1 == found.single == 1 and found.rank == 1 and found.found == tuple(range(8))


def test_colour_finds_tones_and_is_blind_to_structure() -> None:
    tones = [(0.3 + 0.08 * i, 0.5, 0.8 - 0.06 * i) for i in range(6)]
    asked = [[person(90 + i, tone)] for i, tone in enumerate(tones)]
    gallery = [[person(i, tone)] for i, tone in enumerate(tones)]
    assert retrieve(COLOUR, asked, gallery).top1 == 1
    assert not COLOUR.tone_free and HOG.tone_free and LBP.tone_free
    assert retrieve(HOG, asked, gallery).top1 < 1


def test_lbp_does_not_change_with_brightness() -> None:
    face = person(3)
    luma = np.repeat(face.mean(-1, keepdims=True), 3, -1)
    assert_allclose(retrieval.lbp(luma), retrieval.lbp((0.2 + 0.7 * luma).astype(np.float32)), atol=0.02)


def test_a_flat_picture_has_finite_descriptors() -> None:
    flat = np.full((SIZE, SIZE, 3), 0.5, np.float32)
    found = [retrieve(d, [[flat]] * 2, [[flat], [flat]]) for d in DESCRIPTORS]
    assert all(np.isfinite(r.rank) for r in found)


def test_what_lies_outside_the_oval_counts_for_nothing_in_colour_and_little_in_structure() -> None:
    face = person(5)
    other = face.copy()
    other[: SIZE // 14], other[:, : SIZE // 28] = 0, 0
    assert_allclose(retrieval.colour(other)[:3], retrieval.colour(face)[:3], atol=0.2)
    near = [float(d.distances(*(np.stack([d.describe(f)] * 2) for f in (other, face)))[0, 0]) for d in (LBP,)]
    far = [float(d.distances(*(np.stack([d.describe(f)] * 2) for f in (person(6), face)))[0, 0]) for d in (LBP,)]
    assert near[0] < 0.3 * far[0]


def test_a_face_is_aligned_by_its_points() -> None:
    face = person(1)
    points = retrieval._TEMPLATE * SIZE
    turn = np.array([[1.7, 0.5, 30.0], [-0.5, 1.7, 80.0]])
    centres = turn.copy()
    centres[:, 2] += turn[:, :2] @ [0.5, 0.5] - 0.5
    picture = cv2.warpAffine(face, centres, (400, 360), flags=cv2.INTER_CUBIC)
    back = aligned_face(picture, points @ turn[:, :2].T + turn[:, 2])
    inner = np.s_[10:-10, 10:-10]
    assert np.abs(back - face)[inner].mean() < 0.01
    assert_allclose(aligned_face(face, points), face, atol=1e-5)


def test_five_points_of_sixty_eight() -> None:
    marks = {i: (float(i), 2.0 * i) for i in range(68)}
    assert_allclose(five_points(marks), [[38.5, 77], [44.5, 89], [30, 60], [48, 96], [54, 108]])
    del marks[30]
    with pytest.raises(KeyError):
        five_points(marks)


def test_how_a_look_up_is_counted() -> None:
    plain = attrs.evolve(HOG, describe=lambda f: f.ravel(), distances=lambda q, g: np.abs(q - g.T))
    gallery = [[np.array([0.0]), np.array([0.0])], [np.array([4.0]), np.array([1.0])]]
    asked = [[np.array([0.1]), np.array([0.1])], [np.array([1.0]), np.array([5.0])]]
    found = retrieve(plain, asked, gallery)
    assert (found.top1, found.single, found.rank, found.found) == (0.5, 0.75, 1.5, (0, 0))
    assert retrieve(plain, asked[:1], gallery, own=[1]).top1 == 0


def test_people_need_the_same_views() -> None:
    with pytest.raises(ValueError, match="views"):
        retrieve(HOG, [[person(0)]], [[person(0), person(0)]])
