# SPDX-License-Identifier: Apache-2.0
"""The compiled parts of a reshaped view against whole frames of numpy and OpenCV."""

from __future__ import annotations

import attrs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from backend.evaluation.silhouette import performers_shape
from backend.faceswap.shape import moved_mesh, reshape_view
from backend.faceswap.shape.coverage import filtered_coverages
from backend.faceswap.shape.filling import Continuation, Spread
from backend.faceswap.shape.lookup import _at_old_place
from interchange.colour import linear_from_srgb

from . import reshape_reference as reference
from .synthetic import Light, dome_camera, head, paint, render

TOLERANCE = 1e-5  # of linear colour: sums are taken in another order


@pytest.fixture(scope="module")
def pair():
    """The target and the same with three times the performer's difference, so that much comes into sight."""
    mesh, performer = head("A"), head("B")
    offset = performers_shape(mesh, performer, mesh.rest_vertices) - mesh.rest_vertices
    return mesh, moved_mesh(mesh, 3 * offset, [])


def _scattered(size, share, seed):
    return np.random.default_rng(seed).random(size) < share


@pytest.mark.parametrize("azimuth", [0, 40, -75])
def test_a_view_is_the_references(pair, azimuth):
    mesh, moved = pair
    camera = dome_camera(azimuth, 8, 150)
    before = render(mesh, linear_from_srgb(paint("A")), camera, Light())
    before.masks["noise"] = np.random.default_rng(1).random((150, 150)).astype(np.float32)
    made = reshape_view(before, mesh, moved, camera)
    expected, changed, holes = reference.reshaped(before, mesh, moved, camera)
    assert changed.mean() > 0.2 and (azimuth == 0 or holes.any())
    for name, truth in expected.items():
        ours = made.masks[name] if name in made.masks else getattr(made, name)
        assert_allclose(ours, truth.reshape(ours.shape), atol=TOLERANCE, rtol=0, err_msg=name)
    assert_array_equal(made.rgb[~changed], before.rgb[~changed])
    assert_array_equal(made.alpha[~changed], before.alpha[~changed])


@pytest.mark.parametrize("size", [(90, 70), (40, 1), (1, 33), (7, 150)])
@pytest.mark.parametrize("share", [0.5, 0.02])
def test_holes_are_filled_as_by_blurs_of_the_whole_picture(size, share):
    seen = _scattered(size, share, 2)
    seen[-1, -1] = True
    wanted = _scattered(size, 0.1, 3) & ~seen
    wanted[: size[0] // 2, : size[1] // 2] = ~seen[: size[0] // 2, : size[1] // 2]  # one large hole
    image = np.random.default_rng(4).random((*size, 3)).astype(np.float32)
    expected = reference.spread_from(image, seen.astype(np.float32), wanted)
    spread, filled = Spread(seen, wanted), image.copy()
    spread.into(filled)
    assert_allclose(filled[wanted], expected[wanted], atol=TOLERANCE, rtol=0)
    assert_array_equal(filled[~wanted], image[~wanted])
    needed, dark = np.zeros(size, bool), image.copy()
    spread.mark_sources(needed)
    dark[~needed] = np.nan  # what is not marked is never looked at
    spread.into(dark)
    assert_array_equal(dark[wanted], filled[wanted])


def test_no_hole_stays_black():
    """Two seen pixels at one end of a long picture: their means as far as the widest blur reaches, then the nearest."""
    seen, image = np.zeros((9, 900), bool), np.zeros((9, 900, 3), np.float32)
    seen[4, [0, 20]], image[4, 0], image[4, 20] = True, (0.2, 0.4, 0.6), (0.6, 0.4, 0.2)
    wanted = ~seen
    Spread(seen, wanted).into(image)
    assert (image >= np.float32(0.2) - 1e-6).all() and (image <= np.float32(0.6) + 1e-6).all()
    assert_array_equal(image[:, 600:], np.broadcast_to(image[4, 20], (9, 300, 3)))


def test_the_way_to_the_old_place_is_bicubic_and_never_overshoots():
    rng = np.random.default_rng(5)
    image = rng.random((40, 50, 3)).astype(np.float32)
    step = rng.normal(0, 9, (40, 50, 2)).astype(np.float32)
    step[0, 0], step[0, 1], step[1, 0] = (0.5, 0.5), (1.5, -0.5), (1e6, -1e6)
    needed, found = _scattered((40, 50), 0.7, 6), np.zeros_like(image)
    needed[:2, :2] = True
    _at_old_place(image, step, needed, found)
    assert_allclose(found[needed], reference.at_old_place(image, step)[needed], atol=TOLERANCE, rtol=0)
    assert not found[~needed].any()
    still = np.zeros_like(step)
    _at_old_place(image, still, np.ones((40, 50), bool), found)
    assert_array_equal(found, image)


def test_every_pixel_is_continued_from_its_nearest():
    known = _scattered((60, 45), 0.01, 7)
    ours, theirs = Continuation(known), reference.Continuation(known)
    assert_array_equal(ours.nearest, theirs.nearest[0] * 45 + theirs.nearest[1])
    assert_array_equal(ours.distance, theirs.distance)
    nothing = Continuation(np.zeros((3, 4), bool))
    assert np.isinf(nothing.distance).all()
    assert_array_equal(nothing.nearest.ravel(), np.arange(12))


def test_coverages_are_those_of_both_meshes(pair):
    mesh, moved = pair
    half = np.where(np.arange(len(mesh.vertices))[:, None] % 3000 < 1500, mesh.vertices, moved.vertices)
    camera = dome_camera(20, 0, 90)
    for other in (moved, attrs.evolve(mesh, vertices=half), mesh):
        old, new = filtered_coverages(mesh, other, camera, reference.SAMPLES)
        assert_allclose(old, reference.filtered_coverage(mesh, camera), atol=1e-6)
        assert_allclose(new, reference.filtered_coverage(other, camera), atol=1e-6)
    assert (old == old.max()).mean() > 0.1 and ((old > 0.01) & (old < 0.99)).any()

