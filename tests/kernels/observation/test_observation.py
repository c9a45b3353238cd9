# SPDX-License-Identifier: Apache-2.0
"""What a view says about points: against the numpy reference, and odd input."""

from __future__ import annotations

import numpy as np
import pytest

from backend.kernels.observation import look_up
from backend.kernels.observation.reference import look_up as reference

from ..scenes import camera_for


def _scene(seed, count=4000, size=(70, 50)):
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3)) * 0.3
    normals = rng.normal(size=(count, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    alpha = rng.random((size[1], size[0])).astype(np.float32)
    rgb = (rng.random((size[1], size[0], 3)) * alpha[..., None]).astype(np.float32)
    depth = (0.8 + 0.5 * rng.random(alpha.shape)).astype(np.float32)
    depth[:5] = 0
    return points, normals, camera_for(*size), alpha, depth, rgb


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bare", [False, True])
def test_matches_the_reference(seed, bare):
    points, normals, camera, alpha, depth, rgb = _scene(seed)
    arguments = (points, None, camera, alpha, None, rgb) if bare else (points, normals, camera, alpha, depth, rgb)
    mine, theirs = look_up(*arguments), reference(*arguments)
    assert 100 < len(mine[0]) < len(points)
    np.testing.assert_array_equal(mine[0], theirs[0])
    for a, b in zip(mine[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


def test_without_colours_the_same_points_are_seen():
    points, normals, camera, alpha, depth, rgb = _scene(5)
    np.testing.assert_array_equal(
        look_up(points, normals, camera, alpha, depth)[0], look_up(points, normals, camera, alpha, depth, rgb)[0]
    )


def test_odd_input():
    points, normals, camera, alpha, depth, rgb = _scene(6, size=(1, 1))
    points[:40] = np.nan
    points[40:80] = 1e300
    normals[80:200] = 0
    seen = look_up(points, normals, camera, np.ones_like(alpha), np.full_like(depth, 10), rgb)
    assert (seen[0] >= 200).all() and np.isfinite(seen[2]).all()
    assert len(look_up(points[:0], normals[:0], camera, alpha, depth, rgb)[0]) == 0
