# SPDX-License-Identifier: Apache-2.0
"""Sums over views against numpy's, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels.observation import add_colours, add_equations, sum_neighbours
from interchange.splats.axes import sh_basis


def _view(seed, points=500, seen=300):
    rng = np.random.default_rng(seed)
    index = np.sort(rng.permutation(points)[:seen]).astype(np.int32)
    return index, rng.random((seen, 3)).astype(np.float32), rng.random(seen).astype(np.float32), rng


@pytest.mark.parametrize("robust", [False, True])
def test_colours(robust):
    index, colour, weight, rng = _view(1)
    mean, total, weights = rng.random((500, 3)), rng.random((500, 3)), rng.random(500)
    expected, expected_weights = total.copy(), weights.copy()
    part = np.s_[40:260]
    share = weight[part]
    if robust:
        residual = np.abs(colour[part] - mean[index[part]]).mean(axis=1)
        share = share / (1 + (residual / 0.1) ** 2)
    expected[index[part]] += share[:, None] * colour[part]
    expected_weights[index[part]] += share
    add_colours(index, colour, weight, 40, 260, mean, robust, total, weights)
    np.testing.assert_array_equal(total, expected)
    np.testing.assert_array_equal(weights, expected_weights)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_equations(degree):
    index, colour, weight, rng = _view(2)
    size = (degree + 1) ** 2
    points, position, mean = rng.normal(size=(500, 3)), np.array([0.1, -3.0, 2.0]), rng.random((500, 3))
    gram, moment = (rng.random((500, size, n)).astype(np.float32) for n in (size, 3))
    expected, expected_moment = gram.copy(), moment.copy()
    towards = points[index] - position
    basis = sh_basis(towards / np.linalg.norm(towards, axis=1, keepdims=True), degree).astype(np.float32)
    weighted = basis * weight[:, None]
    difference = (colour - mean[index]).astype(np.float32)
    expected[index] += weighted[:, :, None] * basis[:, None, :]
    expected_moment[index] += weighted[:, :, None] * difference[:, None, :]
    for first, last in ((0, 100), (100, 300)):
        add_equations(index, colour, weight, first, last, points, position, mean, gram, moment)
    np.testing.assert_array_equal(gram, expected)
    np.testing.assert_array_equal(moment, expected_moment)


def test_neighbours():
    rng = np.random.default_rng(3)
    values, near = rng.random((90, 27)).astype(np.float32), rng.integers(0, 90, (40, 12))
    expected = values[near[:, 0]].copy()
    for column in near.T[1:]:
        expected += values[column]
    result = np.empty((40, 27), np.float32)
    sum_neighbours(values, near, result)
    np.testing.assert_array_equal(result, expected)
