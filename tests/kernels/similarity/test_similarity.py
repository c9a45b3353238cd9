# SPDX-License-Identifier: Apache-2.0
"""SSIM's sums in one pass against OpenCV's filters over whole pictures."""

from __future__ import annotations

import numpy as np
import pytest

from backend.evaluation.metrics import gaussian_window
from backend.kernels.similarity import similarity_sums
from backend.kernels.similarity.reference import similarity_sums as reference

WINDOW = gaussian_window()


def _pictures(seed, size, dtype=np.float32, margin=0):
    """A noisy picture and a noisier one, black outside of a margin that differs from side to side."""
    rng = np.random.default_rng(seed)
    a = rng.random((*size, 3))
    b = np.clip(a + 0.1 * rng.normal(size=a.shape), 0, 1)
    for picture, more in ((a, 0), (b, 2)):
        if margin:
            picture[: margin + more] = picture[:, : 2 * margin] = picture[-margin:] = picture[:, -1 - more :] = 0
    return a.astype(dtype), b.astype(dtype), rng.random(size)


@pytest.mark.parametrize("size", [(11, 11), (12, 40), (37, 23), (5, 8), (1, 1), (64, 90)])
@pytest.mark.parametrize("edge", [0, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_matches_the_reference(size, edge, masked):
    if min(size) <= 2 * edge:
        return
    a, b, mask = _pictures(sum(size), size)
    mine, theirs = (f(a, b, WINDOW, mask if masked else None, edge) for f in (similarity_sums, reference))
    np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("edge", [0, 5])
@pytest.mark.parametrize("margin", [1, 7, 15])
def test_black_margins_count_without_being_looked_at(margin, edge):
    a, b, mask = _pictures(margin, (80, 70), margin=margin)
    mine, theirs = (f(a, b, WINDOW, mask, edge) for f in (similarity_sums, reference))
    np.testing.assert_allclose(mine, theirs, rtol=1e-10)


def test_double_precision_pictures_and_pictures_of_two_kinds():
    a, b, mask = _pictures(3, (40, 30), np.float64)
    np.testing.assert_allclose(similarity_sums(a, b, WINDOW, mask), reference(a, b, WINDOW, mask), rtol=1e-10)
    single = a.astype(np.float32)
    np.testing.assert_allclose(similarity_sums(single, b, WINDOW), reference(single, b, WINDOW), rtol=1e-10)


def test_equal_and_empty_pictures():
    a, _, mask = _pictures(4, (30, 50))
    np.testing.assert_allclose(similarity_sums(a, a, WINDOW, mask), np.tile([1500, 1500, mask.sum()], (3, 1)))
    black = np.zeros_like(a)
    np.testing.assert_array_equal(similarity_sums(black, black, WINDOW, None, 5)[:, :2], 20 * 40)
