# SPDX-License-Identifier: Apache-2.0
"""The compiled comparisons of pictures against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels import agreement
from backend.kernels.agreement import reference

SHAPES = [(40, 57), (1, 1), (3, 200)]


def _views(shape, seed=0):
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.normal(0.7, 0.5, shape), 0, 1).astype(np.float32)
    picture = rng.random((*shape, 3), np.float32) * alpha[..., None]
    rendered = picture + rng.normal(0, 0.1, picture.shape).astype(np.float32)
    affine = (np.eye(3, 4) + rng.normal(0, 0.1, (3, 4))).astype(np.float32)
    return picture, alpha, rendered, affine


@pytest.mark.parametrize("shape", SHAPES)
def test_colours_and_residuals_are_the_references(shape):
    picture, alpha, rendered, affine = _views(shape)
    for name, arguments, room in (
        ("matched", (affine,), (*shape, 3)), ("residual", (affine, rendered), shape),
        ("residual", (np.eye(3, 4, dtype=np.float32), rendered), shape),
    ):  # fmt: skip
        mine, theirs = np.full(room, np.nan, np.float32), np.full(room, np.nan, np.float32)
        getattr(agreement, name)(picture, alpha, *arguments, mine)
        getattr(reference, name)(picture, alpha, *arguments, theirs)
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=2e-7)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", [None, np.uint8, np.float32])
def test_sums_are_the_references(shape, kind):
    picture, alpha, rendered, _ = _views(shape, 1)
    weights = np.random.default_rng(2).integers(0, 256, shape).astype(kind or np.uint8)
    if kind is None:
        weights = np.zeros((0, 0), np.uint8)
    found = []
    for room in (agreement, reference):
        gram, moment = np.ones((4, 4)), np.ones((4, 3))
        found.append((gram, moment, *room.affine_sums(picture, alpha, rendered, weights, gram, moment)))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-10)


def test_counts_are_the_references():
    _, alpha, _, _ = _views((40, 57))
    bits = np.random.default_rng(3).integers(0, 65536, alpha.shape).astype(np.uint16)
    mine, theirs = np.ones(65536, np.int64), np.ones(65536, np.int64)
    agreement.count_bits(bits, alpha, 0.3, mine)
    reference.count_bits(bits, alpha, 0.3, theirs)
    np.testing.assert_array_equal(mine, theirs)
    assert mine.sum() == 65536 + (alpha > 0.3).sum()
