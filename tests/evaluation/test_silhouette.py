# SPDX-License-Identifier: Apache-2.0
"""Outlines, the performer's shape in the target's place, and expressions read back from a mesh."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose

from backend.evaluation.silhouette import expression_error, keys_of, performers_shape, silhouette_iou
from tests.faceswap.synthetic import head


def test_overlap_of_soft_outlines() -> None:
    a, b = np.zeros((4, 4)), np.zeros((4, 4))
    a[:, :2], b[:, 1:3] = 1, 0.5
    assert silhouette_iou(a, a) == 1 and silhouette_iou(0 * a, 0 * a) == 1
    assert silhouette_iou(a, b) == pytest.approx(2 / 10)
    with pytest.raises(ValueError, match="shape"):
        silhouette_iou(a, b[:2])


def test_a_performer_of_the_targets_shape_changes_nothing_wherever_and_however_large_he_stands() -> None:
    target = head("A")
    away = attrs.evolve(target, rest_vertices=1.2 * target.rest_vertices @ np.diag([-1, -1, 1.0]) + [1, 2, 0])
    assert_allclose(performers_shape(target, away, target.rest_vertices), target.rest_vertices, atol=1e-5)


def test_another_performers_face_is_laid_over_and_the_neck_stays() -> None:
    target, performer = head("A"), head("B")
    shape = performers_shape(target, performer, target.rest_vertices)
    moved = np.linalg.norm(shape - target.rest_vertices, axis=1)
    assert moved[target.region_face > 0.5].mean() > 1e-3
    away = np.linalg.norm(target.rest_vertices - target.rest_vertices[target.landmarks].mean(0), axis=1)
    assert moved[np.argsort(away)[-50:]].max() < 1e-9


def test_shape_keys_are_read_back_from_a_mesh() -> None:
    draw = np.random.default_rng(0)
    neutral, keys, values = draw.normal(size=(40, 3)), draw.normal(size=(3, 40, 3)), draw.uniform(0, 1, (6, 3))
    posed = neutral + np.einsum("pk,kvi->pvi", values, keys)
    found = keys_of(neutral, posed, values)
    assert_allclose(found, keys, atol=1e-9)
    assert expression_error(neutral, posed, found, values) < 1e-9
    weaker = neutral + 0.9 * (posed - neutral)
    assert expression_error(neutral, weaker, found, values) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="apart"):
        keys_of(neutral, posed[:2], values[:2])
