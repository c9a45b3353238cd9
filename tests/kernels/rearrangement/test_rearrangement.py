# SPDX-License-Identifier: Apache-2.0
"""Colours and moments that follow their splats into other columns."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels.parameters import AdamState, SplatParameters
from backend.kernels.rearrangement import check_source, fill

from ..scenes import random_cloud


def test_each_column_has_what_its_source_had():
    old = SplatParameters.from_cloud(random_cloud(30, 2, 0))
    rng = np.random.default_rng(1)
    moments = AdamState(rng.random(old.block.shape, np.float32), rng.random(old.block.shape, np.float32))
    block = np.full((38, 16), np.nan, np.float32)
    block[:11] = 5
    new, adam = SplatParameters(block, 4, np.arange(4)), AdamState(block.copy(), block.copy())
    source, rested = np.full(16, -1, np.int32), np.zeros(16, bool)
    source[:4], rested[2] = (7, 0, 29, 7), True
    check_source(new, source, 32)
    fill(new, adam, old, moments, source, rested)
    assert (block[:11] == 5).all()
    np.testing.assert_array_equal(block[11:, :4], old.block[11:, [7, 0, 29, 7]])
    for found, before in ((adam.first, moments.first), (adam.second, moments.second)):
        np.testing.assert_array_equal(found[:, [0, 1, 3]], before[:, [7, 0, 7]])
        assert not found[:, 2].any() and not found[:, 4:].any()
    assert not block[11:, 4:].any()


@pytest.mark.parametrize("wrong", [np.full(16, 32, np.int32), np.full(16, -2, np.int32), np.zeros(15, np.int32)])
def test_a_column_from_nowhere_is_refused(wrong):
    new = SplatParameters(np.zeros((14, 16), np.float32), 4, np.arange(4))
    with pytest.raises(ValueError, match="16 of 32 columns"):
        check_source(new, wrong, 32)
