# SPDX-License-Identifier: Apache-2.0
"""The order of splats in memory, against its definition, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels.parameters import morton_order


def _by_bits(points):
    usable = np.isfinite(points).all(axis=1)
    finite = points[usable] if usable.any() else np.zeros((1, 3))
    span = max(float(np.ptp(finite, axis=0).max()), 1e-12)
    cells = np.where(usable[:, None], (points - finite.min(axis=0)) / span * 1023, 0).astype(np.int64)
    codes = np.zeros(len(points), np.int64)
    for bit in range(10):
        for axis in range(3):
            codes |= ((cells[:, axis] >> bit) & 1) << (3 * bit + axis)
    return np.argsort(codes, kind="stable")


CASES = ["plain", "many in a cell", "some broken", "all broken", "one place", "one", "columns"]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_points_lie_along_the_curve_and_equals_in_their_order(kind, case):
    points = np.random.default_rng(0).normal(size=(3000, 3)).astype(kind)
    if case == "many in a cell":
        points = np.round(points)
    if case == "some broken":
        points[::7] = np.nan
    if case == "all broken":
        points[:] = np.nan
    if case == "one place":
        points[:] = 3
    if case == "one":
        points = points[:1]
    if case == "columns":
        points = np.asfortranarray(points)
    found = morton_order(points)
    np.testing.assert_array_equal(found, _by_bits(points))
    assert found.dtype == np.int64 and sorted(found) == list(range(len(points)))


def test_no_points_have_an_order_too():
    assert len(morton_order(np.zeros((0, 3)))) == 0
